-- What a schema holds, as the statements that make it again.
--
-- Every query runs with search_path set to the source schema ($1 is its name), so the server deparses names in it without
-- the schema; the statements run with search_path set to the target. Nothing replaces text inside a definition. Where the
-- server always writes the schema before the object's own name, at a fixed place in front, that prefix is cut off.

-- name: enter
-- Let the server deparse names of this schema unqualified, and render values the same way whoever connects.
select set_config('search_path', quote_ident($1), true),
       set_config('check_function_bodies', 'off', true),
       set_config('datestyle', 'ISO, YMD', true),
       set_config('intervalstyle', 'postgres', true),
       set_config('extra_float_digits', '3', true),
       set_config('xmloption', 'content', true),
       set_config('bytea_output', 'hex', true),
       -- Rather an error than rows that a policy hides.
       set_config('row_security', 'off', true)

-- name: enter_for
-- Write statements for a server of another version: `version` is what both understand, `target` that server's. 0 is this
-- one's.
select set_config('sb_transfer.version', least(w.target, w.own)::text, true), set_config('sb_transfer.target', w.target::text, true)
from (select current_setting('server_version_num')::int as own,
             coalesce(nullif($1::int, 0), current_setting('server_version_num')::int) as target) w

-- name: types
-- Enums, domains, composite types and ranges.
with ns as (select oid from pg_namespace where nspname = $1)
select case t.typtype
    when 'e' then format('create type %I as enum (%s)', t.typname,
        (select coalesce(string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder), '')
           from pg_enum e where e.enumtypid = t.oid))
    when 'd' then format('create domain %I as %s%s%s%s%s%s', t.typname, format_type(t.typbasetype, t.typtypmod),
        (select format(' collate %s', c.oid::regcollation) from pg_collation c, pg_type b
          where c.oid = t.typcollation and b.oid = t.typbasetype and b.typcollation <> t.typcollation),
        ' default ' || pg_get_expr(t.typdefaultbin, 0),
        case when t.typnotnull then ' not null' end,
        (select string_agg(format(' constraint %I %s', c.conname, pg_get_constraintdef(c.oid)), '' order by c.conname)
           from pg_constraint c where c.contypid = t.oid and c.contype = 'c' and c.convalidated),
        -- CREATE DOMAIN knows no checks that values of before need not meet.
        (select string_agg(format('; alter domain %I add constraint %I %s', t.typname, c.conname, pg_get_constraintdef(c.oid)),
                           '' order by c.conname)
           from pg_constraint c where c.contypid = t.oid and c.contype = 'c' and not c.convalidated))
    when 'c' then format('create type %I as (%s)', t.typname,
        (select string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                    case when a.attcollation <> at.typcollation then format(' collate %s', a.attcollation::regcollation) end),
                    ', ' order by a.attnum)
           from pg_attribute a join pg_type at on at.oid = a.atttypid
          where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped))
    when 'r' then (select format('create type %I as range (subtype = %s, multirange_type_name = %I%s%s%s)', t.typname,
            format_type(r.rngsubtype, null), m.typname,
            case when not o.opcdefault then format(', subtype_opclass = %s', format('%I.%I', opn.nspname, o.opcname)) end,
            case when r.rngcollation <> 0 then format(', collation = %s', r.rngcollation::regcollation) end,
            case when r.rngsubdiff <> 0 then format(', subtype_diff = %s', r.rngsubdiff::regproc) end)
        from pg_range r join pg_type m on m.oid = r.rngmultitypid
        join pg_opclass o on o.oid = r.rngsubopc join pg_namespace opn on opn.oid = o.opcnamespace
        where r.rngtypid = t.oid)
    end as statement
from pg_type t
left join pg_class c on c.oid = t.typrelid
where t.typnamespace = (select oid from ns)
  and (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c')
order by t.typtype = 'e' desc, t.oid

-- name: sequences
-- Sequences that stand alone or belong to a serial column; an identity's comes with its column.
select format('create %s sequence %I as %s increment by %s minvalue %s maxvalue %s start with %s cache %s %s',
    case c.relpersistence when 'u' then 'unlogged' end, c.relname, format_type(s.seqtypid, null), s.seqincrement,
    s.seqmin, s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then 'cycle' else 'no cycle' end) as statement
from pg_class c join pg_sequence s on s.seqrelid = c.oid
where c.relnamespace = (select oid from pg_namespace where nspname = $1)
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'i')
order by c.oid

