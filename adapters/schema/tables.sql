-- Tables and what is on them, as the statements that make them again. Runs after `own` and `enter_definitions` of
-- catalog.sql.

-- name: tables
-- Bare tables, with the columns that are their own: no index, no default, nothing that slows a load. `lonely` ones could
-- be made beside others at any time, as far as their names go: two tables that are made at once must not want the same
-- name for their array types, which is theirs behind an underscore.
select c.oid as id, quote_ident(c.relname) as quoted, c.oid::regclass::text as qualified,
    c.relispartition as partition, (select nspname::text from pg_namespace where oid = c.relnamespace) as schema, c.relname::text as name,
    exists (
        select from pg_attribute a join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attgenerated <> '' and control.is_worked_out(d.adbin::text)) as worked_out,
    array(select i.inhparent from pg_inherits i where i.inhrelid = c.oid order by i.inhseqno) as parents,
    c.relname not like '\_%' and octet_length(c.relname::text) < 63
        and not exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)) as lonely,
    format('create %s table %s', case c.relpersistence when 'u' then 'unlogged' end, c.oid::regclass) as head,
    k.names, k.clauses, k.own,
    array(select format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid))
         from pg_constraint k
         where current_setting('sb_transfer.version')::int >= 180000
           and k.conrelid = c.oid and k.contype = 'n' and k.convalidated and (k.conislocal or c.relispartition)
         order by k.conkey) as not_nulls,
    (select ' inherits (' || string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno) || ')'
       from pg_inherits i where i.inhrelid = c.oid and not c.relispartition) as inherits,
    concat(case c.relkind when 'p' then ' partition by ' || pg_get_partkeydef(c.oid) end,
    case when am.amname <> 'heap' then format(' using %I', am.amname) end,
    (select ' with (' || string_agg(format('%s=%L', o.name, o.value), ', ') || ')'
       from (select split_part(x, '=', 1) as name, substr(x, strpos(x, '=') + 1) as value from unnest(c.reloptions) x
             union all
             select 'toast.' || split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)
             from pg_class tc, unnest(tc.reloptions) x where tc.oid = c.reltoastrelid) o
      where c.relkind = 'r')) as tail,
    case when c.relispartition then
        (select format('alter table only %s attach partition %s %s', i.inhparent::regclass, c.oid::regclass,
                       pg_get_expr(c.relpartbound, c.oid))
           from pg_inherits i where i.inhrelid = c.oid) end as attachment
from pg_class c left join pg_am am on am.oid = c.relam
cross join lateral (
    select array_agg(a.attname::text order by a.attnum) as names, array_agg(a.attislocal or c.relispartition order by a.attnum) as own,
        array_agg(format('%I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
            case when a.attcollation <> t.typcollation then format(' collate %s', a.attcollation::regcollation) end,
            case when a.attgenerated <> '' then format(' generated always as (%s) %s', pg_get_expr(ad.adbin, ad.adrelid),
                case a.attgenerated when 's' then 'stored' else 'virtual' end) end,
            case when a.attnotnull and current_setting('sb_transfer.version')::int < 180000 then ' not null' end)
            order by a.attnum) as clauses
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef ad on ad.adrelid = a.attrelid and ad.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) k
where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p')
order by c.oid

-- name: carried_code
-- Whether to write into a family of tables runs code that somebody has made; of all families, when one does. Materialised views
-- have code of their own.
with own as materialized (
    select c.oid, c.relname::text as relname, root.relname as root
    from pg_class c join pg_class root on root.oid = coalesce(pg_partition_root(c.oid), c.oid)
    where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p')
), code (oid) as materialized (
    select control.tables_with_code(array(select oid from own))
)
select quote_ident(o.root) as family, array_agg(o.relname order by o.oid) as tables,
       bool_or(o.oid in (select oid from code)) as runs_code, false as view
from own o where exists (select from code) group by o.root
union all
select quote_ident(c.relname), array[c.relname::text], true, true
from pg_class c where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind = 'm'

