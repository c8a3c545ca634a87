-- What keeps an environment from being carried exactly. Runs with search_path set to its schema ($1 is the name).

-- name: obstacles
-- Everything that the clone could not carry exactly, with the reason and what to do.
with recursive ns as (select oid, nspname from pg_namespace where nspname = $1),
rel as (select * from pg_class where relnamespace = (select oid from ns)),
-- What the environment holds, as dependencies go by it. There may be thousands of environments beside this one, so
-- each question starts from here and not from what all of them hold.
own (class, id) as (
    select 'pg_class'::regclass::oid, oid from rel
    union all
    select 'pg_proc'::regclass::oid, oid from pg_proc where pronamespace = (select oid from ns)
    union all
    select 'pg_type'::regclass::oid, oid from pg_type where typnamespace = (select oid from ns)
),
-- Views, and the types and functions that cannot be made before them.
needs_view (classid, objid) as (
    select 'pg_class'::regclass::oid, oid from rel where relkind in ('v', 'm')
    union
    select d.classid, d.objid from needs_view w join pg_depend d on d.refclassid = w.classid and d.refobjid = w.objid
    where d.classid in ('pg_type'::regclass, 'pg_proc'::regclass)
)
select what, why from (
    select format('%s %s', case relkind when 'f' then 'foreign table' else 'relation of kind ' || relkind::text end, oid::regclass) as what,
        'its rows live outside this database; move them into an ordinary table or drop it' as why
    from rel where relkind not in ('r', 'p', 'v', 'm', 'S', 'i', 'I', 't', 'c')
    union all
    select format('table %s', oid::regclass), 'it is temporary; drop it' from rel where relpersistence = 't'
    union all
    select format('table %s', oid::regclass), 'it is typed (OF); make it an ordinary table' from rel where reloftype <> 0
    union all
    select format('relation %s', oid::regclass), 'it lies in a tablespace of its own; move it to the default tablespace'
    from rel where reltablespace <> 0
    union all
    select format('relation %s', oid::regclass), format('it belongs to %s, for whom this service may not act; change its owner', relowner::regrole)
    from rel where relkind not in ('t', 'i', 'I') and not pg_has_role(relowner, 'usage')
    union all
    select format('%s %s', case relkind when 'm' then 'materialized view' else 'table' end, oid::regclass),
        'this service may not read it; grant it SELECT'
    from rel where relkind in ('r', 'm') and not has_table_privilege(oid, 'select') and pg_has_role(relowner, 'usage')
    union all
    select pg_describe_object(d.classid, d.objid, d.objsubid),
        format('it needs %s, which hangs on a view, and views are made when all rows are there; take it out',
               pg_describe_object(d.refclassid, d.refobjid, 0))
    from needs_view w
    join pg_depend d on d.refclassid = w.classid and d.refobjid = w.objid and d.deptype in ('n', 'a')
    where w.classid in ('pg_type'::regclass, 'pg_proc'::regclass) and (
        d.classid = 'pg_class'::regclass and d.objid in (select oid from rel where relkind in ('r', 'p', 'c', 'i', 'I'))
        or d.classid = 'pg_attrdef'::regclass and d.objid in (
            select a.oid from pg_attrdef a join rel c on c.oid = a.adrelid and c.relkind in ('r', 'p'))
        or d.classid = 'pg_constraint'::regclass
        or d.classid = 'pg_type'::regclass and d.objid in (select oid from pg_type where typtype in ('d', 'r')))
    union all
    select format('table %s', oid::regclass), 'its row security is forced on its owner, so this service cannot see every row; '
        'ALTER TABLE ... NO FORCE ROW LEVEL SECURITY'
    from rel where relrowsecurity and relforcerowsecurity
      and not exists (select from pg_roles r where r.rolname = current_user and (r.rolsuper or r.rolbypassrls))
    union all
    select format('index %s', x.indexrelid::regclass), 'it is not valid; rebuild or drop it'
    from pg_index x join rel c on c.oid = x.indrelid where not x.indisvalid and c.relkind = 'r'
    union all
    select format('type %s', format_type(t.oid, null)), 'it is a base type written in C; remove it or ask support'
    from pg_type t where t.typnamespace = (select oid from ns) and t.typtype in ('b', 'p')
      and not exists (select from pg_type e where e.oid = t.typelem and e.typarray = t.oid)
    union all
    select format('range type %s', format_type(t.oid, null)), 'it has a canonical function; remove it or ask support'
    from pg_type t join pg_range r on r.rngtypid = t.oid where t.typnamespace = (select oid from ns) and r.rngcanonical <> 0
    union all
    select format('aggregate %s', p.oid::regprocedure), 'ordered-set and moving aggregates are not carried; drop it or ask support'
    from pg_proc p join pg_aggregate a on a.aggfnoid = p.oid
    where p.pronamespace = (select oid from ns) and (a.aggkind <> 'n' or a.aggmtransfn <> 0)
    union all
    select format('function %s', p.oid::regprocedure), format('it is written in %s; only sql and plpgsql are carried', l.lanname)
    from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = (select oid from ns) and l.lanname not in ('sql', 'plpgsql') and p.prokind <> 'a'
      and not exists (select from pg_depend i where i.classid = 'pg_proc'::regclass and i.objid = p.oid and i.deptype = 'i')
    union all
    select format('function %s', p.oid::regprocedure),
        'its text names its own schema, so the copy would still work on the original; use unqualified names'
    from pg_proc p
    -- What comes before the function's own name is the server's doing.
    cross join lateral (select substr(pg_get_functiondef(p.oid), length(format('CREATE OR REPLACE %s %I.%I',
        case p.prokind when 'p' then 'PROCEDURE' else 'FUNCTION' end, $1::text, p.proname)) + 1) as text) own
    where p.pronamespace = (select oid from ns) and p.prokind <> 'a' and strpos(lower(own.text), lower($1::text)) > 0
      and not exists (select from pg_depend i where i.classid = 'pg_proc'::regclass and i.objid = p.oid and i.deptype = 'i')
    union all
    select format('trigger %s on %s', quote_ident(g.tgname), c.oid::regclass),
        'an argument of it names its own schema; use an unqualified name'
    from pg_trigger g join rel c on c.oid = g.tgrelid
    where not g.tgisinternal and strpos(lower(encode(g.tgargs, 'escape')), lower($1::text)) > 0
    union all
    select format('function %s', p.oid::regprocedure), format('it belongs to %s, for whom this service may not act; change its owner', p.proowner::regrole)
    from pg_proc p where p.pronamespace = (select oid from ns) and not pg_has_role(p.proowner, 'usage')
      and not exists (select from pg_depend i where i.classid = 'pg_proc'::regclass and i.objid = p.oid and i.deptype = 'i')
    union all
    select pg_describe_object(d.classid, d.objid, d.objsubid), 'it belongs to an extension; install the extension in another schema'
    from own o join pg_depend d on d.classid = o.class and d.objid = o.id where d.deptype = 'e'
    union all
    select format('%s %s', kind, name), 'objects of this kind are not carried; drop it or ask support'
    from (select 'operator' as kind, oprname::text as name, oprnamespace as home from pg_operator
          union all select 'operator class', opcname, opcnamespace from pg_opclass
          union all select 'operator family', opfname, opfnamespace from pg_opfamily
          union all select 'collation', collname, collnamespace from pg_collation
          union all select 'conversion', conname, connamespace from pg_conversion
          union all select 'text search configuration', cfgname, cfgnamespace from pg_ts_config
          union all select 'text search dictionary', dictname, dictnamespace from pg_ts_dict
          union all select 'text search parser', prsname, prsnamespace from pg_ts_parser
          union all select 'text search template', tmplname, tmplnamespace from pg_ts_template) odd
    where home = (select oid from ns)
    union all
    select format('default privileges of %s', defaclrole::regrole), 'they are not carried; drop them'
    from pg_default_acl where defaclnamespace = (select oid from ns)
    union all
    select format('publication %I', p.pubname), format('it publishes %s; take the table out of it', c.oid::regclass)
    from pg_publication_rel r join pg_publication p on p.oid = r.prpubid join rel c on c.oid = r.prrelid
    union all
    select format('security label on %s', l.objoid::regclass), 'security labels are not carried; remove it'
    from pg_seclabel l join rel c on c.oid = l.objoid and l.classoid = 'pg_class'::regclass
    union all
    select format('table %s', i.inhrelid::regclass), format('its parent or child %s lies in another schema; keep a family in one schema', i.inhparent::regclass)
    from (select i.inhrelid, i.inhparent, i.inhparent as other from rel join pg_inherits i on i.inhrelid = rel.oid
          union all
          select i.inhrelid, i.inhparent, i.inhrelid from rel join pg_inherits i on i.inhparent = rel.oid) i
    join pg_class o on o.oid = i.other where o.relnamespace <> (select oid from ns)
    union all
    select format('constraint %I of %s', k.conname, k.conrelid::regclass),
        format('it is valid while that of its parent %s is not, so the copy would get it as not valid; validate its parent''s', i.inhparent::regclass)
    from pg_constraint k join rel c on c.oid = k.conrelid
    join pg_inherits i on i.inhrelid = c.oid
    join pg_constraint p on p.conrelid = i.inhparent and p.contype = k.contype and not p.convalidated
        and (p.contype = 'c' and p.conname = k.conname or p.contype = 'n' and (
            select attname from pg_attribute where attrelid = p.conrelid and attnum = p.conkey[1]) = (
            select attname from pg_attribute where attrelid = k.conrelid and attnum = k.conkey[1]))
    where k.contype in ('c', 'n') and k.coninhcount > 0 and not k.conislocal and k.convalidated
    union all
    select format('foreign key %I of %s', k.conname, k.conrelid::regclass), 'it refers to this environment from another schema; drop it'
    from (select distinct d.objid from rel join pg_depend d
              on d.refclassid = 'pg_class'::regclass and d.refobjid = rel.oid and d.classid = 'pg_constraint'::regclass) d
    join pg_constraint k on k.oid = d.objid join pg_class a on a.oid = k.conrelid
    where k.contype = 'f' and k.confrelid in (select oid from rel) and a.relnamespace <> (select oid from ns)
    union all
    select distinct case when d.classid = 'pg_rewrite'::regclass
            then (select format('view %s', r.ev_class::regclass) from pg_rewrite r where r.oid = d.objid)
            else pg_describe_object(d.classid, d.objid, d.objsubid) end,
        format('it lies outside this environment and needs %s, so it would stay with the original; drop it',
               pg_describe_object(d.refclassid, d.refobjid, 0))
    from own o join pg_depend d on d.refclassid = o.class and d.refobjid = o.id
    cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
    cross join lateral pg_identify_object_as_address(d.classid, d.objid, d.objsubid) a
    where d.deptype in ('n', 'a')
      -- Triggers, rules, defaults and policies have no schema of their own, but their table's comes first in their address.
      and coalesce(i.schema, a.object_names[1]) is distinct from $1
      and not (d.classid = 'pg_constraint'::regclass and exists (
          select from pg_constraint k where k.oid = d.objid and k.contype = 'f'))
    union all
    select format('event trigger %I', e.evtname), 'it acts on every object that is made, so the copy could differ; disable it or ask support'
    from pg_event_trigger e where e.evtenabled in ('O', 'A')
    union all
    select format('column %I of %s', a.attname, c.oid::regclass),
        format('its type %s holds numbers of objects, which would still be the original''s; store names as text', format_type(t.oid, null))
    from rel c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p')
    join pg_type t on t.oid = a.atttypid
    -- Not regrole: roles are the same for both sides.
    where coalesce(nullif(t.typbasetype, 0), nullif(t.typelem, 0), t.oid) in (
        'regclass'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regtype'::regtype, 'regnamespace'::regtype,
        'regoper'::regtype, 'regoperator'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regcollation'::regtype)
    union all
    select format('column %I of %s', a.attname, c.oid::regclass),
        'its numbers may be those of large objects, which would be shared by both sides; store the bytes as bytea'
    from rel c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p')
    join pg_type t on t.oid = a.atttypid
    where coalesce(nullif(t.typbasetype, 0), t.oid) = 'oid'::regtype and exists (select from pg_largeobject_metadata)
) found order by what, why

-- name: published_schema
-- Publications of the whole schema; there are such since PostgreSQL 15.
select format('publication %I', p.pubname) as what, 'it publishes this whole schema; take the schema out of it' as why
from pg_publication_namespace r join pg_publication p on p.oid = r.pnpubid join pg_namespace n on n.oid = r.pnnspid
where n.nspname = $1

-- name: staleness
-- For each filled materialised view a statement that tells whether its rows differ from what its query gives now.
select format('materialized view %s', c.oid::regclass) as what,
    format('select exists ((select m::text from %1$s m except all select q::text from (%2$s) q) union all '
           '(select q::text from (%2$s) q except all select m::text from %1$s m))',
           c.oid::regclass, rtrim(pg_get_viewdef(c.oid), ';')) as statement
from pg_class c where c.relnamespace = (select oid from pg_namespace where nspname = $1)
  and c.relkind = 'm' and c.relispopulated and pg_has_role(c.relowner, 'usage')
order by c.oid