-- name: functions
-- Functions and procedures; `late` ones take or return rows of views, or read them in a body that the server has parsed.
with recursive needs_view (classid, objid) as (
    select 'pg_class'::regclass::oid, c.oid from pg_class c
    where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('v', 'm')
    union
    select d.classid, d.objid from needs_view w join pg_depend d on d.refclassid = w.classid and d.refobjid = w.objid
    where d.classid in ('pg_type'::regclass, 'pg_proc'::regclass)
)
select p.oid in (select objid from needs_view where classid = 'pg_proc'::regclass) as late, format('create or replace %s %I', w.word, p.proname)
       || substr(d.def, length(format('CREATE OR REPLACE %s %I.%I', upper(w.word), $1::text, p.proname)) + 1) as statement
from pg_proc p
cross join lateral (select case p.prokind when 'p' then 'procedure' else 'function' end as word) w
cross join lateral (select pg_get_functiondef(p.oid) as def) d
where p.pronamespace = (select oid from pg_namespace where nspname = $1) and p.prokind in ('f', 'p', 'w')
  -- a range type brings its own constructors
  and not exists (select from pg_depend i where i.classid = 'pg_proc'::regclass and i.objid = p.oid and i.deptype = 'i')
order by p.oid

-- name: aggregates
-- Ordinary aggregates; others are refused before anything is frozen.
with recursive needs_view (classid, objid) as (
    select 'pg_class'::regclass::oid, c.oid from pg_class c
    where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('v', 'm')
    union
    select d.classid, d.objid from needs_view w join pg_depend d on d.refclassid = w.classid and d.refobjid = w.objid
    where d.classid in ('pg_type'::regclass, 'pg_proc'::regclass)
)
select p.oid in (select objid from needs_view where classid = 'pg_proc'::regclass) as late, format('create aggregate %I(%s) (%s)', p.proname,
    case when p.pronargs = 0 then '*' else pg_get_function_arguments(p.oid) end,
    concat_ws(', ', format('sfunc = %s, stype = %s', a.aggtransfn::regproc, format_type(a.aggtranstype, null)),
        case when a.aggtransspace <> 0 then format('sspace = %s', a.aggtransspace) end,
        case when a.aggfinalfn <> 0 then format('finalfunc = %s', a.aggfinalfn::regproc) end,
        case when a.aggfinalextra then 'finalfunc_extra' end,
        case when a.aggfinalfn <> 0 then format('finalfunc_modify = %s',
            case a.aggfinalmodify when 'r' then 'read_only' when 's' then 'shareable' else 'read_write' end) end,
        case when a.aggcombinefn <> 0 then format('combinefunc = %s', a.aggcombinefn::regproc) end,
        case when a.aggserialfn <> 0 then format('serialfunc = %s, deserialfunc = %s', a.aggserialfn::regproc,
            a.aggdeserialfn::regproc) end,
        case when a.agginitval is not null then format('initcond = %L', a.agginitval) end,
        case when a.aggsortop <> 0 then format('sortop = operator(%s)',
            (select format('%I.%s', n.nspname, o.oprname) from pg_operator o join pg_namespace n on n.oid = o.oprnamespace
              where o.oid = a.aggsortop)) end,
        case p.proparallel when 's' then 'parallel = safe' when 'r' then 'parallel = restricted' end)) as statement
from pg_proc p join pg_aggregate a on a.aggfnoid = p.oid
where p.pronamespace = (select oid from pg_namespace where nspname = $1) and a.aggkind = 'n' and a.aggmtransfn = 0
order by p.oid

