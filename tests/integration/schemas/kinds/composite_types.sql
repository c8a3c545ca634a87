create type ct_inner as (a int, b text); create type ct_outer as (i ct_inner, arr ct_inner[], n numeric); create domain ct_dom as ct_inner check ((value).a > 0);
create table ct (id int primary key, o ct_outer, d ct_dom, ds ct_dom[]); alter type ct_inner add attribute c date cascade; alter type ct_inner drop attribute b cascade;
insert into ct values (1, row(row(1, '2026-01-01')::ct_inner, array[row(2, null)::ct_inner], 1.50), row(1, null), array[row(1, '2026-02-02')::ct_dom]);
create type ct_r as range (subtype = numeric, multirange_type_name = ct_mr); create table ct_x (r ct_r, m ct_mr, rr int4range[]); insert into ct_x values ('[1.0,2.00)', '{[1,2),[3,4]}', array['[1,5)'::int4range]);
create function ct_f(r ct_outer) returns ct_inner language sql immutable as 'select (r).i'; create view ct_v as select (o).n, (o).i.a, ct_f(o) from ct;
