create table il (id int primary key, state varchar(10) not null, other varchar, kind char(3), flag boolean generated always as (state in ('open', 'paid')) stored,
  check (other = any (array['x', 'y']::varchar[])), exclude using btree (id with =) where (state in ('open', 'paid')));
create domain il_state as varchar(5) check (value in ('a', 'b')) default 'a';
create unique index il_u on il ((state in ('open', 'paid')), id) where other not in ('z', 'q');
create view il_v as select state not in ('open') as x, case when other in ('a', 'b') then 1 end from il where state in ('open', 'paid') and kind in ('a', 'b');
create materialized view il_m as select id from il where state in ('open', 'paid');
create policy il_p on il using (state in ('open', 'paid')) with check (other not in ('x', 'y'));
create function il_t() returns trigger language plpgsql as 'begin return new; end';
create trigger il_w before update on il for each row when (new.state in ('open', 'paid')) execute function il_t();
create rule il_r as on delete to il where old.state in ('open', 'paid') do also select 1;
create function il_f(s varchar default 'x') returns boolean language sql immutable begin atomic select s in ('a', 'b'); end;
create statistics il_s on (state in ('open', 'paid')), id from il;
create table il_d (id int, b boolean default ('a'::varchar in ('a', 'b')), s il_state);
insert into il (id, state, other, kind) values (1, 'open', 'x', 'a'), (2, 'weird', 'y', 'b');
refresh materialized view il_m;
