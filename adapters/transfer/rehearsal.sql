-- Whether an environment could live in another database. $1 is its schema.

-- name: encoding
-- How text is kept.
select current_setting('server_encoding')

-- name: outside
-- What the environment needs that is neither in its schema nor the server's own, but for what belongs to an extension.
with recursive part (class, id) as (
    select d.classid, d.objid from pg_namespace n
    join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid
    where n.nspname = $1
    union
    select d.classid, d.objid from part p join pg_depend d on d.refclassid = p.class and d.refobjid = p.id
    where d.deptype in ('i', 'a')
)
select distinct pg_describe_object(d.classid, d.objid, d.objsubid) as what,
       pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) as needs
from part p cross join lateral (select * from pg_depend where classid = p.class and objid = p.id offset 0) d
cross join lateral pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) other
where d.deptype in ('n', 'a')
  and other.schema is not null and other.schema not in ($1, 'pg_catalog', 'information_schema', 'pg_toast')
  and not exists (select from pg_depend e where e.classid = d.refclassid and e.objid = d.refobjid and e.deptype = 'e')
  -- The fence goes with a move.
  and (d.classid <> 'pg_trigger'::regclass
       or (select tgname from pg_trigger where oid = d.objid) is distinct from 'sb_transfer_fence')
order by 1, 2

-- name: hurry
-- A rehearsal gives in at once to whoever changes a definition, and to whoever waits for that.
select set_config('lock_timeout', '200ms', true)

-- name: scratch
-- An empty schema to try things in, as a statement; it is gone when the transaction is rolled back.
select format('create schema %I', $1::text)

-- name: room
-- How many transactions the server's table of locks is made for, and how many tables can be made in one of them: a plain
-- table takes five locks, and others need theirs.
select s.sessions, current_setting('max_locks_per_transaction')::int * s.sessions / 10 as room
from (select current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int as sessions) s

-- name: surplus
-- Runs after `own` of catalog.sql. The plainest tables above so many ($1), with their sequences, as the snapshot names them:
-- what such a table is made of the server has itself, and nothing but keys is made of it.
with own as materialized (
    select c.* from pg_class c where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p')
), plain as (
    select c.oid from own c
    where c.relkind = 'r' and c.reloftype = 0
      and not exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent))
      and not exists (
          select from pg_attribute a join pg_type t on t.oid = a.atttypid
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and (a.attgenerated <> '' or t.oid >= 10000 or t.typtype <> 'b'))
      and not exists (
          select from pg_depend d where d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and not case d.classid
              when 'pg_class'::regclass then not exists (
                  select from pg_index x where x.indexrelid = d.objid and (x.indexprs is not null or x.indpred is not null))
              when 'pg_constraint'::regclass then exists (
                  select from pg_constraint k where k.oid = d.objid and k.contype in ('p', 'u', 'f', 'n'))
              when 'pg_attrdef'::regclass then not exists (
                  select from pg_depend n where n.classid = d.classid and n.objid = d.objid and n.refclassid <> 'pg_class'::regclass)
              else d.classid = 'pg_type'::regclass end)
      and not exists (
          select from pg_type y join pg_depend d on d.refclassid = 'pg_type'::regclass and d.refobjid in (y.oid, y.typarray)
          where y.oid = c.reltype and d.objid <> y.typarray)
), surplus as materialized (
    select oid from plain order by oid desc limit greatest((select count(*) from own) - $1, 0)
)
select c.oid, c.relname::text as object from surplus s join pg_class c on c.oid = s.oid
union all
select c.oid, 'sequence ' || c.relname
from surplus s join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = s.oid and d.classid = 'pg_class'::regclass
join pg_class c on c.oid = d.objid and c.relkind = 'S'
where d.deptype in ('a', 'i')

-- name: endless
-- Statements that tell whether a column holds an interval without end, which servers before PostgreSQL 17 do not know.
select format('column %I of %s', a.attname, c.oid::regclass) as what,
       format('select exists (select from only %s where %I::text like ''%%infinity%%'')', c.oid::regclass, a.attname) as statement
from pg_namespace n
join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid and d.classid = 'pg_class'::regclass
join pg_class c on c.oid = d.objid
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
where n.nspname = $1 and c.relkind = 'r'
  and coalesce(nullif(t.typbasetype, 0), nullif(t.typelem, 0), t.oid) = 'interval'::regtype
order by c.oid, a.attnum