-- name: columns
-- Settings of single columns other than defaults: identities too, which a column does not pass on to those that inherit
-- it, as it would in its table's definition. And the type that a table's rows are of.
select c.oid as id, a.attnum as place, 1 as step, format('alter table %s%s alter column %I %s', case c.relkind when 'r' then 'only ' end, c.oid::regclass,
    a.attname, s.setting) as statement
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
cross join lateral (values
    -- Since PostgreSQL 18 a NOT NULL is a constraint with a name, and stands in the table's definition.
    (case when a.attnotnull and not a.attislocal and current_setting('sb_transfer.version')::int < 180000 then 'set not null' end),
    (case when a.attidentity <> '' then (
        select format('add generated %s as identity (sequence name %s increment by %s minvalue %s maxvalue %s start with %s cache %s %s)',
            case a.attidentity when 'a' then 'always' else 'by default' end, s.seqrelid::regclass, s.seqincrement,
            s.seqmin, s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then 'cycle' else 'no cycle' end)
        from pg_depend d join pg_sequence s on s.seqrelid = d.objid
        where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
          and d.refobjid = c.oid and d.refobjsubid = a.attnum and d.deptype = 'i') end),
    (case when a.attstorage <> t.typstorage then 'set storage '
        || case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end end),
    (case when a.attcompression <> '' then 'set compression ' || case a.attcompression when 'l' then 'lz4' else 'pglz' end end),
    (case when a.attstattarget >= 0 then 'set statistics ' || a.attstattarget end),
    ((select 'set (' || string_agg(format('%s=%L', split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)), ', ') || ')'
        from unnest(a.attoptions) x))) s(setting)
where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p') and s.setting is not null
union all
-- An identity's sequence that is of another type than its column, or is logged otherwise than its table.
select c.oid, a.attnum, 2, s.statement
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attidentity <> '' and not a.attisdropped
join pg_depend d on d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
    and d.refobjid = c.oid and d.refobjsubid = a.attnum and d.deptype = 'i'
join pg_sequence q on q.seqrelid = d.objid
join pg_class i on i.oid = d.objid
cross join lateral (values
    (case when q.seqtypid <> a.atttypid then format('alter sequence %s as %s', i.oid::regclass, format_type(q.seqtypid, null)) end),
    (case when i.relpersistence <> c.relpersistence and c.relkind = 'r'
        then format('alter sequence %s set %s', i.oid::regclass, case i.relpersistence when 'u' then 'unlogged' else 'logged' end) end)) s (statement)
where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p') and s.statement is not null
union all
select c.oid, null, 1, format('alter table %s of %s', c.oid::regclass, c.reloftype::regtype)
from pg_class c where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.reloftype <> 0
order by id, place, step

-- name: indexes
-- Every index by itself, so that they can be built side by side; `constraint_of` puts one under its constraint. `computed`:
-- its values come from somebody's function, which may need names that it finds only when rows are written one by one.
select i.oid as id, c.oid as table_id, quote_ident(root.relname) as family, i.relname as index_name, c.relkind = 'p' as partitioned,
    case when k.oid is not null and (c.relkind = 'p' or k.contype = 'x' or k.conperiod or k.heir)
        then format('alter table only %s add constraint %I %s', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid))
        else pg_get_indexdef(x.indexrelid) end as statement,
    case when k.oid is not null and c.relkind <> 'p' and k.contype in ('p', 'u') and not k.conperiod and not k.heir
        then format('alter table only %s add constraint %I %s using index %I%s%s', c.oid::regclass, k.conname,
            case k.contype when 'p' then 'primary key' else 'unique' end, i.relname,
            case when k.condeferrable then ' deferrable' end, case when k.condeferred then ' initially deferred' end)
        end as constraint_of,
    coalesce(k.contype in ('p', 'u'), false) or exists (
        select from pg_depend d where d.refclassid = 'pg_class'::regclass and d.refobjid = i.oid
          and d.classid = 'pg_constraint'::regclass) as key,
    exists (
        select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.oid and (
            d.refclassid = 'pg_proc'::regclass and exists (
                select from pg_proc p join pg_language l on l.oid = p.prolang
                where p.oid = d.refobjid and l.lanname not in ('internal', 'c'))
            or d.refclassid = 'pg_operator'::regclass and exists (
                select from pg_operator o join pg_proc p on p.oid = o.oprcode join pg_language l on l.oid = p.prolang
                where o.oid = d.refobjid and l.lanname not in ('internal', 'c'))
            or d.refclassid = 'pg_opclass'::regclass and d.refobjid = any((select current_setting('sb_transfer.others')::oid[])::oid[])
            or d.refclassid = 'pg_type'::regclass and exists (
                select from pg_type y where y.oid = d.refobjid and y.typtype = 'd'))) as computed,
    pg_table_size(c.oid) as bytes, o.disorder,
    array_remove(array[
        (select format('alter index %s attach partition %s', h.inhparent::regclass, i.oid::regclass)
           from pg_inherits h where h.inhrelid = i.oid),
        case when x.indisreplident then format('alter table only %s replica identity using index %I', c.oid::regclass, i.relname) end,
        case when x.indisclustered then format('alter table only %s cluster on %I', c.oid::regclass, i.relname) end
    ] || array(select format('alter index %s alter column %s set statistics %s', i.oid::regclass, a.attnum, a.attstattarget)
        from pg_attribute a where a.attrelid = i.oid and a.attnum > 0 and a.attstattarget >= 0 order by a.attnum), null) as afterwards
