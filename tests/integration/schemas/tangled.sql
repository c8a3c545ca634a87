-- Tables that need one another in every way that does not show in a foreign key, among many that need nobody. Those that
-- nobody needs are made at once on several connections; the others must not be.

-- Array types are called after their tables, behind an underscore, unless that name is taken.
create table a (id bigint generated always as identity primary key, x text);
create table _a (id bigint primary key, others a[], x text default '_a');
create table __a (id bigint primary key, x text default '__a');
do $$ begin
    execute format('create table %I (id bigint primary key)', repeat('n', 63));
    execute format('create table %I (id bigint primary key)', repeat('n', 62));
    execute format('create table %I (id bigint primary key, all_of %I[])', repeat('n', 61) || 'm', repeat('n', 63));
end $$;

-- Numbers from another table's sequence.
create table numbered (id bigint generated always as identity (sequence name numbers) primary key, x text);
create table borrower (id bigint not null default nextval('numbers'), x text);

-- Types, domains and functions made of rows, and tables made of those.
create table brick (id bigint primary key, size numeric(9, 2));
create type wall as (left_side brick, height integer);
create domain big_brick as brick check ((value).size > 10);
create table house (id bigint primary key, front wall, chimney big_brick, spare brick[]);
create function weight(b brick) returns numeric language sql immutable as 'select b.size * 2';
create function bricks() returns bigint language sql stable begin atomic; select count(*) from brick; end;
create function default_size() returns numeric language sql immutable as 'select 11.5';
create table weighed (id bigint primary key, b brick, w numeric generated always as (weight(b)) stored,
    at_first bigint default bricks(), size numeric default default_size(),
    check (weight(b) > 0));
create table village (id bigint primary key, houses house[], constraint known check (houses is not null));

-- Parents and children.
create table parent (id bigint, x text);
create table child (y integer) inherits (parent);
create table whole (id bigint not null, x text) partition by range (id);
create table part partition of whole for values from (0) to (100);

do $$ begin
    for i in 1 .. 90 loop
        execute format('create table plain_%s (id bigint generated always as identity primary key, x text default %L, '
                       'size numeric default default_size() check (size > 0))', i, 'plain');
        execute format('insert into plain_%s (x) select %L || j from generate_series(1, 20) j', i, 'x');
    end loop;
end $$;

insert into a (x) values ('1'), ('2');
insert into _a select 1, array_agg(a) from a;
insert into numbered (x) values ('one');
insert into borrower (x) values ('two'), ('three');
insert into brick select i, 10 + i from generate_series(1, 5) i;
insert into house select 1, row(b, 3)::wall, b::big_brick, array[b] from brick b where b.id = 2;
insert into weighed (id, b) select b.id, b from brick b;
insert into village select 1, array_agg(h) from house h;
insert into parent values (1, 'p');
insert into child values (2, 'c', 3);
insert into whole values (7, 'seven');
