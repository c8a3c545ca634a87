-- Two wordings of one definition, judged by the server: each is made once more, beside what it is about and under a name
-- of nothing's, in a transaction that is rolled back, and read again. $1 is the schema, $2 what it is about there, $3 the
-- wording, $4 a body. Scratch tables have their original's name, for a definition may say it.

-- name: table
-- An empty table with the same columns, for what can only be made on one.
select format('create temporary table %2$I (like %1$I.%2$I)', $1::text, $2::text, $3::text, $4::text)

-- name: expression
-- What is computed from a row.
select format('create temporary view sb_wording as select (%3$s) as it from %1$I.%2$I', $1::text, $2::text, $3::text, $4::text)

-- name: alone
-- What is computed from nothing.
select format('create temporary view sb_wording as select (%3$s) as it', $1::text, $2::text, $3::text, $4::text)

-- name: query
-- A view's.
select format('create temporary view sb_wording as %3$s', $1::text, $2::text, $3::text, $4::text)

-- name: constraint
-- A table's.
select format('alter table pg_temp.%2$I add constraint sb_wording %3$s', $1::text, $2::text, $3::text, $4::text)

-- name: domain
-- A domain with a rule; $2 is the type under it.
select format('create domain pg_temp.sb_wording as %2$s constraint sb_wording %3$s', $1::text, $2::text, $3::text, $4::text)

-- name: index
-- What follows the name of the table.
select format('create index sb_wording on pg_temp.%2$I using %3$s', $1::text, $2::text, $3::text, $4::text)

-- name: statement
-- A trigger or rule, which names its table ($2) once in full before anything else is said.
select coalesce($4::text, overlay($3::text placing format('pg_temp.%I ', $2::text) from nullif(strpos($3, w.whole), 0) for length(w.whole)))
from (select format('%I.%I', $1::text, $2::text) as whole) w

-- name: partitioned
-- How a table is divided.
select format('create temporary table %2$I (like %1$I.%2$I) partition by %3$s', $1::text, $2::text, $3::text, $4::text)

-- name: statistics
-- Over what they are; $2 is the table.
select format('create statistics pg_temp.sb_wording on %3$s from pg_temp.%2$I', $1::text, $2::text, $3::text, $4::text)

-- name: function
-- A function or procedure; $2 is its result, if it has one, $3 its arguments, $4 its body.
select format('create %s pg_temp.sb_wording(%s)%s language sql %s', case when $2::text is null then 'procedure' else 'function' end,
              $3::text, ' returns ' || $2, coalesce($4::text, 'as '''''), $1::text)

-- name: said
-- What the server says of all that was made; $1 is the scratch table's name.
with made as materialized (
    select c.* from pg_class c where c.relname in ('sb_wording', $1) and c.relnamespace = pg_my_temp_schema()
)
select array(
    select pg_get_viewdef(oid) from made where relkind = 'v'
    union all select pg_get_partkeydef(oid) from made where relkind = 'p'
    union all select pg_get_indexdef(oid) from made where relkind = 'i'
    union all select pg_get_constraintdef(k.oid) from made join pg_constraint k on k.conrelid = made.oid and k.conname = 'sb_wording'
    union all select pg_get_triggerdef(g.oid) from made join pg_trigger g on g.tgrelid = made.oid where not g.tgisinternal
    union all select pg_get_ruledef(r.oid) from made join pg_rewrite r on r.ev_class = made.oid where r.rulename <> '_RETURN'
    union all select pg_get_statisticsobjdef_columns(s.oid) from made join pg_statistic_ext s on s.stxrelid = made.oid
    union all select pg_get_constraintdef(k.oid) from pg_type t join pg_constraint k on k.contypid = t.oid
              where t.typname = 'sb_wording' and t.typnamespace = pg_my_temp_schema()
    union all select pg_get_functiondef(p.oid) from pg_proc p
              where p.proname = 'sb_wording' and p.pronamespace = pg_my_temp_schema())