from pg_class c
join pg_class root on root.oid = coalesce(pg_partition_root(c.oid), c.oid)
join pg_index x on x.indrelid = c.oid
join pg_class i on i.oid = x.indexrelid
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
where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p')
order by c.relkind = 'p' desc, pg_relation_size(c.oid) desc, i.oid

-- name: constraints
-- Checks, foreign keys, and what NOT NULLs are not validated. `at_once` ones may be declared while tables are empty: valid
-- ones, and of the checks those that call none of anybody's own functions, which may read other tables.
select k.oid as id, c.oid as table_id, quote_ident(c.relname) as table_name, quote_ident(root.relname) as family,
    case when k.contype = 'f' then case when theirs.relnamespace = c.relnamespace then quote_ident(theirs.relname)
        else theirs.oid::regclass::text end end as referred,
    case when k.contype = 'f' and not theirs.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
        then quote_ident(k.conname) end as outside,
    format('alter table %s add constraint %I %s', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid)) as statement,
    -- Declared without a look at the rows, then validated beside others. Partitioned tables cannot do that everywhere.
    case when k.convalidated and (k.contype = 'c'
              or k.contype = 'f' and k.conparentid = 0 and c.relkind = 'r'
                 and not exists (select from pg_class r where r.oid = k.confrelid and r.relkind = 'p'))
        then format('alter table %s validate constraint %I', c.oid::regclass, k.conname) end as validation,
    k.contype = 'f' as foreign_key,
    k.convalidated and (k.contype = 'f' or k.contype = 'c' and not exists (
        select from pg_depend d where d.classid = 'pg_constraint'::regclass and d.objid = k.oid
          and d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass))) as at_once
from pg_constraint k join pg_class c on c.oid = k.conrelid
join pg_class root on root.oid = coalesce(pg_partition_root(c.oid), c.oid)
left join pg_class theirs on theirs.oid = coalesce(pg_partition_root(k.confrelid), k.confrelid)
where k.conrelid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p')
  and (k.contype = 'c' and k.conislocal or k.contype = 'n' and not k.convalidated and k.conislocal
       or k.contype = 'f' and (k.conparentid = 0 or exists (
           -- A partition's that has a name of its own, and was taken in by that of its parent.
           select from pg_constraint up where up.oid = k.conparentid and up.conrelid <> k.conrelid and up.conname <> k.conname)))
-- A parent's check reaches its children: theirs of the same name come first, so that the two merge. Those foreign keys of
-- partitions that were taken in by their parents' come before these, and others after, so that they are not. Foreign keys lock
-- what they refer to in one order.
order by k.contype, (select count(*) from pg_partition_ancestors(c.oid))
    * case when k.contype = 'f' and k.conparentid = 0 then -1 else 1 end desc, exists (select from pg_inherits i where i.inhrelid = c.oid) desc,
    referred, k.conparentid = 0, c.oid, k.oid

