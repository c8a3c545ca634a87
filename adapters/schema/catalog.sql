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
select 'pg_proc'::regclass, p.oid, 'function', null, p.proname, pg_get_functiondef(p.oid)
from pg_proc p
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

-- name: tables
-- Bare tables, with the columns that are their own: no index, no default, nothing that slows a load. `lonely` ones could
-- be made beside others at any time, as far as their names go: two tables that are made at once must not want the same
-- name for their array types, which is theirs behind an underscore.
select c.oid as id, quote_ident(c.relname) as quoted, c.oid::regclass::text as qualified,
    c.relispartition as partition,
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

-- name: columns
-- Settings of single columns other than defaults: identities too, which a column does not pass on to those that inherit
-- it, as it would in its table's definition. And the type that a table's rows are of.
select c.oid as id, a.attnum as place, format('alter table %s%s alter column %I %s', case c.relkind when 'r' then 'only ' end, c.oid::regclass,
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
select c.oid, null, format('alter table %s of %s', c.oid::regclass, c.reloftype::regtype)
from pg_class c where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.reloftype <> 0
order by id, place

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
    case when k.contype = 'f' and theirs.relnamespace <> c.relnamespace then quote_ident(k.conname) end as outside,
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
-- A parent's check reaches its children: theirs of the same name come first, so that the two merge, and the foreign keys of
-- partitions come before their parents'. Foreign keys lock what they refer to in one order.
order by k.contype, (select count(*) from pg_partition_ancestors(c.oid)) desc, exists (select from pg_inherits i where i.inhrelid = c.oid) desc,
    referred, k.conparentid = 0, c.oid, k.oid

-- name: attached
-- Indexes and settings of materialised views, rules, triggers, policies, statistics, row security, replica identity, owners
-- of sequences, ties to extensions.
with rel as materialized (select * from pg_class where oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]))
select statement from (
    select 1 as place, i.oid, pg_get_indexdef(x.indexrelid) as statement
    from rel c join pg_index x on x.indrelid = c.oid join pg_class i on i.oid = x.indexrelid where c.relkind = 'm'
    union all
    select 2, c.oid, format('alter materialized view %s cluster on %I', c.oid::regclass, i.relname)
    from rel c join pg_index x on x.indrelid = c.oid join pg_class i on i.oid = x.indexrelid
    where c.relkind = 'm' and x.indisclustered
    union all
    select 2, i.oid, format('alter index %s alter column %s set statistics %s', i.oid::regclass, a.attnum, a.attstattarget)
    from rel c join pg_index x on x.indrelid = c.oid join pg_class i on i.oid = x.indexrelid
    join pg_attribute a on a.attrelid = i.oid and a.attnum > 0 and a.attstattarget >= 0
    where c.relkind = 'm'
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
    select 2, r.oid, pg_get_ruledef(r.oid)
    from rel c join pg_rewrite r on r.ev_class = c.oid and r.rulename <> '_RETURN'
    union all
    select 3, r.oid, format('alter table %s %s rule %I', c.oid::regclass,
        case r.ev_enabled when 'D' then 'disable' when 'A' then 'enable always' else 'enable replica' end, r.rulename)
    from rel c join pg_rewrite r on r.ev_class = c.oid and r.rulename <> '_RETURN' and r.ev_enabled <> 'O'
    union all
    select 4, g.oid, pg_get_triggerdef(g.oid)
    from rel c join pg_trigger g on g.tgrelid = c.oid
    where not g.tgisinternal and g.tgparentid = 0 and g.tgname <> 'sb_transfer_fence'
    union all
    select 5, g.oid, format('alter table only %s %s trigger %I', c.oid::regclass,
        case g.tgenabled when 'D' then 'disable' when 'A' then 'enable always' when 'O' then 'enable' else 'enable replica' end, g.tgname)
    from rel c join pg_trigger g on g.tgrelid = c.oid left join pg_trigger up on up.oid = g.tgparentid
    -- Before PostgreSQL 15 a partition's part of a trigger looks internal.
    where (not g.tgisinternal or g.tgparentid <> 0 and not exists (
            select from pg_constraint k where k.oid = g.tgconstraint and k.contype <> 't')) and g.tgname <> 'sb_transfer_fence' and g.tgenabled <> coalesce(up.tgenabled, 'O')
    union all
    select 6, p.oid, format('create policy %I on %s as %s for %s to %s%s%s', p.polname, c.oid::regclass,
        case when p.polpermissive then 'permissive' else 'restrictive' end,
        case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        (select string_agg(case when role = 0 then 'public' else role::regrole::text end, ', ') from unnest(p.polroles) role),
        ' using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
        ' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
    from rel c join pg_policy p on p.polrelid = c.oid
    union all
    select 7, c.oid, format('alter table %s enable row level security', c.oid::regclass) from rel c where c.relrowsecurity
    union all
    select 8, c.oid, format('alter table %s force row level security', c.oid::regclass) from rel c where c.relforcerowsecurity
    union all
    select 9, s.oid, pg_get_statisticsobjdef(s.oid)
    from pg_statistic_ext s where s.stxrelid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
    union all
    select 10, s.oid, format('alter statistics %I.%I set statistics %s', n.nspname, s.stxname, s.stxstattarget)
    from pg_statistic_ext s join pg_namespace n on n.oid = s.stxnamespace
    where s.stxrelid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and s.stxstattarget >= 0
    union all
    select 11, c.oid, format('alter table only %s replica identity %s', c.oid::regclass,
        case c.relreplident when 'n' then 'nothing' else 'full' end)
    from rel c where c.relreplident in ('n', 'f') and c.relkind in ('r', 'p')
    union all
    select 13, d.objid, format('alter sequence %s owned by %s.%I', d.objid::regclass, d.refobjid::regclass, a.attname)
    from rel s join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid and d.deptype = 'a'
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where s.relkind = 'S' and d.refclassid = 'pg_class'::regclass
    union all
    select 14, d.objid, format('alter %s %s depends on extension %I', case i.type when 'procedure' then 'procedure' else i.type end,
        i.identity, e.extname)
    from pg_depend d join pg_extension e on e.oid = d.refobjid
    cross join lateral pg_identify_object(d.classid, d.objid, 0) i
    where d.refclassid = 'pg_extension'::regclass and d.deptype = 'x' and (
        d.classid = 'pg_proc'::regclass and d.objid = any((select current_setting('sb_transfer.functions')::oid[])::oid[])
        or d.classid = 'pg_class'::regclass and d.objid = any(current_setting('sb_transfer.relations')::oid[] || array(
            select x.indexrelid from rel c join pg_index x on x.indrelid = c.oid)))
) parts where statement is not null order by place, oid

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

-- name: comments
-- Comments on everything that can carry one.
with rel as materialized (select * from pg_class where oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])),
typ as materialized (select * from pg_type where oid = any((select current_setting('sb_transfer.types')::oid[])::oid[])),
described as (
    select 'pg_class'::regclass as classid, c.oid as objid, 0 as sub,
        case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end
        || ' ' || c.oid::regclass as what
    from rel c
    union all
    select 'pg_class'::regclass, x.indexrelid, 0, 'index ' || x.indexrelid::regclass from rel c join pg_index x on x.indrelid = c.oid
    union all
    select 'pg_class'::regclass, c.oid, a.attnum, format('column %s.%I', c.oid::regclass, a.attname)
    from (select oid from rel where relkind <> 'S' union all select typrelid from typ where typrelid <> 0) c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    union all
    select 'pg_type'::regclass, t.oid, 0, case t.typtype when 'd' then 'domain ' else 'type ' end || t.oid::regtype from typ t
    union all
    select 'pg_type'::regclass, c.reltype, 0, 'type ' || c.reltype::regtype from rel c where c.reltype <> 0
    union all
    select 'pg_proc'::regclass, p.oid, 0, format('%s %I.%I(%s)',
        case p.prokind when 'a' then 'aggregate' when 'p' then 'procedure' else 'function' end, n.nspname, p.proname,
        case when p.prokind = 'a' and p.pronargs = 0 then '*' else pg_get_function_identity_arguments(p.oid) end)
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where p.oid = any((select current_setting('sb_transfer.functions')::oid[])::oid[])
    union all
    select 'pg_constraint'::regclass, k.oid, 0, format('constraint %I on %s', k.conname, k.conrelid::regclass)
    from rel c join pg_constraint k on k.conrelid = c.oid
    union all
    select 'pg_constraint'::regclass, k.oid, 0, format('constraint %I on domain %s', k.conname, k.contypid::regtype)
    from typ t join pg_constraint k on k.contypid = t.oid
    union all
    select 'pg_trigger'::regclass, g.oid, 0, format('trigger %I on %s', g.tgname, c.oid::regclass)
    from rel c join pg_trigger g on g.tgrelid = c.oid where not g.tgisinternal and g.tgname <> 'sb_transfer_fence'
    union all
    select 'pg_policy'::regclass, p.oid, 0, format('policy %I on %s', p.polname, c.oid::regclass)
    from rel c join pg_policy p on p.polrelid = c.oid
    union all
    select 'pg_rewrite'::regclass, r.oid, 0, format('rule %I on %s', r.rulename, c.oid::regclass)
    from rel c join pg_rewrite r on r.ev_class = c.oid
    union all
    select 'pg_cast'::regclass, k.oid, 0, format('cast (%s as %s)', format_type(k.castsource, null), format_type(k.casttarget, null))
    from pg_depend d join pg_cast k on k.oid = d.objid
    where d.classid = 'pg_cast'::regclass and d.refclassid = 'pg_type'::regclass
      and d.refobjid = any((select current_setting('sb_transfer.types')::oid[])::oid[])
    union all
    select d.classid, d.objid, 0, case i.type when 'statistics object' then 'statistics' else i.type end || ' ' || i.identity
    from (select classid, objid from pg_depend
          where refclassid = 'pg_namespace'::regclass and refobjid = current_setting('sb_transfer.namespace')::oid
            and classid not in ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass)) d
    cross join lateral pg_identify_object(d.classid, d.objid, 0) i
)
select distinct format('comment on %s is %L', w.what, d.description) as statement
from described w join pg_description d on d.objoid = w.objid and d.classoid = w.classid and d.objsubid = w.sub
order by 1

