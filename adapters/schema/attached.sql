-- What is made last: triggers, rules, comments, owners, what is told of everything else. Runs after `own` and
-- `enter_definitions` of catalog.sql.

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
        or d.classid = 'pg_trigger'::regclass and d.objid in (
            select g.oid from rel c join pg_trigger g on g.tgrelid = c.oid where g.tgparentid = 0)
        or d.classid = 'pg_class'::regclass and d.objid = any(current_setting('sb_transfer.relations')::oid[] || array(
            select x.indexrelid from rel c join pg_index x on x.indrelid = c.oid)))
    offset 0  -- or the server would ask for the text of every environment's triggers before it joins
) parts where statement is not null order by place, oid

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
from described w cross join lateral (
    select description from pg_description where objoid = w.objid and classoid = w.classid and objsubid = w.sub offset 0) d
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
