-- What the server says of functions, types and what else is in a schema, and of everybody's rights, in the form of
-- relations.sql.

-- name: functions
-- Functions, procedures and aggregates by name and arguments.
select 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as object, f.fact, f.definition
from pg_proc p
join pg_language l on l.oid = p.prolang
left join pg_aggregate g on g.aggfnoid = p.oid
cross join lateral (values
    ('kind', p.prokind::text || ' ' || l.lanname),
    ('owner', pg_get_userbyid(p.proowner)::text),
    ('arguments', pg_get_function_arguments(p.oid)),
    ('result', pg_get_function_result(p.oid)),
    ('body', p.prosrc),
    ('library', p.probin),
    ('SQL body', pg_get_function_sqlbody(p.oid)),
    ('behaviour', format('volatility %s, parallel %s, strict %s, security definer %s, leakproof %s, cost %s, rows %s, support %s',
                         p.provolatile, p.proparallel, p.proisstrict, p.prosecdef, p.proleakproof, p.procost, p.prorows,
                         p.prosupport)),
    ('transforms', (select string_agg(format_type(x.id, null), ', ' order by x.place)
                    from unnest(p.protrftypes) with ordinality x (id, place))),
    ('settings', (select string_agg(s.setting, '; ' order by s.setting) from unnest(p.proconfig) s (setting))),
    ('aggregate', case when g.aggfnoid is not null then concat_ws(
        ' ', g.aggkind, g.aggnumdirectargs, g.aggtransfn::oid::regprocedure, g.aggfinalfn::oid::regprocedure,
        g.aggcombinefn::oid::regprocedure, g.aggserialfn::oid::regprocedure, g.aggdeserialfn::oid::regprocedure,
        g.aggmtransfn::oid::regprocedure, g.aggminvtransfn::oid::regprocedure, g.aggmfinalfn::oid::regprocedure,
        g.aggfinalextra, g.aggmfinalextra, g.aggfinalmodify, g.aggmfinalmodify, g.aggsortop::regoperator,
        format_type(g.aggtranstype, null), g.aggtransspace, format_type(g.aggmtranstype, null), g.aggmtransspace,
        quote_nullable(g.agginitval), quote_nullable(g.aggminitval)) end),
    ('comment', obj_description(p.oid, 'pg_proc'))
) as f (fact, definition)
where p.oid = any((select current_setting('sb_verify.functions')::oid[])::oid[]) and f.definition is not null

-- name: types
-- Enumerations, domains, ranges and base types; composite types are among the relations.
select 'type ' || t.typname as object, f.fact, f.definition
from pg_type t
left join pg_range r on r.rngtypid = t.oid
left join pg_type b on b.oid = t.typbasetype
cross join lateral (values
    ('kind', t.typtype::text),
    ('owner', pg_get_userbyid(t.typowner)::text),
    ('labels', case when t.typtype = 'e' then
        (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid) end),
    ('base type', case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end),
    ('not null', case when t.typtype = 'd' then t.typnotnull::text end),
    ('default', case when t.typtype = 'd' then coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) end),
    ('collation', case when t.typtype = 'd' and t.typcollation <> b.typcollation then t.typcollation::regcollation::text end),
    ('range', case when r.rngtypid is not null then concat_ws(
        ' ', format_type(r.rngsubtype, null), r.rngcollation::regcollation,
        (select s.nspname || '.' || o.opcname from pg_opclass o join pg_namespace s on s.oid = o.opcnamespace
         where o.oid = r.rngsubopc),
        r.rngcanonical::oid::regprocedure, r.rngsubdiff::oid::regprocedure, format_type(r.rngmultitypid, null)) end),
    ('base', case when t.typtype = 'b' then concat_ws(
        ' ', t.typlen, t.typbyval, t.typalign, t.typstorage, t.typinput, t.typoutput, t.typreceive, t.typsend) end),
    ('comment', obj_description(t.oid, 'pg_type'))
) as f (fact, definition)
where t.oid = any((select current_setting('sb_verify.types')::oid[])::oid[]) and t.typtype in ('b', 'd', 'e', 'r') and f.definition is not null

-- name: casts
-- Casts from and to the schema's types.
select format('cast from %s to %s', format_type(k.castsource, null), format_type(k.casttarget, null)) as object, f.fact, f.definition
from pg_cast k
cross join lateral (values
    ('definition', concat_ws(' ', k.castmethod, k.castcontext, k.castfunc::regprocedure)),
    ('comment', obj_description(k.oid, 'pg_cast'))
) as f (fact, definition)
where f.definition is not null and k.oid in (
    select d.objid from pg_depend d
    where d.classid = 'pg_cast'::regclass and d.refclassid = 'pg_type'::regclass and d.deptype = 'n' and d.refobjid = any(
        current_setting('sb_verify.types')::oid[]
        || array(select c.reltype from pg_class c where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]))))

