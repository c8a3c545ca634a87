-- What a schema holds, as the statements that make it again.
--
-- Every query runs after `enter_definitions`: search_path is the server's own, so the server writes every other name with
-- its schema in front, and what a statement means never depends on what else is found on a path. The schema's own name is
-- put right afterwards. No query looks at an object of another schema: `pg_depend` is the index of what a schema holds,
-- and `own` keeps the ids in settings of the transaction, so that a function such as pg_get_ruledef never meets an object
-- of an environment that is just going away.

-- name: enter_definitions
-- Let the server write, and read, every name in full, and values the same way whoever connects.
select set_config('search_path', 'pg_catalog, pg_temp', true), set_config('check_function_bodies', 'off', true),
       set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
       set_config('extra_float_digits', '3', true), set_config('xmloption', 'content', true),
       set_config('bytea_output', 'hex', true), set_config('quote_all_identifiers', 'off', true),
       -- Rather an error than rows that a policy hides.
       set_config('row_security', 'off', true)

-- name: enter_rows
-- Let functions that rows pass through find what they name without a schema, as they do where they come from.
select set_config('search_path', quote_ident($1::text) || ', public', true)

-- name: by_index
-- Look things up by index only ('off'), or as the server thinks best ('on'): it may take one environment's objects for so
-- many, or the catalogs for so small, that it reads those of all environments.
select set_config('enable_seqscan', $1, true), set_config('enable_mergejoin', $1, true)

-- name: own
-- What the schema ($1) holds, for the queries below, with `version`: what both servers understand, and `target`: the
-- number of the server that statements are for ($2; 0 is this one).
with ns as materialized (select oid from pg_namespace where nspname = $1::text),
own as materialized (
    select classid, objid from pg_depend
    where refclassid = 'pg_namespace'::regclass and refobjid = (select oid from ns) and deptype = 'n'
)
select set_config('sb_transfer.namespace', coalesce((select oid from ns), 0)::text, true),
       set_config('sb_transfer.relations', array(select objid from own where classid = 'pg_class'::regclass)::text, true),
       set_config('sb_transfer.types', array(select objid from own where classid = 'pg_type'::regclass)::text, true),
       set_config('sb_transfer.functions', array(
           select objid from own o where classid = 'pg_proc'::regclass
             -- a range type brings its own constructors
             and not exists (select from pg_depend i where i.classid = o.classid and i.objid = o.objid and i.deptype = 'i')
             -- what a freeze plants there is not the environment's
             and not exists (select from pg_proc p where p.oid = o.objid and p.prosrc like '-- sb\_transfer\_fence %'
                             and pg_get_userbyid(p.proowner) = current_user)
           )::text, true),
       set_config('sb_transfer.others', array(
           select objid from own
           where classid not in ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass))::text, true),
       set_config('sb_transfer.version', least(w.target, w.own)::text, true),
       set_config('sb_transfer.target', w.target::text, true)
from (select current_setting('server_version_num')::int as own,
             coalesce(nullif($2::int, 0), current_setting('server_version_num')::int) as target) w

-- name: without
-- Leave some relations ($1) out of what is asked next.
select set_config('sb_transfer.relations', array(
    select unnest(current_setting('sb_transfer.relations')::oid[]) except select unnest($1::oid[]))::text, true)

-- name: parts
-- What is made with another object: a table's row type, array types, the constructors of a range, the rule behind a view,
-- an identity's sequence. `child` goes by its `whole` where `needs` names it.
with rel as materialized (select * from pg_class where oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])),
typ as materialized (select * from pg_type where oid = any((select current_setting('sb_transfer.types')::oid[])::oid[]))
select 'pg_type'::regclass::oid as child_class, c.reltype as child, 'pg_class'::regclass::oid as whole_class, c.oid as whole
from rel c where c.reltype <> 0
union all
select 'pg_class'::regclass, t.typrelid, 'pg_type'::regclass, t.oid from typ t where t.typrelid <> 0
union all
select 'pg_type'::regclass, t.typarray, 'pg_type'::regclass, t.oid from typ t where t.typarray <> 0
union all
select 'pg_type'::regclass, t.typarray, 'pg_class'::regclass, c.oid
from rel c join pg_type t on t.oid = c.reltype where t.typarray <> 0
union all
select 'pg_type'::regclass, m.id, 'pg_type'::regclass, r.rngtypid
from typ t join pg_range r on r.rngtypid = t.oid
cross join lateral (select r.rngmultitypid as id union all select typarray from pg_type where oid = r.rngmultitypid) m
union all
select d.classid, d.objid, d.refclassid, d.refobjid
from pg_depend d where d.refclassid = 'pg_type'::regclass and d.refobjid = any((select current_setting('sb_transfer.types')::oid[])::oid[])
  and d.classid = 'pg_proc'::regclass and d.deptype = 'i'
