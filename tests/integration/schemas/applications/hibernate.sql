-- In the manner of a Hibernate application with Flyway and Envers: sequences by fifty, enums as checks, @Version, element collections,
-- joined inheritance, oid-free lobs, uuid keys, audit tables with a revision, ordinals as smallint between.
create sequence hibernate_sequence start with 1 increment by 1;
create sequence customer_seq start with 1 increment by 50;
create sequence booking_seq start with 1 increment by 50 cache 5;
create sequence revinfo_seq start with 1 increment by 50 no cycle;
create table flyway_schema_history (
    installed_rank integer not null, version varchar(50), description varchar(200) not null, type varchar(20) not null,
    script varchar(1000) not null, checksum integer, installed_by varchar(100) not null,
    installed_on timestamp without time zone default now() not null, execution_time integer not null, success boolean not null,
    constraint flyway_schema_history_pk primary key (installed_rank)
);
create index flyway_schema_history_s_idx on flyway_schema_history (success);
create table revinfo (rev integer not null primary key, revtstmp bigint);
create table party (id bigint not null, version integer not null, created_at timestamp(6) with time zone, dtype varchar(31) not null check (dtype in ('Customer', 'Supplier')), primary key (id));
create table customer (
    id bigint not null primary key, segment varchar(255) check (segment in ('SMALL', 'MEDIUM', 'LARGE')),
    tier smallint check (tier between 0 and 4), email varchar(255) constraint uk_email unique,
    constraint fkg2o3t8h0g17smtr9jgypagdtv foreign key (id) references party
);
create table customer_phones (customer_id bigint not null, phones varchar(255), phones_order integer not null, primary key (customer_id, phones_order),
    constraint fk6v2e foreign key (customer_id) references customer);
create table booking (
    id bigint default nextval('booking_seq') not null, ref uuid not null, customer_id bigint, kind varchar(255) not null, amount numeric(38, 2), note text,
    data bytea, period tstzrange, primary key (id), constraint ukref unique (ref),
    check (kind in ('IN', 'OUT', 'CORRECTION')), constraint fkbookcust foreign key (customer_id) references customer
);
create table booking_aud (id bigint not null, rev integer not null references revinfo, revtype smallint, kind varchar(255) check (kind in ('IN', 'OUT', 'CORRECTION')), amount numeric(38, 2), primary key (rev, id));
create table setting (name varchar(255) not null primary key, active boolean not null default true, kind varchar(10) default 'IN' check (kind = any (array['IN', 'OUT'])));
create index idx_booking_kind on booking (kind) where kind in ('IN', 'CORRECTION');

insert into flyway_schema_history select i, i::text, 'step ' || i, 'SQL', 'V' || i || '__step.sql', i * 7919, 'app', '2026-01-01', 3, true from generate_series(1, 44) i;
insert into revinfo select i, 1767225600000 + i from generate_series(1, 90) i;
insert into party select nextval('customer_seq'), 0, '2026-01-01Z', 'Customer' from generate_series(1, 40);
insert into customer select id, (array['SMALL', 'MEDIUM', 'LARGE'])[1 + id % 3], id % 5, 'c' || id || '@x.example' from party;
insert into customer_phones select id, '+31' || id, 0 from customer;
insert into booking (id, ref, customer_id, kind, amount, data, period)
select nextval('booking_seq'), gen_random_uuid(), c.id, (array['IN', 'OUT', 'CORRECTION'])[1 + i % 3], i * 1.01, decode(repeat('00ff', 10), 'hex'), tstzrange('2026-03-29 02:00+01', null)
from customer c, generate_series(1, 25) i;
insert into booking_aud select id, 1 + (id % 90)::int, 0, kind, amount from booking;
insert into setting values ('a', true, 'IN'), ('b', false, 'OUT');
select nextval('hibernate_sequence') from generate_series(1, 7);
