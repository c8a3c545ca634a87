-- What only rows can tell of a move: whether they meet rules, and give values, that the copy will ask of them anew. Runs
-- after `own` and `enter_definitions` of adapters/schema/catalog.sql. Nothing is asked of rows whose rules are made of the
-- server's own immutable functions: what was written met those, and still does.

-- name: prepare
-- For the questions below: functions whose answer `hangs` on the clock or on chance, by their texts and those of what they
-- call; `doubtful` expressions' parts: functions and operators that somebody made and may have changed, or that hang on
-- settings. Extensions' functions do not change by themselves.
with recursive part (class, id) as materialized (
    select d.classid, d.objid from pg_depend d
    where d.refclassid = 'pg_class'::regclass and d.refobjid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
      and d.classid in ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_attrdef'::regclass)
    union
    select 'pg_constraint'::regclass, oid from pg_constraint where contypid = any((select current_setting('sb_transfer.types')::oid[])::oid[])
    union
    select 'pg_class'::regclass, unnest(current_setting('sb_transfer.relations')::oid[])
),
need as materialized (
    -- Asked for each part, or the server reads what every environment calls.
    select distinct d.refclassid, d.refobjid from part
    cross join lateral (select * from pg_depend where classid = part.class and objid = part.id offset 0) d
    where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass)
),
body as materialized (
    select p.oid, regexp_replace(p.proname, '\W', '\\\&', 'g') as name,
           regexp_replace(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), '--[^\n]*|/\*.*?\*/', ' ', 'g') as text
    from pg_proc p join pg_language l on l.oid = p.prolang
    where l.lanname not in ('c', 'internal') and p.prokind <> 'a'
      -- One list of numbers, so that the functions of other environments are not read.
      and p.oid = any(array(
          select unnest(current_setting('sb_transfer.functions')::oid[])
          union
          select refobjid from need where refclassid = 'pg_proc'::regclass))
),
hanging (oid) as (
    select oid from body
    where text ~* '\m(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random|random_normal|gen_random_uuid|uuidv4|uuidv7|nextval)\s*\('
       or text ~* '\m(current_date|current_time|current_timestamp|localtime|localtimestamp)\M'
    union
    select b.oid from hanging h join body n on n.oid = h.oid join body b on b.text ~* ('\m' || n.name || '\s*\(')
)
select set_config('sb_transfer.hanging', array(select oid from hanging)::text, true),
       set_config('sb_transfer.doubtful', array(
           select distinct n.refobjid from need n
           where not exists (select from pg_depend e where e.classid = n.refclassid and e.objid = n.refobjid and e.deptype = 'e')
           )::text, true)

-- name: rules
-- Checks of tables, the bounds of partitions whose place is computed, and, of each table, the checks of the domains that its
-- values are made of, to any depth: those that rows may break without a write. `domain` and `rule` are names, quoted.
with recursive doubt (class, id, hangs) as materialized (
    select d.classid, d.objid, bool_or(d.refobjid = any((select current_setting('sb_transfer.hanging')::oid[])::oid[]) and d.refclassid = 'pg_proc'::regclass)
    from pg_depend d
    where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass) and d.refobjid = any((select current_setting('sb_transfer.doubtful')::oid[])::oid[])
    group by 1, 2
),
rule as materialized (
    select k.oid, k.conrelid, k.contypid, k.conname, k.conbin, u.hangs
    from (select * from pg_constraint where conrelid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
          union all
          select * from pg_constraint where contypid = any((select current_setting('sb_transfer.types')::oid[])::oid[])) k
    left join doubt u on u.class = 'pg_constraint'::regclass and u.id = k.oid
    where k.contype = 'c' and k.convalidated and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
      and (u.id is not null or k.conbin::text ~ 'SQLVALUEFUNCTION|COERCEVIAIO' or exists (
          select from regexp_matches(k.conbin::text, ':(?:funcid|opfuncid) (\d+)', 'g') m join pg_proc p on p.oid = m[1]::oid
          where p.provolatile <> 'i'))
),
made_of (relation, type) as (
    select a.attrelid, a.atttypid from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
      and exists (select from rule where contypid <> 0)
    union
    select m.relation, p.part from made_of m cross join lateral (
        select typbasetype from pg_type where oid = m.type and typbasetype <> 0
        union all
        select typelem from pg_type where oid = m.type and typelem <> 0
        union all
        select rngsubtype from pg_range where rngtypid = m.type or rngmultitypid = m.type
        union all
        select a.atttypid from pg_type y join pg_attribute a on a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped
        where y.oid = m.type and y.typtype = 'c') p (part)
)
select c.relname::text as name, format('%I.%I', n.nspname, c.relname) as quoted, pg_table_size(c.oid) as bytes,
    r.what, r.expression, coalesce(r.hangs, false) as hangs, r.domain, r.rule,
    array(
        select m[1] from regexp_matches(r.tree, 'SQLVALUEFUNCTION') s,
            regexp_matches(r.expression, '\m(CURRENT_DATE|CURRENT_TIMESTAMP|CURRENT_TIME|LOCALTIMESTAMP|LOCALTIME)\M', 'g') m
        union
        select p.proname::text from regexp_matches(r.tree, ':(?:funcid|opfuncid) (\d+)', 'g') m join pg_proc p on p.oid = m[1]::oid
        where p.oid = any((select current_setting('sb_transfer.hanging')::oid[])::oid[]) or p.pronamespace = 'pg_catalog'::regnamespace and (
            p.proname in ('now', 'clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'timeofday', 'random',
                          'random_normal', 'gen_random_uuid', 'uuidv4', 'uuidv7', 'nextval') or p.proname = 'age' and p.pronargs = 1)
        union
        select m[1] from regexp_matches(r.expression, '\((''(?:now|today|tomorrow|yesterday)''::text)\)', 'g') m
    ) as clocks
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    select format('check %I of %I', k.conname, c.relname) as what, pg_get_expr(k.conbin, k.conrelid) as expression,
        k.conbin::text as tree, k.hangs, null::text as domain, null::text as rule
    from rule k where k.conrelid = c.oid
    union all
    select format('check %I of domain %I', k.conname, t.typname), pg_get_constraintdef(k.oid), k.conbin::text, k.hangs, t.oid::regtype::text,
        quote_ident(k.conname)
    from rule k join pg_type t on t.oid = k.contypid where k.contypid in (select type from made_of where relation = c.oid)
    union all
    select format('partition %I', c.relname), pg_get_partition_constraintdef(c.oid), null, null, null, null
    where c.relispartition and exists (
        select from pg_partition_ancestors(c.oid) a join doubt u on u.class = 'pg_class'::regclass and u.id = a.relid
        join pg_partitioned_table p on p.partrelid = a.relid and p.partexprs is not null and p.partstrat <> 'h')
) r
where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind = 'r'
order by bytes, c.oid