union all
select 'pg_rewrite'::regclass, r.oid, 'pg_class'::regclass, r.ev_class
from pg_rewrite r where r.ev_class = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and r.rulename = '_RETURN'
union all
select d.classid, d.objid, d.refclassid, d.refobjid
from pg_depend d where d.refclassid = 'pg_class'::regclass and d.refobjid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
  and d.classid = 'pg_class'::regclass and d.deptype = 'i' and d.objid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
union all
select 'pg_attrdef'::regclass, ad.oid, 'pg_class'::regclass, c.oid
from rel c join pg_attribute a on a.attrelid = c.oid and a.attgenerated <> '' and a.attnum > 0
join pg_attrdef ad on ad.adrelid = c.oid and ad.adnum = a.attnum
union all
select 'pg_constraint'::regclass, k.oid, 'pg_class'::regclass, case k.contype when 'n' then k.conrelid else k.conindid end
from rel c join pg_constraint k on k.conrelid = c.oid and k.contype in ('p', 'u', 'x', 'n')
union all
select 'pg_constraint'::regclass, k.oid, 'pg_type'::regclass, t.oid
from typ t join pg_constraint k on k.contypid = t.oid and k.contype <> 'c'
union all
select d.classid, d.objid, d.refclassid, d.refobjid
from pg_depend d where d.refclassid in ('pg_opclass'::regclass, 'pg_opfamily'::regclass)
  and d.refobjid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and d.classid in ('pg_amop'::regclass, 'pg_amproc'::regclass)

-- name: needs
-- What needs what, as the server has written it down, of everything in the schema.
with part (class, id) as materialized (
    select d.classid, d.objid from pg_depend d
    where d.refclassid = 'pg_class'::regclass and d.refobjid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
      and d.classid in ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_attrdef'::regclass, 'pg_rewrite'::regclass)
    union
    select d.classid, d.objid from pg_depend d
    where d.refclassid = 'pg_type'::regclass and d.refobjid = any((select current_setting('sb_transfer.types')::oid[])::oid[])
      and d.classid in ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_cast'::regclass, 'pg_proc'::regclass)
    union
    select d.classid, d.objid from pg_depend d
    where d.refclassid in ('pg_opclass'::regclass, 'pg_opfamily'::regclass)
      and d.refobjid = any((select current_setting('sb_transfer.others')::oid[])::oid[])
    union
    select classid, objid from pg_depend
    where refclassid = 'pg_namespace'::regclass and refobjid = current_setting('sb_transfer.namespace')::oid
)
select distinct d.classid, d.objid, d.refclassid, d.refobjid
from part p join pg_depend d on d.classid = p.class and d.objid = p.id
where d.deptype in ('n', 'a', 'i', 'P', 'S') and d.refclassid <> 'pg_namespace'::regclass
  -- A sequence is made before the column that owns it.
  and not (d.deptype = 'a' and d.refobjsubid > 0 and d.classid = 'pg_class'::regclass
           and exists (select from pg_class s where s.oid = d.objid and s.relkind = 'S'))
union
-- What calls the function of a cast may be written as that cast. One from a type that is not the environment's waits for the
-- rows, which it would change on their way.
select p.class, p.id, k.classid, k.objid
from part p join pg_depend d on d.classid = p.class and d.objid = p.id and d.refclassid = 'pg_proc'::regclass
join pg_depend k on k.refclassid = d.refclassid and k.refobjid = d.refobjid and k.classid = 'pg_cast'::regclass
join pg_cast c on c.oid = k.objid and c.castsource = any(
    current_setting('sb_transfer.types')::oid[]
    || array(select reltype from pg_class where oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])))