-- name: grants
-- Who may do what with an object. Never granted and granted as by default are the same.
with holder (object, prefix, acl, owner) as (
    select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'S' then 'sequence '
                          when 'f' then 'foreign table ' else '' end || c.relname,
           '', coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner)), c.relowner
    from pg_class c
    where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    union all
    select case c.relkind when 'v' then 'view ' when 'm' then 'materialized view ' when 'f' then 'foreign table ' else '' end
           || c.relname, 'column ' || quote_ident(a.attname) || ': ', a.attacl, c.relowner
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.oid = any((select current_setting('sb_verify.relations')::oid[])::oid[]) and a.attacl is not null
    union all
    select 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
           '', coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
    from pg_proc p where p.oid = any((select current_setting('sb_verify.functions')::oid[])::oid[])
    union all
    select 'type ' || t.typname, '', coalesce(t.typacl, acldefault('T', t.typowner)), t.typowner
    from pg_type t where t.oid = any((select current_setting('sb_verify.types')::oid[])::oid[]) and t.typtype in ('b', 'c', 'd', 'e', 'r')
)
select h.object,
       h.prefix || 'grant of ' || g.privilege_type || ' to '
       || case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee)::text end as fact,
       string_agg('given' || case when g.grantor = h.owner then '' else ' by ' || pg_get_userbyid(g.grantor) end
                  || case when g.is_grantable then ' with grant option' else '' end, ', ' order by g.grantor, g.is_grantable)
           as definition
from holder h cross join lateral aclexplode(h.acl) g
group by 1, 2

-- name: statistics
-- Extended statistics.
select 'statistics ' || s.stxname as object, f.fact, f.definition
from pg_depend d
join pg_statistic_ext s on s.oid = d.objid
cross join lateral (values
    ('owner', pg_get_userbyid(s.stxowner)::text),
    ('table', (select c.relname::text from pg_class c where c.oid = s.stxrelid)),
    ('definition', pg_get_statisticsobjdef_columns(s.oid)),
    ('kinds', s.stxkind::text),
    ('target', s.stxstattarget::text),
    ('comment', obj_description(s.oid, 'pg_statistic_ext'))
) as f (fact, definition)
where d.refclassid = 'pg_class'::regclass and d.refobjid = any((select current_setting('sb_verify.relations')::oid[])::oid[])
  and d.classid = 'pg_statistic_ext'::regclass and f.definition is not null
group by 1, 2, 3

-- name: schema
-- Of the schema itself its comment, and the rights that objects get which somebody makes in it later. Who may use it is
-- settled when an environment is opened.
select 'schema' as object, f.fact, f.definition
from pg_namespace n
cross join lateral (values ('name', n.nspname::text), ('comment', obj_description(n.oid, 'pg_namespace'))) as f (fact, definition)
where n.oid = current_setting('sb_verify.namespace')::oid and f.definition is not null
union all
select 'schema', format('default of %s on new objects of kind %s for %s', g.privilege_type, d.defaclobjtype,
                        case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee)::text end),
       format('given by %s in the name of %s%s', pg_get_userbyid(g.grantor), pg_get_userbyid(d.defaclrole),
              case when g.is_grantable then ' with grant option' end)
from pg_default_acl d cross join lateral aclexplode(d.defaclacl) g
where d.defaclnamespace = current_setting('sb_verify.namespace')::oid