-- name: tables
-- Bare tables: columns, identity, generated columns and inheritance; no index, no default, nothing that slows a load.
-- `alone`: no type, function or other table needs it or the sequence that comes with it, and it has no parents or
-- children, so it can be made at any time after types and functions, beside others. Two tables that
-- are made at once must not want the same name for their array types either, which is theirs behind an underscore.
select c.oid::regclass::text as name,
    c.relkind = 'r' and not c.relispartition and c.reloftype = 0
    and c.relname not like '\_%' and octet_length(c.relname::text) < 63
    and not exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent))
    and not exists (
        select from (values ('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype),
                            ('pg_type'::regclass, (select y.typarray from pg_type y where y.oid = c.reltype))) it (class, id)
        join pg_depend d on d.refclassid = it.class and d.refobjid = it.id and d.deptype = 'n'
        where d.classid in ('pg_type'::regclass, 'pg_proc'::regclass)
           or d.classid = 'pg_class'::regclass
              and exists (select from pg_class o where o.oid = d.objid and o.relkind in ('r', 'p', 'c') and o.oid <> c.oid))
    and not exists (
        select from pg_depend w join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = w.objid
        where w.refclassid = 'pg_class'::regclass and w.refobjid = c.oid and w.classid = 'pg_class'::regclass and w.deptype = 'i'
          and (d.classid = 'pg_proc'::regclass or d.classid = 'pg_attrdef'::regclass
               and exists (select from pg_attrdef e where e.oid = d.objid and e.adrelid <> c.oid))) as alone,
    format('create %s table %I (%s)%s%s%s%s',
    case c.relpersistence when 'u' then 'unlogged' end, c.relname,
    concat_ws(', ',
        (select string_agg(format('%I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
            case when a.attcollation <> t.typcollation then format(' collate %s', a.attcollation::regcollation) end,
            coalesce(case
                when a.attgenerated <> '' then format(' generated always as (%s) %s', pg_get_expr(ad.adbin, ad.adrelid),
                    case a.attgenerated when 's' then 'stored' else 'virtual' end)
                when a.attidentity <> '' and not c.relispartition then (
                    select format(' generated %s as identity (sequence name %I increment by %s minvalue %s maxvalue %s start with %s cache %s %s)',
                        case a.attidentity when 'a' then 'always' else 'by default' end, sc.relname, s.seqincrement,
                        s.seqmin, s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then 'cycle' else 'no cycle' end)
                    from pg_depend d join pg_class sc on sc.oid = d.objid and sc.relkind = 'S' join pg_sequence s on s.seqrelid = sc.oid
                    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
                      and d.refobjid = c.oid and d.refobjsubid = a.attnum and d.deptype = 'i')
            end, '')
            || case when a.attnotnull and current_setting('sb_transfer.version')::int < 180000 then ' not null' else '' end),
            ', ' order by a.attnum)
         from pg_attribute a
         join pg_type t on t.oid = a.atttypid
         left join pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and (a.attislocal or c.relispartition)),
        (select string_agg(format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid)), ', ' order by k.conkey)
         from pg_constraint k
         where current_setting('sb_transfer.version')::int >= 180000
           and k.conrelid = c.oid and k.contype = 'n' and k.convalidated and (k.conislocal or c.relispartition))),
    (select ' inherits (' || string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno) || ')'
       from pg_inherits i where i.inhrelid = c.oid and not c.relispartition),
    case c.relkind when 'p' then ' partition by ' || pg_get_partkeydef(c.oid) end,
    case when am.amname <> 'heap' then format(' using %I', am.amname) end,
    (select ' with (' || string_agg(format('%s=%L', o.name, o.value), ', ') || ')'
       from (select split_part(x, '=', 1) as name, substr(x, strpos(x, '=') + 1) as value from unnest(c.reloptions) x
             union all
             select 'toast.' || split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)
             from pg_class tc, unnest(tc.reloptions) x where tc.oid = c.reltoastrelid) o
      where c.relkind = 'r')) as statement
from pg_class c left join pg_am am on am.oid = c.relam
where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('r', 'p')
order by c.oid

-- name: attachments
-- Partitions find their parents while they are empty: nothing is scanned then.
select format('alter table only %s attach partition %s %s', i.inhparent::regclass, c.oid::regclass,
    pg_get_expr(c.relpartbound, c.oid)) as statement
from pg_class c join pg_inherits i on i.inhrelid = c.oid
where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relispartition and c.relkind in ('r', 'p')
order by c.oid