where p.class <> 'pg_cast'::regclass
union
-- An operator that says nothing of the one that calls it its commutator or negator is made after that one, or it would.
select 'pg_operator'::regclass, b.oid, 'pg_operator'::regclass, a.oid
from pg_operator a join pg_operator b on b.oid in (a.oprcom, a.oprnegate)
where a.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and a.oprnamespace = current_setting('sb_transfer.namespace')::oid
  and b.oprnamespace = a.oprnamespace and a.oid not in (b.oprcom, b.oprnegate)

-- name: definitions
-- Types, sequences, functions, views and what else is made by one statement.
select 'pg_type'::regclass::oid as class, t.oid as id, case t.typtype when 'd' then 'domain' else 'type' end as kind,
    null::oid as table_id, t.oid::regtype::text as name, case t.typtype
    when 'e' then format('create type %s as enum (%s)', t.oid::regtype,
        (select coalesce(string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder), '')
           from pg_enum e where e.enumtypid = t.oid))
    when 'd' then format('create domain %s as %s%s%s%s', t.oid::regtype, format_type(t.typbasetype, t.typtypmod),
        (select format(' collate %s', c.oid::regcollation) from pg_collation c, pg_type b
          where c.oid = t.typcollation and b.oid = t.typbasetype and b.typcollation <> t.typcollation),
        ' default ' || pg_get_expr(t.typdefaultbin, 0),
        case when t.typnotnull then coalesce(
            (select format(' constraint %I not null', k.conname) from pg_constraint k
              where k.contypid = t.oid and k.contype = 'n' and current_setting('sb_transfer.target')::int >= 170000),
            ' not null') end)
    when 'c' then format('create type %s as (%s)', t.oid::regtype,
        (select string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                    case when a.attcollation <> at.typcollation then format(' collate %s', a.attcollation::regcollation) end),
                    ', ' order by a.attnum)
           from pg_attribute a join pg_type at on at.oid = a.atttypid
          where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped))
    when 'r' then (select format('create type %s as range (subtype = %s, multirange_type_name = %s%s%s%s)', t.oid::regtype,
            format_type(r.rngsubtype, null), r.rngmultitypid::regtype,
            case when not o.opcdefault then format(', subtype_opclass = %I.%I', opn.nspname, o.opcname) end,
            case when r.rngcollation <> 0 then format(', collation = %s', r.rngcollation::regcollation) end,
            case when r.rngsubdiff <> 0 then format(', subtype_diff = %s', r.rngsubdiff::regproc) end)
        from pg_range r join pg_opclass o on o.oid = r.rngsubopc join pg_namespace opn on opn.oid = o.opcnamespace
        where r.rngtypid = t.oid)
    end as statement
from pg_type t
where t.oid = any((select current_setting('sb_transfer.types')::oid[])::oid[]) and t.typtype in ('e', 'd', 'c', 'r')
union all
-- Of domains the checks that their values meet; others come when the rows are there.
select 'pg_constraint'::regclass, k.oid, case when k.convalidated then 'domain check' else 'domain rule' end, null, k.contypid::regtype::text,
    case when k.convalidated then format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid))
        else format('alter domain %s add constraint %I %s', k.contypid::regtype, k.conname, pg_get_constraintdef(k.oid)) end
from pg_constraint k
where k.contypid = any((select current_setting('sb_transfer.types')::oid[])::oid[]) and k.contype = 'c'
union all
-- Sequences that stand alone or belong to a serial column; an identity's comes with its column.
select 'pg_class'::regclass, c.oid, 'sequence', null, c.oid::regclass::text,
    format('create %s sequence %s as %s increment by %s minvalue %s maxvalue %s start with %s cache %s %s',
        case c.relpersistence when 'u' then 'unlogged' end, c.oid::regclass, format_type(s.seqtypid, null), s.seqincrement,
        s.seqmin, s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then 'cycle' else 'no cycle' end)