-- name: computed
-- Of tables: columns that are computed, and indexes over computed values, wherever those are made with somebody's functions.
with doubt (class, id, part, hangs) as materialized (
    select d.classid, d.objid, d.objsubid, bool_or(d.refobjid = any((select current_setting('sb_transfer.hanging')::oid[])::oid[]) and d.refclassid = 'pg_proc'::regclass)
    from pg_depend d
    where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass) and d.refobjid = any((select current_setting('sb_transfer.doubtful')::oid[])::oid[])
    group by 1, 2, 3
),
own as materialized (select * from pg_class where oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and relkind = 'r')
select c.relname::text as name, format('%I.%I', n.nspname, c.relname) as quoted, pg_table_size(c.oid) as bytes, q.kind, q.what,
    q.stored, q.expression, q.predicate, q.hangs, q.every, q.names, q.pairs
from own c join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    select 'column' as kind, format('column %I of %I', a.attname, c.relname) as what, format('%I', a.attname) as stored,
        format('(%s)::%s', pg_get_expr(d.adbin, d.adrelid), format_type(a.atttypid, a.atttypmod)) as expression,
        null::text as predicate, u.hangs, null::text as every, null::text as names, null::text as pairs
    from pg_attribute a join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    join doubt u on u.class = 'pg_attrdef'::regclass and u.id = d.oid
        -- Before PostgreSQL 15 it is the column itself that needs the function.
        or u.class = 'pg_class'::regclass and u.id = c.oid and u.part = a.attnum
    where a.attrelid = c.oid and a.attgenerated = 's'
    union all
    select case when x.indisexclusion then 'exclusion' when x.indisunique then 'unique' else 'index' end, format('index %I of %I', i.relname, c.relname), null,
        (select string_agg(pg_get_indexdef(x.indexrelid, k, false), ', ' order by k) from generate_series(1, x.indnkeyatts) k),
        pg_get_expr(x.indpred, x.indrelid), u.hangs,
        -- Of an index on a generated column, which is no column that is carried: every column as it stands.
        (select string_agg(format('%I', a.attname), ', ' order by a.attnum) from pg_attribute a
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and exists (
              select from pg_depend d join pg_attribute g on g.attrelid = d.refobjid and g.attnum = d.refobjsubid
              where d.classid = 'pg_class'::regclass and d.objid = i.oid and d.refclassid = 'pg_class'::regclass
                and d.refobjid = c.oid and g.attgenerated <> '')),
        (select string_agg(format('%I', n::text), ', ' order by n) from generate_series(1, x.indnkeyatts) n),
        (select string_agg(format('a.%1$I operator(%2$I.%3$s) b.%1$I', e.place::text, n.nspname, o.oprname), ' and ' order by e.place)
           from pg_constraint k cross join lateral unnest(k.conexclop) with ordinality e (id, place)
           join pg_operator o on o.oid = e.id join pg_namespace n on n.oid = o.oprnamespace
          where k.conrelid = c.oid and k.conindid = i.oid)
    from pg_index x join pg_class i on i.oid = x.indexrelid join doubt u on u.class = 'pg_class'::regclass and u.id = i.oid
    where x.indrelid = c.oid
) q
order by bytes, c.oid

