create function ag_step(s numeric, v numeric) returns numeric language sql immutable as 'select coalesce(s, 0) + coalesce(v, 0)';
create function ag_final(s numeric) returns text language sql immutable as 'select s::text';
create function ag_both(a numeric, b numeric) returns numeric language sql immutable as 'select a + b';
create aggregate ag_total(numeric) (sfunc = ag_step, stype = numeric, finalfunc = ag_final, combinefunc = ag_both, initcond = '0', parallel = safe);
create aggregate ag_moving(numeric) (sfunc = ag_step, stype = numeric, msfunc = ag_step, minvfunc = ag_both, mstype = numeric, initcond = '0');
create function ag_of(s numeric, d float8) returns numeric language sql immutable as 'select s * d::numeric';
create aggregate ag_ordered(float8 order by numeric) (sfunc = ag_step, stype = numeric, finalfunc = ag_of);
create function ag_hf(s numeric, d numeric) returns numeric language sql immutable as 'select s';
create aggregate ag_hyp(numeric order by numeric) (sfunc = ag_step, stype = numeric, finalfunc = ag_hf, hypothetical);
create function ag_three(s numeric, a numeric, b numeric) returns numeric language sql immutable as 'select a'; create aggregate ag_two(a numeric, b numeric) (sfunc = ag_three, stype = numeric);

create table ag (g int, v numeric); insert into ag values (1, 2), (1, 3);
create view ag_v as select g, ag_total(v), ag_two(v, v) from ag group by g;
comment on aggregate ag_total(numeric) is 'total';
