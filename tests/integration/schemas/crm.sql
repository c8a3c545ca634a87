-- A CRM: inheritance, audit triggers on everything, row security, overlapping appointments refused, settings as json.
create sequence crm_number as integer start 10000 increment 10 maxvalue 2000000 cycle;
create type channel as enum ('mail', 'telephone', 'visit');
create table audit_log (
    id bigserial primary key,
    at timestamptz not null default clock_timestamp(),
    table_name name not null,
    old_row json,
    new_row json,
    by_whom name not null default current_user
);
create function audit() returns trigger language plpgsql security definer as $$
begin
    insert into audit_log (table_name, old_row, new_row)
    values (tg_table_name, case when tg_op <> 'INSERT' then row_to_json(old) end, case when tg_op <> 'DELETE' then row_to_json(new) end);
    return null;
end $$;
create table party (
    id integer primary key default nextval('crm_number'),
    name varchar(80) not null check (length(trim(name)) > 0),
    since date not null default date '2020-01-01',
    notes text
);
create table person (born date, constraint grown_up check (born < date '2010-01-01')) inherits (party);
create table company (chamber_number char(8) not null, revenue double precision, credit real) inherits (party);
alter table person add primary key (id);
alter table company add primary key (id), add constraint chamber_once unique (chamber_number);
alter table person alter column name set not null, alter column notes set default 'person';
create table contact (
    id integer generated always as identity primary key,
    person_id integer not null references person,
    company_id integer references company on update cascade on delete set null,
    via channel not null,
    started timestamptz not null,
    length interval not null default interval '1 hour',
    place point,
    seen_by inet,
    follow_up integer references contact deferrable
);
create table appointment (
    room text not null,
    during tsrange not null,
    secret boolean not null default false,
    constraint no_overlap exclude using gist (during with &&) where (not secret)
);
create table manager (person_id integer primary key, deputy integer);
create table deputy (person_id integer primary key references manager deferrable initially deferred);
alter table manager add constraint manager_deputy foreign key (deputy) references deputy;
create trigger audit after insert or update or delete on person for each row execute function audit();
create trigger audit after insert or update or delete on company for each row execute function audit();
create trigger audit after insert or update or delete on contact for each row execute function audit();
create trigger audit_statement after truncate on contact for each statement execute function audit();
alter table contact enable replica trigger audit_statement;
alter table appointment enable row level security;
create policy everybody on appointment using (true);
create policy not_secret on appointment as restrictive for select to sb_app using (not secret) ;
create policy only_open on appointment for insert to sb_app with check (not secret);
create rule no_delete as on delete to manager do instead nothing;
create rule log_it as on insert to deputy do also insert into audit_log (table_name, new_row) values ('deputy', row_to_json(new));
alter table deputy disable rule log_it;
create function people(wanted text, variadic extra text[] default '{}') returns table (id integer, label text)
    language sql stable strict parallel safe rows 10 as $$ select p.id, p.name from person p where p.name like wanted $$;
create function pick(anyelement, anyelement) returns anyelement language sql immutable as 'select coalesce($1, $2)';
create aggregate first_known(anyelement) (sfunc = pick, stype = anyelement);
create view everyone as select p.tableoid::regclass::text as kind, p.* from party p;
create view contacts as select c.id, p.name, row_number() over (partition by c.person_id order by c.started) as nth
    from contact c join person p on p.id = c.person_id;
create function add_contact() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger instead instead of insert on contacts for each row execute function add_contact();
create statistics contact_stats (mcv) on via, person_id from contact;
comment on view contacts is 'one''s contacts';
comment on column everyone.name is E'a\\b';
comment on policy everybody on appointment is 'all';
grant select (id, name), update (notes) on person to sb_app;
grant insert on contact to sb_app with grant option;

insert into person (name, born) select 'P ' || i, date '1950-01-01' + i from generate_series(1, 2000) i;
insert into company (name, chamber_number, revenue, credit)
select 'C ' || i, lpad(i::text, 8, '0'), case i % 4 when 0 then 'NaN' when 1 then '-Infinity' when 2 then 0.1 else 1e300 end, '-0'
from generate_series(1, 500) i;
insert into contact (person_id, via, started, place, seen_by, follow_up)
select (select min(id) from person) + 10 * (i % 2000), (array['mail', 'visit']::channel[])[1 + i % 2],
    timestamptz 'epoch' + i * interval '1.000001 second', point(i, -i), ('10.0.0.' || i % 255)::inet, case when i > 1 then i - 1 end
from generate_series(1, 4000) i;
insert into appointment select 'A', tsrange(timestamp '2024-01-01' + i * interval '1 hour', timestamp '2024-01-01' + (i + 1) * interval '1 hour'), false
from generate_series(1, 50) i;
insert into manager values (1, null); insert into deputy values (1); update manager set deputy = 1;