-- name: others
-- Kinds of objects that are rare in an environment. What not every version of the server tells of one is taken by name.
with own as materialized (
    select classid, objid from pg_depend
    where refclassid = 'pg_namespace'::regclass and refobjid = current_setting('sb_verify.namespace')::oid
      and classid not in ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass)
), described (class, id, object, owner, definition) as (
    select w.classid, o.oid, 'collation ' || o.collname, o.collowner,
           concat_ws(' ', o.collprovider, o.collisdeterministic, o.collencoding, case o.collprovider
               when 'c' then concat_ws(' ', j ->> 'collcollate', j ->> 'collctype')
               else coalesce(j ->> 'colllocale', j ->> 'colliculocale', j ->> 'collcollate') end, j ->> 'collicurules')
    from own w join pg_collation o on o.oid = w.objid cross join lateral to_jsonb(o) j where w.classid = 'pg_collation'::regclass
    union all
    select w.classid, o.oid, 'operator ' || o.oid::regoperator, o.oprowner,
           concat_ws(' ', o.oprcode::oid::regprocedure, o.oprrest::oid::regprocedure, o.oprjoin::oid::regprocedure,
                     o.oprcom::regoperator, o.oprnegate::regoperator, o.oprcanmerge, o.oprcanhash)
    from own w join pg_operator o on o.oid = w.objid where w.classid = 'pg_operator'::regclass
    union all
    select w.classid, o.oid, 'operator class ' || o.opcname || ' for ' || m.amname, o.opcowner,
           concat_ws(' ', format_type(o.opcintype, null), o.opcdefault, format_type(o.opckeytype, null), fn.nspname, f.opfname)
    from own w join pg_opclass o on o.oid = w.objid join pg_am m on m.oid = o.opcmethod
    join pg_opfamily f on f.oid = o.opcfamily join pg_namespace fn on fn.oid = f.opfnamespace
    where w.classid = 'pg_opclass'::regclass
    union all
    select w.classid, o.oid, 'operator family ' || o.opfname || ' for ' || m.amname, o.opfowner, concat_ws('; ',
           (select string_agg(format('%s %s %s', p.amopstrategy, p.amoppurpose, p.amopopr::regoperator), ', '
                              order by p.amopstrategy, replace(p.amopopr::regoperator::text, h.schema, ''))
            from pg_amop p where p.amopfamily = o.oid),
           (select string_agg(format('%s %s', p.amprocnum, p.amproc::oid::regprocedure), ', '
                              order by p.amprocnum, replace(p.amproc::oid::regprocedure::text, h.schema, ''))
            from pg_amproc p where p.amprocfamily = o.oid))
    from own w join pg_opfamily o on o.oid = w.objid join pg_am m on m.oid = o.opfmethod
    cross join (select current_setting('sb_verify.namespace')::oid::regnamespace::text as schema) h
    where w.classid = 'pg_opfamily'::regclass
    union all
    select w.classid, o.oid, 'text search configuration ' || o.cfgname, o.cfgowner,
           concat_ws(': ', (select format('%I.%I', s.nspname, p.prsname) from pg_ts_parser p
                            join pg_namespace s on s.oid = p.prsnamespace where p.oid = o.cfgparser),
                     (select string_agg(p.maptokentype || ' ' || p.mapdict::regdictionary, ', ' order by p.maptokentype, p.mapseqno)
                      from pg_ts_config_map p where p.mapcfg = o.oid))
    from own w join pg_ts_config o on o.oid = w.objid where w.classid = 'pg_ts_config'::regclass
    union all
    select w.classid, o.oid, 'text search dictionary ' || o.dictname, o.dictowner,
           concat_ws(' ', (select format('%I.%I', s.nspname, t.tmplname) from pg_ts_template t
                           join pg_namespace s on s.oid = t.tmplnamespace where t.oid = o.dicttemplate), o.dictinitoption)
    from own w join pg_ts_dict o on o.oid = w.objid where w.classid = 'pg_ts_dict'::regclass
    union all
    select w.classid, o.oid, 'text search parser ' || o.prsname, null,
           concat_ws(' ', o.prsstart::oid::regprocedure, o.prstoken::oid::regprocedure, o.prsend::oid::regprocedure,
                     o.prsheadline::oid::regprocedure, o.prslextype::oid::regprocedure)
    from own w join pg_ts_parser o on o.oid = w.objid where w.classid = 'pg_ts_parser'::regclass
    union all
    select w.classid, o.oid, 'text search template ' || o.tmplname, null,
           concat_ws(' ', o.tmplinit::oid::regprocedure, o.tmpllexize::oid::regprocedure)
    from own w join pg_ts_template o on o.oid = w.objid where w.classid = 'pg_ts_template'::regclass
    union all
    select w.classid, o.oid, 'conversion ' || o.conname, o.conowner,
           concat_ws(' ', o.conforencoding, o.contoencoding, o.conproc::oid::regprocedure, o.condefault)
    from own w join pg_conversion o on o.oid = w.objid where w.classid = 'pg_conversion'::regclass
)
select d.object, f.fact, f.definition
from described d cross join lateral (values
    ('definition', d.definition),
    ('owner', pg_get_userbyid(d.owner)::text),
    ('comment', (select x.description from pg_description x where x.classoid = d.class and x.objoid = d.id and x.objsubid = 0))
) as f (fact, definition)
where f.definition is not null