-- name: columns
-- Defaults, and the settings of single columns.
select c.oid::regclass::text as name,
       format('alter table only %s alter column %I %s', c.oid::regclass, a.attname, s.setting) as statement
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join pg_attrdef ad on ad.adrelid = c.oid and ad.adnum = a.attnum and a.attgenerated = ''
cross join lateral (values
    ('set default ' || pg_get_expr(ad.adbin, ad.adrelid)),
    -- Since PostgreSQL 18 a NOT NULL is a constraint with a name, and stands in the table's definition.
    (case when a.attnotnull and not a.attislocal and current_setting('sb_transfer.version')::int < 180000 then 'set not null' end),
    (case when a.attstorage <> t.typstorage then 'set storage '
        || case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end end),
    (case when a.attcompression <> '' then 'set compression ' || case a.attcompression when 'l' then 'lz4' else 'pglz' end end),
    (case when a.attstattarget >= 0 then 'set statistics ' || a.attstattarget end),
    ((select 'set (' || string_agg(format('%s=%L', split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)), ', ') || ')'
        from unnest(a.attoptions) x))) s(setting)
where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('r', 'p') and s.setting is not null
order by c.oid, a.attnum

-- name: indexes
-- Every index by itself, so that they can be built side by side; `constraint_of` puts one under its constraint.
select coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as family, i.relname as index_name,
    c.relkind = 'p' as partitioned,
    case when k.oid is not null and (c.relkind = 'p' or k.contype = 'x' or k.conperiod or k.heir)
        then format('alter table only %s add constraint %I %s', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid))
        else pg_get_indexdef(x.indexrelid, 0, true) end as statement,
    case when k.oid is not null and c.relkind <> 'p' and k.contype in ('p', 'u') and not k.conperiod and not k.heir
        then format('alter table only %s add constraint %I %s using index %I%s%s', c.oid::regclass, k.conname,
            case k.contype when 'p' then 'primary key' else 'unique' end, i.relname,
            case when k.condeferrable then ' deferrable' end, case when k.condeferred then ' initially deferred' end)
        end as constraint_of,
    pg_table_size(c.oid) as bytes, o.disorder,
    array_remove(array[
        (select format('alter index %s attach partition %s', h.inhparent::regclass, i.oid::regclass)
           from pg_inherits h where h.inhrelid = i.oid),
        case when x.indisreplident then format('alter table only %s replica identity using index %I', c.oid::regclass, i.relname) end,
        case when x.indisclustered then format('alter table only %s cluster on %I', c.oid::regclass, i.relname) end
    ] || array(select format('alter index %s alter column %s set statistics %s', i.oid::regclass, a.attnum, a.attstattarget)
        from pg_attribute a where a.attrelid = i.oid and a.attnum > 0 and a.attstattarget >= 0 order by a.attnum), null) as afterwards
from pg_index x
join pg_class i on i.oid = x.indexrelid
join pg_class c on c.oid = x.indrelid
-- By table, which the server has an index for: there may be thousands of environments beside this one.
left join lateral (
    select oid, conname, contype, condeferrable, condeferred,
           coalesce((to_jsonb(pg_constraint) ->> 'conperiod')::boolean, false) as conperiod,
           -- A primary key that takes over an index makes an inherited NOT NULL the table's own as well.
           contype = 'p' and exists (select from pg_inherits h join pg_class t on t.oid = h.inhrelid
                                      where h.inhrelid = conrelid and not t.relispartition) as heir
    from pg_constraint where conrelid = c.oid and conindid = i.oid and contype in ('p', 'u', 'x')) k on true
-- From 0, where rows lie in the order of the index's first telling column, to 1: not at all, or nobody knows.
cross join lateral (
    select case when pg_table_size(c.oid) <= 1048576 then 1 else 1 - coalesce((
        select abs(s.correlation)
        from unnest(x.indkey::smallint[]) with ordinality key (attnum, place)
        join pg_attribute a on a.attrelid = c.oid and a.attnum = key.attnum
        join pg_stats s on s.schemaname = $1 and s.tablename = c.relname and s.attname = a.attname and not s.inherited
        where s.n_distinct <> 1 order by key.place limit 1), 0) end as disorder) o
where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('r', 'p')
order by c.relkind = 'p' desc, pg_relation_size(c.oid) desc, i.oid