from pg_class c join pg_sequence s on s.seqrelid = c.oid
where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'i')
union all
-- None runs as its owner, who may be this service, as long as the copy is made: see `definers`.
select 'pg_proc'::regclass, p.oid, 'function', null, p.proname, concat(pg_get_functiondef(p.oid),
    case when p.prosecdef then format(E';\nalter routine %I.%I(%s) security invoker', n.nspname, p.proname,
                                      pg_get_function_identity_arguments(p.oid)) end)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where p.oid = any((select current_setting('sb_transfer.functions')::oid[])::oid[]) and p.prokind <> 'a'
union all
select 'pg_proc'::regclass, p.oid, 'aggregate', null, p.proname, format('create aggregate %I.%I(%s) (%s)', n.nspname, p.proname,
    case when p.pronargs = 0 then '*' else pg_get_function_arguments(p.oid) end,
    concat_ws(', ', format('sfunc = %s, stype = %s', f.sfunc, format_type(a.aggtranstype, null)),
        case when a.aggtransspace <> 0 then format('sspace = %s', a.aggtransspace) end,
        'finalfunc = ' || f.finalfunc,
        case when a.aggfinalextra then 'finalfunc_extra' end,
        case when a.aggfinalfn <> 0 then 'finalfunc_modify = ' || m.modify end,
        'combinefunc = ' || f.combinefunc, 'serialfunc = ' || f.serialfunc, 'deserialfunc = ' || f.deserialfunc,
        'msfunc = ' || f.msfunc, 'minvfunc = ' || f.minvfunc,
        case when a.aggmtranstype <> 0 then format('mstype = %s', format_type(a.aggmtranstype, null)) end,
        case when a.aggmtransspace <> 0 then format('msspace = %s', a.aggmtransspace) end,
        'mfinalfunc = ' || f.mfinalfunc,
        case when a.aggmfinalextra then 'mfinalfunc_extra' end,
        case when a.aggmfinalfn <> 0 then 'mfinalfunc_modify = ' || m.mmodify end,
        'initcond = ' || quote_literal(a.agginitval), 'minitcond = ' || quote_literal(a.aggminitval),
        (select format('sortop = operator(%I.%s)', n.nspname, o.oprname) from pg_operator o
          join pg_namespace n on n.oid = o.oprnamespace where o.oid = a.aggsortop),
        case when a.aggkind = 'h' then 'hypothetical' end,
        case p.proparallel when 's' then 'parallel = safe' when 'r' then 'parallel = restricted' end))
from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_aggregate a on a.aggfnoid = p.oid
-- By schema and name: `regproc` leaves the schema out where it finds just one of that name.
cross join lateral (
    select max(w.name) filter (where w.what = 'sfunc') as sfunc, max(w.name) filter (where w.what = 'finalfunc') as finalfunc,
           max(w.name) filter (where w.what = 'combinefunc') as combinefunc,
           max(w.name) filter (where w.what = 'serialfunc') as serialfunc,
           max(w.name) filter (where w.what = 'deserialfunc') as deserialfunc,
           max(w.name) filter (where w.what = 'msfunc') as msfunc, max(w.name) filter (where w.what = 'minvfunc') as minvfunc,
           max(w.name) filter (where w.what = 'mfinalfunc') as mfinalfunc
    from (select v.what, format('%I.%I', fn.nspname, fp.proname) as name
          from (values ('sfunc', a.aggtransfn), ('finalfunc', a.aggfinalfn), ('combinefunc', a.aggcombinefn),
                       ('serialfunc', a.aggserialfn), ('deserialfunc', a.aggdeserialfn), ('msfunc', a.aggmtransfn),
                       ('minvfunc', a.aggminvtransfn), ('mfinalfunc', a.aggmfinalfn)) v (what, id)
          join pg_proc fp on fp.oid = v.id join pg_namespace fn on fn.oid = fp.pronamespace) w) f
cross join lateral (
    select case a.aggfinalmodify when 'r' then 'read_only' when 's' then 'shareable' else 'read_write' end as modify,
           case a.aggmfinalmodify when 'r' then 'read_only' when 's' then 'shareable' else 'read_write' end as mmodify) m
