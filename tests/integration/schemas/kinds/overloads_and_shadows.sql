create function lower(a text) returns text language sql immutable as $$ select pg_catalog.lower(a) || '!' $$;
create function length(a int) returns int language sql immutable as 'select a';
create table ov (id int primary key, a text);
create view ov_v as select lower(a) as l, length(id) as n, length(a) as m from ov;
create type text_pair as (a text, b text);
create type line as enum ('x', 'y'); create table path (id int);
do $$ begin execute format('create table ov_d (d %1$I.line, e pg_catalog.line, f %1$I.path, g pg_catalog.path)', current_schema()); execute format('create function ov_f(d %1$I.line) returns %1$I.line language sql immutable as %2$L', current_schema(), 'select d'); end $$;
create table "int4" (x int);
insert into ov values (1, 'ABC'); insert into ov_d values ('x', '{1,2,3}', row(1), '((0,0),(1,1))');