-- name: constraints
-- Checks, foreign keys, and what NOT NULLs are not validated. `at_once` ones may be declared while tables are empty: valid
-- ones, and of the checks those that call none of the environment's own functions, which may read other tables.
select c.oid::regclass::text as table_name, coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as family,
    case when k.contype = 'f' then coalesce(pg_partition_root(k.confrelid), k.confrelid)::regclass::text end as referred,
    format('alter table %s add constraint %I %s', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid)) as statement,
    -- Declared without a look at the rows, then validated beside others. Partitioned tables cannot do that everywhere.
    case when k.contype = 'f' and k.convalidated and c.relkind = 'r'
              and not exists (select from pg_class r where r.oid = k.confrelid and r.relkind = 'p')
        then format('alter table %s validate constraint %I', c.oid::regclass, k.conname) end as validation,
    k.contype = 'f' as foreign_key,
    k.convalidated and (k.contype = 'f' or k.contype = 'c' and not exists (
        select from pg_depend d where d.classid = 'pg_constraint'::regclass and d.objid = k.oid
          and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass))) as at_once
from pg_constraint k join pg_class c on c.oid = k.conrelid
where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('r', 'p')
  and (k.contype = 'c' and k.conislocal or k.contype = 'f' and k.conparentid = 0
       or k.contype = 'n' and not k.convalidated and k.conislocal)
-- A parent's check reaches its children: theirs of the same name come first, so that the two merge. Foreign keys lock
-- what they refer to in one order.
order by k.contype, c.relispartition desc, exists (select from pg_inherits i where i.inhrelid = c.oid) desc,
    referred, c.oid, k.oid

-- name: views
-- Views and materialised views; rules on tables.
select case c.relkind
        when 'v' then format('create view %I%s as %s', c.relname,
            (select ' with (' || string_agg(format('%s=%L', split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)), ', ') || ')'
               from unnest(c.reloptions) x), pg_get_viewdef(c.oid))
        else format('create materialized view %I%s%s as %s%s', c.relname,
            (select format(' using %I', am.amname) from pg_am am where am.oid = c.relam and am.amname <> 'heap'),
            (select ' with (' || string_agg(format('%s=%L', o.name, o.value), ', ') || ')'
               from (select split_part(x, '=', 1) as name, substr(x, strpos(x, '=') + 1) as value from unnest(c.reloptions) x
                     union all
                     select 'toast.' || split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)
                     from pg_class tc, unnest(tc.reloptions) x where tc.oid = c.reltoastrelid) o), rtrim(pg_get_viewdef(c.oid), ';'),
            case when c.relispopulated then ' with data' else ' with no data' end)
    end as statement
from pg_class c
where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('v', 'm')
order by c.oid