where p.oid = any((select current_setting('sb_transfer.functions')::oid[])::oid[]) and p.prokind = 'a'
union all
select 'pg_attrdef'::regclass, ad.oid, 'default', c.oid, c.oid::regclass::text,
    format('alter %s %s alter column %I set default %s', case c.relkind when 'v' then 'view' else 'table only' end,
        c.oid::regclass, a.attname, pg_get_expr(ad.adbin, ad.adrelid))
from pg_attrdef ad join pg_class c on c.oid = ad.adrelid
join pg_attribute a on a.attrelid = c.oid and a.attnum = ad.adnum and a.attgenerated = ''
where ad.adrelid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p', 'v')
union all
select 'pg_class'::regclass, c.oid, 'view', null, c.oid::regclass::text, format('create view %s%s as %s', c.oid::regclass,
    (select ' with (' || string_agg(format('%s=%L', split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)), ', ') || ')'
       from unnest(c.reloptions) x), pg_get_viewdef(c.oid))
from pg_class c where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind = 'v'
union all
select 'pg_class'::regclass, c.oid, case when c.relispopulated then 'filled view' else 'empty view' end, null, c.oid::regclass::text,
    format('create materialized view %s%s%s as %s with no data', c.oid::regclass,
    (select format(' using %I', am.amname) from pg_am am where am.oid = c.relam and am.amname <> 'heap'),
    (select ' with (' || string_agg(format('%s=%L', o.name, o.value), ', ') || ')'
       from (select split_part(x, '=', 1) as name, substr(x, strpos(x, '=') + 1) as value from unnest(c.reloptions) x
             union all
             select 'toast.' || split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)
             from pg_class tc, unnest(tc.reloptions) x where tc.oid = c.reltoastrelid) o), rtrim(pg_get_viewdef(c.oid), ';'))
from pg_class c where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind = 'm'
union all
select 'pg_operator'::regclass, o.oid, 'operator', null, o.oprname, format('create operator %I.%s (%s)', n.nspname, o.oprname,
    concat_ws(', ', format('function = %I.%I', fn.nspname, f.proname),
        case when o.oprleft <> 0 then 'leftarg = ' || format_type(o.oprleft, null) end,
        case when o.oprright <> 0 then 'rightarg = ' || format_type(o.oprright, null) end,
        (select format('commutator = operator(%I.%s)', xn.nspname, x.oprname) from pg_operator x
          join pg_namespace xn on xn.oid = x.oprnamespace where x.oid = o.oprcom),
        (select format('negator = operator(%I.%s)', xn.nspname, x.oprname) from pg_operator x
          join pg_namespace xn on xn.oid = x.oprnamespace where x.oid = o.oprnegate),
        case when o.oprrest <> 0 then format('restrict = %s', o.oprrest::regproc) end,
        case when o.oprjoin <> 0 then format('join = %s', o.oprjoin::regproc) end,
        case when o.oprcanhash then 'hashes' end, case when o.oprcanmerge then 'merges' end))
from pg_operator o join pg_namespace n on n.oid = o.oprnamespace
join pg_proc f on f.oid = o.oprcode join pg_namespace fn on fn.oid = f.pronamespace
where o.oprnamespace = current_setting('sb_transfer.namespace')::oid and o.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[])
union all
select 'pg_collation'::regclass, c.oid, 'collation', null, c.collname,
    -- One that is for any encoding can only be copied from one that is.
    case when c.collprovider = 'c' and c.collencoding = -1 and j.row ->> 'collcollate' in ('C', 'POSIX')
        then format('create collation %s from pg_catalog.%I', c.oid::regcollation, j.row ->> 'collcollate')
        else format('create collation %s (%s)', c.oid::regcollation, concat_ws(', ', 'provider = ' || case c.collprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
        case when c.collprovider = 'c' then format('lc_collate = %L, lc_ctype = %L', j.row ->> 'collcollate', j.row ->> 'collctype')
            else format('locale = %L', coalesce(j.row ->> 'colllocale', j.row ->> 'colliculocale', j.row ->> 'collcollate')) end,
        case when not c.collisdeterministic then 'deterministic = false' end,
        'rules = ' || quote_literal(j.row ->> 'collicurules'))) end
