-- What a schema holds, and what its rows are made of. Everything that is asked about one environment is asked of its own
-- objects by number: the server keeps no index of relations, functions, types or constraints by schema, but one of what
-- depends on a schema. Whatever else a database holds is not looked at, and may come and go meanwhile.

-- name: enter
-- What text and hashes depend on, for one transaction. Nothing but the server's own is found without its schema, so that
-- a definition says all of its names in full. Row security is refused instead of silently hiding rows.
select set_config(s.name, s.value, true)
from (values ('search_path', 'pg_catalog, pg_temp'), ('timezone', 'UTC'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'iso_8601'),
             ('extra_float_digits', '3'), ('bytea_output', 'hex'), ('xmloption', 'content'), ('quote_all_identifiers', 'off'),
             ('check_function_bodies', 'off'), ('row_security', 'off'), ('statement_timeout', '0'), ('jit', 'off'),
             ('max_parallel_workers_per_gather', '0')) as s (name, value)

-- name: own
-- What a schema ($1) holds, by number; no row when there is no such schema. The write fence belongs to a move, not to an
-- environment.
with ns as materialized (select oid from pg_namespace where nspname = $1),
own as materialized (
    select d.classid, d.objid from pg_depend d
    where d.refclassid = 'pg_namespace'::regclass and d.refobjid = (select oid from ns) and d.deptype = 'n'
)
select oid::bigint as namespace, split_part(current_setting('server_version'), ' ', 1) as server,
       array(select objid::bigint from own where classid = 'pg_class'::regclass
             union all
             -- A composite type's fields are those of a relation.
             select t.typrelid::bigint from own o join pg_type t on t.oid = o.objid
             where o.classid = 'pg_type'::regclass and t.typrelid <> 0) as relations,
       array(select objid::bigint from own where classid = 'pg_type'::regclass) as types,
       array(select objid::bigint from own o join pg_proc p on p.oid = o.objid
             where o.classid = 'pg_proc'::regclass and p.prosrc not like '-- sb_transfer_fence%') as functions
from ns

-- name: choose
-- Let the facts be about some of it. As settings, so that no plan hangs on how many there are; and all is looked up by index,
-- however small the server takes the catalogs for.
select set_config('enable_seqscan', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('sb_verify.namespace', $1::bigint::text, true), set_config('sb_verify.relations', $2::bigint[]::text, true),
       set_config('sb_verify.types', $3::bigint[]::text, true), set_config('sb_verify.functions', $4::bigint[]::text, true)

-- name: positions
-- A statement that reads where sequences stand; null when there are none.
select string_agg(format('select %L as object, ''position'' as fact, last_value::text || case when is_called then '''' '
                         'else '' (not yet given out)'' end as definition from %s', 'sequence ' || c.relname, c.oid::regclass),
                  ' union all ')
from pg_class c
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and c.relkind = 'S'

-- name: tables
-- What holds rows of its own: plain tables, partitions, inheritance children and materialised views.
select c.relname::text as name, c.oid::regclass::text as quoted,
       case c.relkind when 'm' then 'materialized view ' else '' end || c.relname as object,
       (select r.relname::text from pg_partition_ancestors(c.oid) with ordinality a (id, place)
        join pg_partitioned_table p on p.partrelid = a.id and p.partstrat = 'h'
        join pg_class r on r.oid = a.id where c.relispartition order by a.place desc limit 1) as hashed,
       c.relispopulated as readable, greatest(c.reltuples, 0)::bigint as estimate,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint as pages,
       pg_relation_filenode(c.oid)::bigint as file, pg_table_size(c.oid) as bytes,
       coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) > 0 as out_of_line,
       (select coalesce(jsonb_agg(jsonb_build_array(a.attname, quote_ident(a.attname), a.atttypid::bigint) order by a.attnum), '[]')
        from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> 'v') as columns,
       (select coalesce(jsonb_agg(a.attname order by k.place), '[]')
        from pg_index i cross join lateral unnest(i.indkey::smallint[]) with ordinality k (attnum, place)
        join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
        where i.indrelid = c.oid and i.indisprimary and i.indisvalid and k.place <= i.indnkeyatts) as key
from pg_class c
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and c.relkind in ('r', 'm')

-- name: column_types
-- The types of what holds rows.
select distinct a.atttypid::bigint as id
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and c.relkind in ('r', 'm') and a.attnum > 0
  and not a.attisdropped

-- name: types
-- Some types ($1). `made`: by somebody; from 12000 on the server gives ids out, to its own views and information_schema
-- first. `part` is a domain's base, an array's element, a range's subtype or a multirange's range. `fields` are of
-- composites, and `parts` all that has to be known to write a value as bytes, which the server can if `sends` is true of
-- them too.
select t.oid::bigint as id, m.made, p.part::bigint as part, t.typsend <> 0 as sends,
       case when f.oid is not null then format('%I.%I', fn.nspname, f.proname) end as send,
       case when p.part is not null and t.typtype = 'b' then 'array'
            else case t.typtype when 'd' then 'domain' when 'e' then 'enum' when 'c' then 'composite' when 'r' then 'range'
                                when 'm' then 'multirange' else 'base' end end as kind,
       (select format('%I.%I', s.nspname, b.typname) from pg_type b
        join pg_namespace s on s.oid = b.typnamespace where b.oid = p.part) as part_quoted,
       coalesce(i.fields, '[]') as fields,
       case when t.typnamespace = 'pg_catalog'::regnamespace then '{}' else coalesce(i.types, '{}') end
       || array_remove(array[p.part::bigint], null) as parts
from pg_type t
cross join lateral (
    select t.oid >= 16384 or (t.oid >= 12000 and t.typnamespace <> 'pg_catalog'::regnamespace) as made) m
left join pg_proc f on f.oid = t.typsend
left join pg_namespace fn on fn.oid = f.pronamespace
cross join lateral (
    select case when t.typtype = 'd' then t.typbasetype
                when t.typsubscript = 'array_subscript_handler'::regproc then t.typelem
                when t.typtype = 'r' then (select r.rngsubtype from pg_range r where r.rngtypid = t.oid)
                when t.typtype = 'm' then (select r.rngtypid from pg_range r where r.rngmultitypid = t.oid)
           end as part) p
cross join lateral (
    select jsonb_agg(jsonb_build_array(quote_ident(a.attname), a.atttypid::bigint) order by a.attnum) as fields,
           array_agg(a.atttypid::bigint) as types
    from pg_attribute a
    where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) i
where t.oid = any ($1::oid[])