-- name: attached
-- Indexes and settings of materialised views, rules, triggers, policies, statistics, row security, replica identity, view defaults.
with ns as (select oid from pg_namespace where nspname = $1),
rel as (select * from pg_class where relnamespace = (select oid from ns))
select statement from (
    select 1 as place, i.oid, pg_get_indexdef(x.indexrelid, 0, true) as statement
    from pg_index x join rel c on c.oid = x.indrelid and c.relkind = 'm' join pg_class i on i.oid = x.indexrelid
    union all
    select 2, c.oid, format('alter materialized view %s cluster on %I', c.oid::regclass, i.relname)
    from pg_index x join rel c on c.oid = x.indrelid and c.relkind = 'm' join pg_class i on i.oid = x.indexrelid
    where x.indisclustered
    union all
    select 2, i.oid, format('alter index %s alter column %s set statistics %s', i.oid::regclass, a.attnum, a.attstattarget)
    from pg_index x join rel c on c.oid = x.indrelid and c.relkind = 'm' join pg_class i on i.oid = x.indexrelid
    join pg_attribute a on a.attrelid = i.oid and a.attnum > 0 and a.attstattarget >= 0
    union all
    select 2, c.oid, format('alter materialized view %s alter column %I %s', c.oid::regclass, a.attname, s.setting)
    from rel c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    cross join lateral (values
        (case when a.attstorage <> t.typstorage then 'set storage '
            || case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end end),
        (case when a.attcompression <> '' then 'set compression ' || case a.attcompression when 'l' then 'lz4' else 'pglz' end end),
        (case when a.attstattarget >= 0 then 'set statistics ' || a.attstattarget end),
        ((select 'set (' || string_agg(format('%s=%L', split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)), ', ') || ')'
            from unnest(a.attoptions) x))) s(setting)
    where c.relkind = 'm' and s.setting is not null
    union all
    select 2, r.oid, pg_get_ruledef(r.oid, true) from pg_rewrite r join rel c on c.oid = r.ev_class where r.rulename <> '_RETURN'
    union all
    select 3, r.oid, format('alter table %s %s rule %I', c.oid::regclass,
        case r.ev_enabled when 'D' then 'disable' when 'A' then 'enable always' else 'enable replica' end, r.rulename)
    from pg_rewrite r join rel c on c.oid = r.ev_class where r.rulename <> '_RETURN' and r.ev_enabled <> 'O'
    union all
    select 4, g.oid, pg_get_triggerdef(g.oid, true)
    from pg_trigger g join rel c on c.oid = g.tgrelid
    where not g.tgisinternal and g.tgparentid = 0 and g.tgname <> 'sb_transfer_fence'
    union all
    select 5, g.oid, format('alter table only %s %s trigger %I', c.oid::regclass,
        case g.tgenabled when 'D' then 'disable' when 'A' then 'enable always' when 'O' then 'enable' else 'enable replica' end, g.tgname)
    from pg_trigger g join rel c on c.oid = g.tgrelid left join pg_trigger up on up.oid = g.tgparentid
    where not g.tgisinternal and g.tgname <> 'sb_transfer_fence' and g.tgenabled <> coalesce(up.tgenabled, 'O')
    union all
    select 6, p.oid, format('create policy %I on %s as %s for %s to %s%s%s', p.polname, c.oid::regclass,
        case when p.polpermissive then 'permissive' else 'restrictive' end,
        case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        (select string_agg(case when role = 0 then 'public' else role::regrole::text end, ', ') from unnest(p.polroles) role),
        ' using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
        ' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
    from pg_policy p join rel c on c.oid = p.polrelid
    union all
    select 7, c.oid, format('alter table %s enable row level security', c.oid::regclass) from rel c where c.relrowsecurity
    union all
    select 8, c.oid, format('alter table %s force row level security', c.oid::regclass) from rel c where c.relforcerowsecurity
    union all
    select 9, s.oid, format('create statistics %I', s.stxname)
        || substr(pg_get_statisticsobjdef(s.oid), length(format('CREATE STATISTICS %I.%I', $1::text, s.stxname)) + 1)
    from pg_statistic_ext s where s.stxnamespace = (select oid from ns)
    union all
    select 10, s.oid, format('alter statistics %I set statistics %s', s.stxname, s.stxstattarget)
    from pg_statistic_ext s where s.stxnamespace = (select oid from ns) and s.stxstattarget >= 0
    union all
    select 11, c.oid, format('alter table only %s replica identity %s', c.oid::regclass,
        case c.relreplident when 'n' then 'nothing' else 'full' end)
    from rel c where c.relreplident in ('n', 'f') and c.relkind in ('r', 'p')
    union all
    select 12, ad.oid, format('alter view %s alter column %I set default %s', c.oid::regclass, a.attname, pg_get_expr(ad.adbin, ad.adrelid))
    from pg_attrdef ad join rel c on c.oid = ad.adrelid and c.relkind = 'v'
    join pg_attribute a on a.attrelid = c.oid and a.attnum = ad.adnum
    union all
    select 13, d.objid, format('alter sequence %s owned by %s.%I', d.objid::regclass, d.refobjid::regclass, a.attname)
    from pg_depend d join rel s on s.oid = d.objid and s.relkind = 'S'
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
) parts where statement is not null order by place, oid

-- name: positions
-- Statements that put every sequence of the target ($2) where the source's stands, identities' included.
select string_agg(format('select setval(%L::regclass, last_value, is_called) from %I.%I',
                         format('%I.%I', $2::text, part.relname), $1::text, part.relname), ' union all ') as statement
from (select c.relname, row_number() over (order by c.oid) / 100 as batch
      from pg_class c where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind = 'S') part
group by part.batch order by part.batch