from pg_collation c cross join lateral (select to_jsonb(c) as row) j
where c.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and c.collnamespace = current_setting('sb_transfer.namespace')::oid
union all
select 'pg_conversion'::regclass, c.oid, 'conversion', null, c.conname, format('create %sconversion %I.%I for %L to %L from %s',
    case when c.condefault then 'default ' end, n.nspname, c.conname, pg_encoding_to_char(c.conforencoding),
    pg_encoding_to_char(c.contoencoding), c.conproc::regproc)
from pg_conversion c join pg_namespace n on n.oid = c.connamespace
where c.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and c.connamespace = current_setting('sb_transfer.namespace')::oid
union all
select 'pg_ts_parser'::regclass, p.oid, 'text search parser', null, p.prsname,
    format('create text search parser %I.%I (%s)', n.nspname, p.prsname, concat_ws(', ', format('start = %s', p.prsstart),
        format('gettoken = %s', p.prstoken), format('end = %s', p.prsend), format('lextypes = %s', p.prslextype),
        case when p.prsheadline::oid <> 0 then format('headline = %s', p.prsheadline) end))
from pg_ts_parser p join pg_namespace n on n.oid = p.prsnamespace
where p.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and p.prsnamespace = current_setting('sb_transfer.namespace')::oid
union all
select 'pg_ts_template'::regclass, t.oid, 'text search template', null, t.tmplname,
    format('create text search template %I.%I (%s)', n.nspname, t.tmplname, concat_ws(', ',
        case when t.tmplinit::oid <> 0 then format('init = %s', t.tmplinit) end, format('lexize = %s', t.tmpllexize)))
from pg_ts_template t join pg_namespace n on n.oid = t.tmplnamespace
where t.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and t.tmplnamespace = current_setting('sb_transfer.namespace')::oid
union all
select 'pg_ts_dict'::regclass, d.oid, 'text search dictionary', null, d.dictname,
    format('create text search dictionary %I.%I (template = %I.%I%s)', n.nspname, d.dictname, tn.nspname, t.tmplname,
        ', ' || d.dictinitoption)
from pg_ts_dict d join pg_namespace n on n.oid = d.dictnamespace
join pg_ts_template t on t.oid = d.dicttemplate join pg_namespace tn on tn.oid = t.tmplnamespace
where d.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and d.dictnamespace = current_setting('sb_transfer.namespace')::oid
union all
select 'pg_ts_config'::regclass, c.oid, 'text search configuration', null, c.cfgname,
    format('create text search configuration %I.%I (parser = %I.%I)%s', n.nspname, c.cfgname, pn.nspname, p.prsname,
        (select string_agg(format('; alter text search configuration %I.%I add mapping for %I with %s', n.nspname, c.cfgname,
                                  w.alias, w.dictionaries), '' order by w.alias)
           from (select y.alias, string_agg(format('%I.%I', dn.nspname, d.dictname), ', ' order by m.mapseqno) as dictionaries
                 from pg_ts_config_map m join ts_token_type(c.cfgparser) y on y.tokid = m.maptokentype
                 join pg_ts_dict d on d.oid = m.mapdict join pg_namespace dn on dn.oid = d.dictnamespace
                 where m.mapcfg = c.oid group by y.alias) w))
from pg_ts_config c join pg_namespace n on n.oid = c.cfgnamespace
join pg_ts_parser p on p.oid = c.cfgparser join pg_namespace pn on pn.oid = p.prsnamespace
where c.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and c.cfgnamespace = current_setting('sb_transfer.namespace')::oid
union all
select 'pg_cast'::regclass, k.oid, 'cast', null, '', format('create cast (%s as %s) %s%s', format_type(k.castsource, null),
    format_type(k.casttarget, null), case k.castmethod when 'b' then 'without function' when 'i' then 'with inout'
        else (select format('with function %I.%I(%s)', fn.nspname, f.proname, pg_get_function_identity_arguments(f.oid))
                from pg_proc f join pg_namespace fn on fn.oid = f.pronamespace where f.oid = k.castfunc) end,
    case k.castcontext when 'a' then ' as assignment' when 'i' then ' as implicit' end)