-- name: owners
-- What belongs to somebody else than the role that copies, to be given to its owner.
select o.what, o.owner::regrole::text as owner from (
    select case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end
           || ' ' || c.oid::regclass as what, c.relowner as owner
    from pg_class c
    where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p', 'v', 'm', 'S')
      -- A sequence that belongs to a column goes with its table.
      and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and c.relkind = 'S'
                        and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i'))
    union all
    select format('%s %I.%I(%s)', case p.prokind when 'a' then 'aggregate' when 'p' then 'procedure' else 'function' end,
        n.nspname, p.proname, case when p.prokind = 'a' and p.pronargs = 0 then '*' else pg_get_function_identity_arguments(p.oid) end),
        p.proowner
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = any((select current_setting('sb_transfer.functions')::oid[])::oid[])
    union all
    select 'type ' || t.oid::regtype, t.typowner
    from pg_type t where t.oid = any((select current_setting('sb_transfer.types')::oid[])::oid[]) and t.typtype in ('e', 'd', 'c', 'r')
    union all
    select format('operator %s', o.oid::regoperator), o.oprowner
    from pg_operator o where o.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and o.oprnamespace = current_setting('sb_transfer.namespace')::oid
    union all
    select format('collation %s', c.oid::regcollation), c.collowner
    from pg_collation c where c.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and c.collnamespace = current_setting('sb_transfer.namespace')::oid
    union all
    select format('conversion %I.%I', n.nspname, c.conname), c.conowner
    from pg_conversion c join pg_namespace n on n.oid = c.connamespace
    where c.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and c.connamespace = current_setting('sb_transfer.namespace')::oid
    union all
    select format('text search dictionary %s', d.oid::regdictionary), d.dictowner
    from pg_ts_dict d where d.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and d.dictnamespace = current_setting('sb_transfer.namespace')::oid
    union all
    select format('text search configuration %s', c.oid::regconfig), c.cfgowner
    from pg_ts_config c where c.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[]) and c.cfgnamespace = current_setting('sb_transfer.namespace')::oid
    union all
    select format('statistics %I.%I', n.nspname, s.stxname), s.stxowner
    from pg_statistic_ext s join pg_namespace n on n.oid = s.stxnamespace
    where s.stxrelid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
) o where o.owner <> current_user::regrole
order by 1

-- name: default_privileges
-- Rights that objects get which somebody makes in the schema later.
select format('alter default privileges for role %s in schema %I grant %s on %s to %s%s', d.defaclrole::regrole, n.nspname,
    e.privilege_type, case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' end,
    case when e.grantee = 0 then 'public' else e.grantee::regrole::text end,
    case when e.is_grantable then ' with grant option' end) as statement
from pg_namespace n join pg_default_acl d on d.defaclnamespace = n.oid
cross join lateral aclexplode(d.defaclacl) with ordinality e (grantor, grantee, privilege_type, is_grantable, place)
where n.oid = current_setting('sb_transfer.namespace')::oid
order by d.oid, e.place

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