-- name: keys
-- Foreign keys that are valid, and a statement that tells whether rows of theirs refer to nothing.
select format('foreign key %I of %I', k.conname, c.relname) as what, c.relname::text as name,
    pg_table_size(c.oid) + pg_table_size(r.oid) as bytes,
    format('select exists (select from %s%s f where %s and not coalesce((select %s from %s%s p where %s), false))',
        case c.relkind when 'r' then 'only ' end, c.oid::regclass,
        case k.confmatchtype when 'f' then 'num_nonnulls(' || f.columns || ') > 0' else 'num_nulls(' || f.columns || ') = 0' end,
        -- Since PostgreSQL 18 the last column may be a period, all of which has to be there.
        case when e.period then f.within else 'count(*) > 0' end,
        case r.relkind when 'r' then 'only ' end, r.oid::regclass, f.equal) as statement
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class r on r.oid = k.confrelid
cross join lateral (select coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false) as period) e
cross join lateral (
    select string_agg(format('f.%I', a.attname), ', ' order by i) as columns,
           string_agg(format('p.%I operator(%I.%s) f.%I', b.attname, n.nspname, o.oprname, a.attname), ' and ' order by i)
               filter (where not (e.period and i = cardinality(k.conkey))) as equal,
           max(format('range_agg(p.%I) @> f.%I', b.attname, a.attname)) filter (where i = cardinality(k.conkey)) as within
    from generate_subscripts(k.conkey, 1) i
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[i]
    join pg_attribute b on b.attrelid = k.confrelid and b.attnum = k.confkey[i]
    join pg_operator o on o.oid = k.conpfeqop[i] join pg_namespace n on n.oid = o.oprnamespace) f
where k.conrelid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and k.contype = 'f' and k.convalidated and k.conparentid = 0
  and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
order by bytes, k.oid

-- name: views
-- Materialised views with rows: their queries run once more before the rows are put in their place.
select format('materialized view %I', c.relname) as what, c.relname::text as name, pg_table_size(c.oid) as bytes,
    format('select count(q) from (%s) q', rtrim(pg_get_viewdef(c.oid), ';')) as statement
from pg_class c where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind = 'm' and c.relispopulated
order by bytes, c.oid

-- name: has_code
-- Whether rows may pass through functions that look around for themselves.
select current_setting('sb_transfer.functions') <> '{}'
    or exists (select from pg_proc p join pg_language l on l.oid = p.prolang and l.lanname not in ('c', 'internal')
               where p.pronamespace = 'public'::regnamespace)

-- name: bounds
-- Within how many milliseconds ($1; 0 is for ever) a question is answered, and in which time zone ($2, or this one).
select format('set local statement_timeout = %s; set local timezone to %L', $1::text, coalesce($2::text, current_setting('timezone')))

-- name: at_moment
-- Give the copy of a domain ($1) its rule ($2) as it will be at some moment ($3); not held against rows, of which there are none.
select format('alter domain %1$s drop constraint %2$s; alter domain %1$s add constraint %2$s %3$s not valid',
              $1::text, $2::text, $3::text)

-- Braces below are filled with names and expressions that the server has written.

-- name: together
-- The answers to several questions.
select array[{statements}]

-- name: breaks
-- Whether there are rows for which something holds.
select exists (select from only {table} where {test})

-- name: domain_values
-- Takes every value through the copy's type, and leaves none out because nobody needs it.
select sum(num_nulls({columns})) from (select {expressions} from only {table}) as {name} ({columns})

-- name: differs
-- Whether a column is computed otherwise than it is stored, of rows as the copy gets them.
select exists (select from (select {expressions}, {stored}::text from only {table}) as {name} ({columns}, "sb stored")
               where "sb stored" is distinct from ({expression})::text)

-- name: index_values
-- Computes what an index holds, of rows as the copy gets them; says no.
select count(*) < 0 from (select {expressions} from only {table}) as {name} ({columns})
where {predicate} and num_nulls({expression}) >= 0

-- name: excluded
-- Whether an exclusion constraint would let no two rows be that are there.
with kept ("of row", {names}) as materialized (select row_number() over (), {expression} from only {table} where {predicate})
select exists (select from kept a join kept b on a."of row" < b."of row" where {pairs})

-- name: twice
-- Whether rows are the same to a unique index.
select exists (select from only {table} where {predicate} and num_nulls({expression}) = 0 group by {expression} having count(*) > 1)
