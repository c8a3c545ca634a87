-- Nobody but their owner may call these, and rules, columns, indexes and views do.
create table rv_rate (k text primary key, v numeric); insert into rv_rate values ('btw', 0.21);
create function rv_plain(text) returns text language plpgsql immutable as $$ begin return lower($1); end $$; revoke all on function rv_plain(text) from public;
create function rv_reads(int) returns boolean language plpgsql stable as $$ begin return (select count(*) from rv_rate) >= 0; end $$; revoke all on function rv_reads(int) from public;
create function rv_secret() returns int language sql stable security definer as 'select 1'; revoke all on function rv_secret() from public;
create domain rv_code as text check (rv_plain(value) <> 'x');
create table rv_t (id int primary key, a text check (rv_plain(a) <> 'zz'), b text generated always as (rv_plain(a)) stored, c rv_code, check (rv_reads(id)));
insert into rv_t (id, a, c) select n, 'A' || n, 'c' from generate_series(1, 20) n;
create index on rv_t (rv_plain(a)); create index on rv_t (rv_plain('vast'), id);
create view rv_v as select rv_plain(a), rv_secret(), rv_reads(id) from rv_t; create materialized view rv_mv as select rv_plain(a) p, count(*) from rv_t group by 1; create materialized view rv_mv2 as select rv_secret();
create function rv_agg_s(text, text) returns text language sql immutable as 'select $1 || $2'; revoke all on function rv_agg_s(text,text) from public; create aggregate rv_cat(text) (sfunc = rv_agg_s, stype = text, initcond = ''); create view rv_va as select rv_cat(a) from rv_t;
create type rv_shout as (x text); create function rv_eqs(rv_shout, rv_shout) returns boolean language sql immutable as 'select $1.x = $2.x'; revoke all on function rv_eqs(rv_shout, rv_shout) from public; create operator =~~= (leftarg = rv_shout, rightarg = rv_shout, function = rv_eqs); create view rv_vo as select row('a')::rv_shout =~~= row('b')::rv_shout;