-- name: loads
-- Every table, and every filled materialised view, with the columns that are stored (not generated), largest first. Its
-- family is itself, or the partitioned table at the root of which it is a part; its rows go `through` that root where the
-- place of a row among hash partitions follows from a number that an enum's value has by chance.
with recursive typ (id, part) as (
    select a.atttypid, a.atttypid from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind = 'p'
    union
    select t.id, p.part from typ t cross join lateral (
        select typbasetype from pg_type where oid = t.part and typbasetype <> 0
        union all
        select typelem from pg_type where oid = t.part and typelem <> 0
        union all
        select rngsubtype from pg_range where rngtypid = t.part or rngmultitypid = t.part
        union all
        select a.atttypid from pg_type y join pg_attribute a on a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped
        where y.oid = t.part and y.typtype = 'c') p (part)
), chance (id) as (
    select c.oid from pg_class c join pg_partitioned_table p on p.partrelid = c.oid
    where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and p.partstrat = 'h' and (
        p.partexprs is not null and exists (
            select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
              and d.refclassid in ('pg_type'::regclass, 'pg_proc'::regclass))
        or exists (
            select from unnest(p.partattrs::smallint[]) k join pg_attribute a on a.attrelid = c.oid and a.attnum = k
            join typ t on t.id = a.atttypid join pg_type y on y.oid = t.part and y.typtype = 'e'))
)
select c.oid as id, quote_ident(c.relname) as table_name, c.relname, c.relkind = 'm' as view,
    quote_ident(root.relname) as family,
    case when c.relispartition and exists (
            select from pg_partition_ancestors(c.oid) a where a.relid in (select id from chance))
        then root.relname::text end as through,
    pg_relation_size(c.oid) / current_setting('block_size')::int as pages, pg_relation_filenode(c.oid)::bigint as filenode,
    pg_table_size(c.oid) as bytes, greatest(c.reltuples, 0)::bigint as rows_estimate, k.names, k.portable, k.columns, k.expressions
from pg_class c
join pg_class root on root.oid = coalesce(pg_partition_root(c.oid), c.oid)
cross join lateral (
    select coalesce(array_agg(a.attname::text order by a.attnum), '{}') as names,
        string_agg(format('%I', a.attname), ', ' order by a.attnum) as columns,
        -- Whether every value's binary form means the same in another database: no number of a type that somebody made is
        -- in it. Below 10000 the server's own types have the same numbers everywhere.
        coalesce(bool_and(coalesce(b.oid, t.oid) < 10000 and coalesce(b.typsend, t.typsend) <> 0
                 and coalesce(b.typreceive, t.typreceive) <> 0 or coalesce(b.typtype, t.typtype) = 'e'), true) as portable,
        -- A value of an environment's own type goes by its text into the copy's type of that name; text is made to be read
        -- back exactly, under the settings of `enter_definitions`. A domain's goes by the type under it, for a cast to text
        -- is not always how the server writes a value; where somebody made such a cast, the server is asked to write it.
        string_agg(format(case
                when t.typnamespace <> c.relnamespace then '%1$I'
                when t.typtype = 'd' and b.typnamespace <> c.relnamespace and b.typcategory <> 'A' then '%1$I::%3$s::%2$s'
                when exists (select from pg_cast x where x.castsource = t.oid and x.casttarget = 'text'::regtype)
                    then 'case when num_nulls(%1$I) = 0 then format(''%%s'', %1$I) end::%2$s'
                else '%1$I::text::%2$s' end,
            a.attname, format_type(a.atttypid, a.atttypmod),
            case when t.typtype = 'd' then format_type(b.oid, -1) end), ', ' order by a.attnum) as expressions
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    left join lateral (
        -- What is at the bottom of a domain.
        with recursive under (id, base) as (
            select t.oid, t.typbasetype where t.typtype = 'd'
            union all
            select y.oid, y.typbasetype from under u join pg_type y on y.oid = u.base
        ) select y.* from under u join pg_type y on y.oid = u.id where u.base = 0) b on true
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') k
where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and (c.relkind = 'r' or c.relkind = 'm' and c.relispopulated)
order by pg_table_size(c.oid) desc, c.oid