from pg_cast k
where k.oid in (select d.objid from pg_depend d where d.classid = 'pg_cast'::regclass and d.refclassid = 'pg_type'::regclass
                  and d.refobjid = any(current_setting('sb_transfer.types')::oid[]
                                       || array(select reltype from pg_class
                                                where oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]))))
  -- A range brings the cast to its multirange.
  and not exists (select from pg_depend i where i.classid = 'pg_cast'::regclass and i.objid = k.oid and i.deptype = 'i')
union all
select 'pg_opfamily'::regclass, f.oid, 'operator family', null, f.opfname,
    format('create operator family %I.%I using %I', n.nspname, f.opfname, am.amname)
from pg_opfamily f join pg_namespace n on n.oid = f.opfnamespace join pg_am am on am.oid = f.opfmethod
where f.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and f.opfnamespace = current_setting('sb_transfer.namespace')::oid
union all
select 'pg_opclass'::regclass, c.oid, 'operator class', null, c.opcname,
    format('create operator class %I.%I%s for type %s using %I family %I.%I as %s', n.nspname, c.opcname,
        case when c.opcdefault then ' default' end, format_type(c.opcintype, null), am.amname, fn.nspname, f.opfname,
        concat_ws(', ', 'storage ' || case when c.opckeytype <> 0 then format_type(c.opckeytype, null)
                                      else format_type(c.opcintype, null) end,
            (select string_agg(format('operator %s %s%s', o.amopstrategy, o.amopopr::regoperator,
                        (select format(' for order by %I.%I', sn.nspname, sf.opfname) from pg_opfamily sf
                          join pg_namespace sn on sn.oid = sf.opfnamespace where sf.oid = o.amopsortfamily)), ', '
                        order by o.amopstrategy)
               from pg_depend d join pg_amop o on o.oid = d.objid
              where d.refclassid = 'pg_opclass'::regclass and d.refobjid = c.oid and d.classid = 'pg_amop'::regclass),
            (select string_agg(format('function %s (%s, %s) %s', o.amprocnum, format_type(o.amproclefttype, null),
                        format_type(o.amprocrighttype, null), o.amproc::regprocedure), ', ' order by o.amprocnum)
               from pg_depend d join pg_amproc o on o.oid = d.objid
              where d.refclassid = 'pg_opclass'::regclass and d.refobjid = c.oid and d.classid = 'pg_amproc'::regclass)))
from pg_opclass c join pg_namespace n on n.oid = c.opcnamespace join pg_am am on am.oid = c.opcmethod
join pg_opfamily f on f.oid = c.opcfamily join pg_namespace fn on fn.oid = f.opfnamespace
where c.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and c.opcnamespace = current_setting('sb_transfer.namespace')::oid

-- name: definers
-- Lets functions run as their owners when the copy is whole.
select format('alter routine %I.%I(%s) security definer', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as statement
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where p.oid = any((select current_setting('sb_transfer.functions')::oid[])::oid[]) and p.prosecdef order by p.oid

-- name: sequences
-- The sequences, identities' included.
select relname::text from pg_class
where oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and relkind = 'S' order by oid

-- name: positions
-- A statement that reads where some sequences ($2) of a schema ($1) stand.
select string_agg(format('select %L::text as name, last_value, is_called from %I.%I', name, $1::text, name), ' union all ')
from unnest($2::text[]) name

-- name: set_positions
-- Put sequences of a schema where others stand.
select setval(format('%I.%I', $1::text, p.name)::regclass, p.last_value, p.is_called)
from unnest($2::text[], $3::bigint[], $4::boolean[]) as p (name, last_value, is_called)

-- name: schema_comment
-- The comment on the schema itself.
select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = $1

-- name: time_zones
-- The zones in which sessions that wrote the rows may have been, this one's first, the service's own ($1) second.
select distinct on (zone) zone, place from (
    select current_setting('timezone') as zone, 0 as place
    union all
    select $1::text, 1
    union all
    select substr(s, strpos(s, '=') + 1), 2
    from pg_db_role_setting r cross join lateral unnest(r.setconfig) s
    where s ilike 'timezone=%' and r.setdatabase in (0, (select oid from pg_database where datname = current_database()))
) zones order by zone, place
