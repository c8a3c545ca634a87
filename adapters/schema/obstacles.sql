-- What keeps an environment from being carried exactly. Runs after `own` and `enter_definitions` of catalog.sql; $1 is the
-- schema's name, $2 the tables that a move changes on purpose.

-- name: obstacles
-- Everything that the clone could not carry exactly, with the reason and what to do.
with recursive rel as materialized (select * from pg_class where oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])),
fun as materialized (select * from pg_proc where oid = any((select current_setting('sb_transfer.functions')::oid[])::oid[])),
typ as materialized (select * from pg_type where oid = any((select current_setting('sb_transfer.types')::oid[])::oid[])),
me as materialized (
    select (select rolsuper from pg_roles where rolname = current_user) as superuser,
           -- To make somebody the owner of something, or to speak as he does, one has to be able to become him.
           case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end as becoming
),
-- What the environment holds, as dependencies go by it.
own (class, id) as materialized (
    select classid, objid from pg_depend
    where refclassid = 'pg_namespace'::regclass and refobjid = current_setting('sb_transfer.namespace')::oid
    union
    select 'pg_type'::regclass, reltype from rel where reltype <> 0
    union
    select 'pg_class'::regclass, typrelid from typ where typrelid <> 0
),
owned (what, owner) as (
    select format('relation %s', oid::regclass), relowner from rel
    union all
    select format('function %s', oid::regprocedure), proowner from fun
    union all
    select format('type %s', oid::regtype), typowner from typ
),
-- The types that a column's values are made of, to any depth.
made_of (relation, attribute, type) as (
    select a.attrelid, a.attnum, a.atttypid from rel c join pg_attribute a on a.attrelid = c.oid
    where c.relkind in ('r', 'p', 'm') and a.attnum > 0 and not a.attisdropped
    union
    select m.relation, m.attribute, p.part from made_of m cross join lateral (
        select typbasetype from pg_type where oid = m.type and typbasetype <> 0
        union all
        select typelem from pg_type where oid = m.type and typelem <> 0
        union all
        select rngsubtype from pg_range where rngtypid = m.type or rngmultitypid = m.type
        union all
        select a.atttypid from pg_type y join pg_attribute a on a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped
        where y.oid = m.type and y.typtype = 'c') p (part)
)
select what, said from (
    select format('%s %s', case relkind when 'f' then 'foreign table' else 'relation of kind ' || relkind::text end, oid::regclass) as what,
        array['foreign_rows'] as said
    from rel where relkind not in ('r', 'p', 'v', 'm', 'S', 'c')
    union all
    select format('relation %s', oid::regclass), array['tablespace']
    from (select oid, reltablespace from rel union all
          select i.oid, i.reltablespace from rel c join pg_index x on x.indrelid = c.oid join pg_class i on i.oid = x.indexrelid) c
    where reltablespace <> 0
    union all
    select what, array['owner', owner::regrole::text, current_user::regrole::text]
    from owned, me where not pg_has_role(owner, becoming)
    union all
    select format('%s %s', case relkind when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end, oid::regclass),
        array['no_select']
    from rel where pg_has_role(relowner, 'usage') and (
        relkind in ('r', 'm') and not has_table_privilege(oid, 'select')
        or relkind = 'S' and not has_sequence_privilege(oid, 'select'))
    union all
    select format('table %s', oid::regclass), array['no_trigger']
    from rel where relkind in ('r', 'p') and pg_has_role(relowner, 'usage') and not has_table_privilege(oid, 'trigger')
    union all
    select format('right of %s on %s', case when e.grantee = 0 then 'public' else e.grantee::regrole::text end, h.what),
        array['grantor', e.grantor::regrole::text, current_user::regrole::text]
    from (select format('relation %s', oid::regclass) as what, relowner as owner, relacl as acl from rel
          union all
          select format('column %s.%I', c.oid::regclass, a.attname), c.relowner, a.attacl
          from rel c join pg_attribute a on a.attrelid = c.oid and a.attacl is not null
          union all
          select format('function %s', oid::regprocedure), proowner, proacl from fun
          union all
          select format('type %s', oid::regtype), typowner, typacl from typ) h
    cross join lateral aclexplode(h.acl) e cross join me
    where e.grantor <> h.owner and not pg_has_role(e.grantor, me.becoming)
    union all
    select format('default privileges of %s', d.defaclrole::regrole),
        array['default_privileges', d.defaclrole::regrole::text, current_user::regrole::text]
    from pg_default_acl d, me
    where d.defaclnamespace = current_setting('sb_transfer.namespace')::oid and not pg_has_role(d.defaclrole, me.becoming)
    union all
    select format('table %s', oid::regclass), array['row_security']
    from rel where relrowsecurity and relforcerowsecurity
      and not exists (select from pg_roles r where r.rolname = current_user and (r.rolsuper or r.rolbypassrls))
    union all
    select format('index %s', x.indexrelid::regclass), array['invalid_index']
    from rel c join pg_index x on x.indrelid = c.oid where not x.indisvalid and c.relkind = 'r'
    union all
    select format('type %s', t.oid::regtype), array['base_type']
    from typ t where t.typtype in ('b', 'p')
      and not exists (select from pg_type e where e.oid = t.typelem and e.typarray = t.oid)
    union all
    select format('range type %s', t.oid::regtype), array['canonical']
    from typ t join pg_range r on r.rngtypid = t.oid where r.rngcanonical <> 0
    union all
    select format('function %s', p.oid::regprocedure),
        array['language', l.lanname::text]
    from fun p join pg_language l on l.oid = p.prolang cross join me
    where p.prokind <> 'a' and not me.superuser and not (l.lanpltrusted and has_language_privilege(l.oid, 'usage'))
    union all
    select format('function %s', p.oid::regprocedure), array[case when p.proleakproof then 'leakproof' else 'support_function' end]
    from fun p, me where not me.superuser and (p.proleakproof or p.prosupport::oid <> 0)
    union all
    select format('foreign key %I of %s', k.conname, k.conrelid::regclass),
        array['key_triggers']
    from rel c join pg_constraint k on k.conrelid = c.oid and k.contype = 'f'
    where exists (select from pg_trigger g where g.tgconstraint = k.oid and g.tgisinternal and g.tgenabled <> 'O')
    union all
    -- Others are passed over while a move changes these; PostgreSQL 14 lets a superuser alone do so, and rules go by it there.
    select format('trigger %I of %s', g.tgname, c.oid::regclass), array['fires_always']
    from rel c join pg_trigger g on g.tgrelid = c.oid
    where c.relname = any($2::text[]) and c.relkind in ('r', 'p') and not g.tgisinternal and g.tgname <> 'sb_transfer_fence'
      and g.tgenabled in ('A', 'R')
    union all
    select format('rewrite rule %I of %s', w.rulename, c.oid::regclass), array['fires_always']
    from rel c join pg_rewrite w on w.ev_class = c.oid cross join me
    where c.relname = any($2::text[]) and c.relkind in ('r', 'p')
      and (w.ev_enabled in ('A', 'R')
           or w.ev_enabled = 'O' and current_setting('server_version_num')::int < 150000 and not me.superuser)
    union all
    -- The server works these out when it reads the definition, as whoever it reads it for.
    select format('column %I of %s', a.attname, c.oid::regclass), array['worked_out']
    from rel c join pg_attrdef d on d.adrelid = c.oid
    join pg_attribute a on a.attrelid = c.oid and a.attnum = d.adnum and a.attgenerated <> ''
    where control.is_worked_out(d.adbin::text) and not c.relispartition and exists (
        select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent) and c.relkind = 'r')
    union all
    select format('table %s', c.oid::regclass), array['worked_out']
    from rel c join pg_partitioned_table t on t.partrelid = c.oid
    where t.partexprs is not null and control.is_worked_out(t.partexprs::text)
    union all
    select format('%s %s', i.type, i.identity), array['superuser_only']
    from pg_depend d cross join me cross join lateral pg_identify_object(d.classid, d.objid, 0) i
    where d.refclassid = 'pg_namespace'::regclass and d.refobjid = current_setting('sb_transfer.namespace')::oid and not me.superuser
      and d.classid in ('pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_ts_parser'::regclass, 'pg_ts_template'::regclass)
    union all
    select format('operator %s', o.oid::regoperator), array['empty_operator']
    from pg_operator o where o.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[])
      and o.oprnamespace = current_setting('sb_transfer.namespace')::oid and o.oprcode::oid = 0
      -- One that another is the commutator or negator of is made with that.
      and not exists (
          select from pg_operator x where x.oid = any((select current_setting('sb_transfer.others')::oid[])::oid[])
            and x.oprnamespace = o.oprnamespace and o.oid in (x.oprcom, x.oprnegate) and x.oprcode::oid <> 0)
    union all
    select format('%s %s', i.type, i.identity), array['named_as_schema']
    from own o cross join lateral pg_identify_object(o.class, o.id, 0) i where i.name = $1::text
    union all
    select format('function %s', p.oid::regprocedure),
        array['capitals']
    from fun p where p.prokind <> 'a' and strpos(lower(p.prosrc), $1::text) > 0
      and strpos(lower(replace(p.prosrc, $1::text, '')), $1::text) > 0
    union all
    select pg_describe_object(d.classid, d.objid, d.objsubid), array['extension']
    from own o join pg_depend d on d.classid = o.class and d.objid = o.id where d.deptype = 'e'
    union all
    select format('publication %I', p.pubname), array['publishes', c.oid::regclass::text]
    from rel c join pg_publication_rel r on r.prrelid = c.oid join pg_publication p on p.oid = r.prpubid
    union all
    select format('security label on %s', pg_describe_object(l.classoid, l.objoid, l.objsubid)), array['label']
    from own o join pg_seclabel l on l.objoid = o.id and l.classoid = o.class
    union all
    select format('table %s', i.inhrelid::regclass), array['family', i.inhparent::regclass::text]
    from (select i.inhrelid, i.inhparent, i.inhparent as other from rel join pg_inherits i on i.inhrelid = rel.oid
          union all
          select i.inhrelid, i.inhparent, i.inhrelid from rel join pg_inherits i on i.inhparent = rel.oid) i
    join pg_class o on o.oid = i.other where o.relnamespace <> current_setting('sb_transfer.namespace')::oid
    union all
    select format('constraint %I of %s', k.conname, k.conrelid::regclass),
        array['parent_not_valid', i.inhparent::regclass::text]
    from rel c join pg_constraint k on k.conrelid = c.oid
    join pg_inherits i on i.inhrelid = c.oid
    join pg_constraint p on p.conrelid = i.inhparent and p.contype = k.contype and not p.convalidated
        and (p.contype = 'c' and p.conname = k.conname or p.contype = 'n' and (
            select attname from pg_attribute where attrelid = p.conrelid and attnum = p.conkey[1]) = (
            select attname from pg_attribute where attrelid = k.conrelid and attnum = k.conkey[1]))
    where k.contype in ('c', 'n') and k.coninhcount > 0 and not k.conislocal and k.convalidated
    union all
    select format('foreign key %I of %s', k.conname, k.conrelid::regclass), array['refers_here']
    from (select distinct d.objid from rel join pg_depend d
              on d.refclassid = 'pg_class'::regclass and d.refobjid = rel.oid and d.classid = 'pg_constraint'::regclass) d
    join pg_constraint k on k.oid = d.objid join pg_class a on a.oid = k.conrelid
    where k.contype = 'f' and k.confrelid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
      and a.relnamespace <> current_setting('sb_transfer.namespace')::oid
    union all
    select distinct case when d.classid = 'pg_rewrite'::regclass
            then (select format('view %s', r.ev_class::regclass) from pg_rewrite r where r.oid = d.objid)
            else pg_describe_object(d.classid, d.objid, d.objsubid) end,
        array['lies_outside', pg_describe_object(d.refclassid, d.refobjid, 0)]
    from own o join pg_depend d on d.refclassid = o.class and d.refobjid = o.id
    cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) i
    cross join lateral pg_identify_object_as_address(d.classid, d.objid, d.objsubid) a
    where d.deptype in ('n', 'a')
      -- Triggers, rules, defaults and policies have no schema of their own, but their table's comes first in their address.
      and coalesce(i.schema, a.object_names[1]) is distinct from $1
      -- What somebody makes for his own session goes with it.
      and coalesce(i.schema, a.object_names[1], '') !~ '^pg_(toast_)?temp(_|$)'
      and not (d.classid = 'pg_constraint'::regclass and exists (
          select from pg_constraint k where k.oid = d.objid and k.contype = 'f'))
      -- Parts of an operator class belong to it; a cast goes with its type.
      and d.classid not in ('pg_amop'::regclass, 'pg_amproc'::regclass)
      and not (d.classid = 'pg_cast'::regclass and exists (
          select from pg_depend t join own y on y.class = t.refclassid and y.id = t.refobjid
          where t.classid = d.classid and t.objid = d.objid and t.refclassid = 'pg_type'::regclass))
    union all
    select format('event trigger %I', e.evtname), array['event_trigger']
    from pg_event_trigger e
    where e.evtenabled in ('O', 'A') and e.evtfoid is distinct from to_regprocedure('control.refuse_definition()')
    union all
    select distinct format('column %I of %s', a.attname, m.relation::regclass),
        array['object_numbers', format_type(m.type, null)]
    from made_of m join pg_attribute a on a.attrelid = m.relation and a.attnum = m.attribute
    -- Not regrole: roles are the same for both sides.
    where m.type in (
        'regclass'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regtype'::regtype, 'regnamespace'::regtype,
        'regoper'::regtype, 'regoperator'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regcollation'::regtype)
    union all
    select distinct format('column %I of %s', a.attname, m.relation::regclass),
        array['large_objects']
    from made_of m join pg_attribute a on a.attrelid = m.relation and a.attnum = m.attribute
    where m.type = 'oid'::regtype and exists (select from pg_largeobject_metadata)
) found order by what, said

-- name: published_schema
-- Publications of the whole schema; there are such since PostgreSQL 15.
select format('publication %I', p.pubname) as what, array['publishes_all'] as said
from pg_publication_namespace r join pg_publication p on p.oid = r.pnpubid join pg_namespace n on n.oid = r.pnnspid
where n.nspname = $1
