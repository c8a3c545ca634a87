-- Whether an environment could live in another database. $1 is its schema.

-- name: encoding
-- How text is kept.
select current_setting('server_encoding')

-- name: outside
-- What the environment needs that is neither in its schema nor the server's own, but for what belongs to an extension.
select distinct pg_describe_object(d.classid, d.objid, d.objsubid) as what,
       pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) as needs
from pg_depend d
cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) mine
cross join lateral pg_identify_object_as_address(d.classid, d.objid, d.objsubid) place
cross join lateral pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) other
where coalesce(mine.schema, place.object_names[1]) = $1 and d.deptype in ('n', 'a')
  and other.schema is not null and other.schema not in ($1, 'pg_catalog', 'information_schema', 'pg_toast')
  and not exists (select from pg_depend e where e.classid = d.refclassid and e.objid = d.refobjid and e.deptype = 'e')
  -- The fence goes with a move.
  and not (d.classid = 'pg_trigger'::regclass and exists (
      select from pg_trigger g where g.oid = d.objid and g.tgname = 'sb_transfer_fence'))
order by 1, 2

-- name: hurry
-- A rehearsal gives in at once to whoever changes a definition, and to whoever waits for that.
select set_config('lock_timeout', '200ms', true)

-- name: scratch
-- An empty schema to try things in, as a statement; it is gone when the transaction is rolled back.
select format('create schema %I', $1::text)

-- name: endless
-- Statements that tell whether a column holds an interval without end, which servers before PostgreSQL 17 do not know.
select format('column %I of %s', a.attname, c.oid::regclass) as what,
       format('select exists (select from only %s where %I::text like ''%%infinity%%'')', c.oid::regclass, a.attname) as statement
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind = 'r'
  and coalesce(nullif(t.typbasetype, 0), nullif(t.typelem, 0), t.oid) = 'interval'::regtype
order by c.oid, a.attnum