-- name: standing
-- Statements that read where the sequences stand.
select string_agg(format('select %L::text as name, last_value, is_called from %I.%I', part.relname, $1::text, part.relname),
                  ' union all ') as statement
from (select c.relname, row_number() over (order by c.oid) / 100 as batch
      from pg_class c where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind = 'S') part
group by part.batch order by part.batch

-- name: stand
-- Put sequences of a schema where others stand.
select setval(format('%I.%I', $1::text, p.name)::regclass, p.last_value, p.is_called)
from unnest($2::text[], $3::bigint[], $4::boolean[]) as p (name, last_value, is_called)

-- name: schema_rights
-- Rights on a schema, to be given in another database.
select e.privilege_type as privilege, case when e.grantee <> 0 then pg_get_userbyid(e.grantee)::text end as grantee,
       e.is_grantable and e.grantee <> n.nspowner as grantable
from pg_namespace n cross join lateral aclexplode(n.nspacl) e where n.nspname = $1

-- name: schema_grant
-- One of them as a statement; null is everybody.
select format('grant %s on schema %I to %s%s', $2::text, $1::text, coalesce(quote_ident($3::text), 'public'),
              case when $4::boolean then ' with grant option' end)

-- name: comments
-- Comments on everything that can carry one.
with ns as (select oid from pg_namespace where nspname = $1),
described as (
    select 'pg_class'::regclass as classid, c.oid as objid, 0 as sub,
        case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
            when 'i' then 'index' when 'I' then 'index' when 'c' then 'type' else 'table' end || ' ' || c.oid::regclass as what
    from pg_class c where c.relnamespace = (select oid from ns)
    union all
    select 'pg_class'::regclass, c.oid, a.attnum, format('column %s.%I', c.oid::regclass, a.attname)
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = (select oid from ns) and c.relkind in ('r', 'p', 'v', 'm', 'c')
    union all
    select 'pg_type'::regclass, t.oid, 0, case t.typtype when 'd' then 'domain ' else 'type ' end || format_type(t.oid, null)
    from pg_type t where t.typnamespace = (select oid from ns)
    union all
    select 'pg_proc'::regclass, p.oid, 0, 'routine ' || p.oid::regprocedure from pg_proc p where p.pronamespace = (select oid from ns)
    union all
    select 'pg_constraint'::regclass, k.oid, 0, case when k.conrelid <> 0
        then format('constraint %I on %s', k.conname, k.conrelid::regclass)
        else format('constraint %I on domain %s', k.conname, format_type(k.contypid, null)) end
    from pg_constraint k where k.connamespace = (select oid from ns)
    union all
    select 'pg_trigger'::regclass, g.oid, 0, format('trigger %I on %s', g.tgname, c.oid::regclass)
    from pg_trigger g join pg_class c on c.oid = g.tgrelid
    where c.relnamespace = (select oid from ns) and not g.tgisinternal and g.tgname <> 'sb_transfer_fence'
    union all
    select 'pg_policy'::regclass, p.oid, 0, format('policy %I on %s', p.polname, c.oid::regclass)
    from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = (select oid from ns)
    union all
    select 'pg_rewrite'::regclass, r.oid, 0, format('rule %I on %s', r.rulename, c.oid::regclass)
    from pg_rewrite r join pg_class c on c.oid = r.ev_class where c.relnamespace = (select oid from ns) and r.rulename <> '_RETURN'
    union all
    select 'pg_statistic_ext'::regclass, s.oid, 0, format('statistics %I', s.stxname)
    from pg_statistic_ext s where s.stxnamespace = (select oid from ns)
)
select format('comment on %s is %L', w.what, d.description) as statement
from described w join pg_description d on d.classoid = w.classid and d.objoid = w.objid and d.objsubid = w.sub
order by w.what

-- name: schema_comment
-- The comment on the schema itself.
select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = $1

-- name: owners
-- Objects that belong to somebody other than the role that copies.
select format('alter table %s owner to %s', c.oid::regclass, c.relowner::regrole) as statement
from pg_class c where c.relnamespace = (select oid from pg_namespace where nspname = $1)
  and c.relkind in ('r', 'p', 'v', 'm') and c.relowner <> current_user::regrole
union all
select format('alter routine %s owner to %s', p.oid::regprocedure, p.proowner::regrole)
from pg_proc p where p.pronamespace = (select oid from pg_namespace where nspname = $1) and p.proowner <> current_user::regrole
  and not exists (select from pg_depend i where i.classid = 'pg_proc'::regclass and i.objid = p.oid and i.deptype = 'i')
union all
select format('alter type %s owner to %s', format_type(t.oid, null), t.typowner::regrole)
from pg_type t left join pg_class c on c.oid = t.typrelid
where t.typnamespace = (select oid from pg_namespace where nspname = $1) and t.typowner <> current_user::regrole
  and (t.typtype in ('e', 'd', 'r') or c.relkind = 'c')

-- name: grants
-- Rights on everything in the schema; those on the schema itself come when the new side may look.
with ns as (select oid from pg_namespace where nspname = $1),
held as (
    select c.relowner as owner, c.relacl as acl, null::text as columns,
        case c.relkind when 'S' then 'sequence ' else 'table ' end || c.oid::regclass as what
    from pg_class c where c.relnamespace = (select oid from ns) and c.relkind in ('r', 'p', 'v', 'm', 'S') and c.relacl is not null
    union all
    select c.relowner, a.attacl, format('(%I)', a.attname), 'table ' || c.oid::regclass
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attacl is not null and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = (select oid from ns)
    union all
    select p.proowner, p.proacl, null, 'routine ' || p.oid::regprocedure
    from pg_proc p where p.pronamespace = (select oid from ns) and p.proacl is not null
    union all
    select t.typowner, t.typacl, null, 'type ' || format_type(t.oid, null)
    from pg_type t where t.typnamespace = (select oid from ns) and t.typacl is not null
)
select statement from (
    select 1 as place, what, format('revoke all on %s from public, %s', what, owner::regrole) as statement
    from held where columns is null
    union all
    select 2, what, format('grant %s%s on %s to %s%s', e.privilege_type, columns, what,
        case when e.grantee = 0 then 'public' else e.grantee::regrole::text end,
        case when e.is_grantable and e.grantee <> owner then ' with grant option' end)
    from held cross join lateral aclexplode(acl) e
    -- Since PostgreSQL 17 an owner's right to VACUUM and ANALYZE is one that can be taken away.
    where not (e.privilege_type = 'MAINTAIN' and e.grantee = owner and current_setting('sb_transfer.target')::int < 170000)
    union all
    select 3, what, format('grant maintain on %s to %s', what, owner::regrole)
    from held where columns is null and what like 'table %' and current_setting('server_version_num')::int < 170000
      and current_setting('sb_transfer.target')::int >= 170000
) rights order by place, what, statement

-- name: loads
-- Every table that holds rows of its own, with the columns that are stored (not generated), largest first. Its family is
-- itself, or the partitioned table at the root of which it is a part.
select c.oid::regclass::text as table_name, c.relname,
    coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as family,
    pg_relation_size(c.oid) / current_setting('block_size')::int as pages, pg_relation_filenode(c.oid)::bigint as filenode,
    pg_table_size(c.oid) as bytes, greatest(c.reltuples, 0)::bigint as rows_estimate,
    array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and a.attgenerated = '' order by a.attnum) as names,
    -- Whether every value's binary form means the same in another database: no number of a type that somebody made is in
    -- it. Below 10000 the server's own types have the same numbers everywhere.
    not exists (select from pg_attribute a join pg_type t on t.oid = a.atttypid
                left join pg_type b on b.oid = t.typbasetype
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
                  and not (coalesce(b.oid, t.oid) < 10000 and coalesce(b.typsend, t.typsend) <> 0
                           and coalesce(b.typreceive, t.typreceive) <> 0 or coalesce(b.typtype, t.typtype) = 'e')) as portable,
    (select string_agg(format('%I', a.attname), ', ' order by a.attnum) from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
    -- A value of an environment's own type goes by its text into the copy's type of that name; text is made to be read
    -- back exactly, under the settings of `enter`.
    (select string_agg(format(case when t.typnamespace = c.relnamespace then '%1$I::text::%2$s' else '%1$I' end,
            a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
       from pg_attribute a join pg_type t on t.oid = a.atttypid
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as expressions
from pg_class c
where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind = 'r'
order by pg_table_size(c.oid) desc, c.oid
