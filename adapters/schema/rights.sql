-- Who may do what with what a schema holds. `rights` runs after `own` and `enter_definitions` of catalog.sql.

-- name: rights
-- The rights on everything in the schema that differ from what an owner has of himself, in the order in which they were
-- given, and beside them those that there would be if none had ever been given or taken: `usual`.
with held (what, columns, owner, acl, usual) as (
    select case c.relkind when 'S' then 'sequence ' else 'table ' end || c.oid::regclass, '', c.relowner, c.relacl,
        acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner)
    from pg_class c
    where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[]) and c.relkind in ('r', 'p', 'v', 'm', 'S') and c.relacl is not null
    union all
    select 'table ' || c.oid::regclass, format('(%I)', a.attname), c.relowner, a.attacl, null
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attacl is not null and a.attnum > 0 and not a.attisdropped
    where c.oid = any((select current_setting('sb_transfer.relations')::oid[])::oid[])
    union all
    select format('%s %I.%I(%s)', case p.prokind when 'p' then 'procedure' else 'function' end, n.nspname, p.proname,
        pg_get_function_identity_arguments(p.oid)), '', p.proowner, p.proacl, acldefault('f', p.proowner)
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where p.oid = any((select current_setting('sb_transfer.functions')::oid[])::oid[]) and p.proacl is not null
    union all
    select 'type ' || t.oid::regtype, '', t.typowner, t.typacl, acldefault('T', t.typowner)
    from pg_type t where t.oid = any((select current_setting('sb_transfer.types')::oid[])::oid[]) and t.typacl is not null
      and t.typtype in ('e', 'd', 'c', 'r')
)
select h.what, h.columns, h.owner::regrole::text as owner, x.usual, e.grantor::regrole::text as grantor,
       case when e.grantee = 0 then 'public' else e.grantee::regrole::text end as grantee, e.privilege_type as privilege,
       e.is_grantable and e.grantee <> h.owner as grantable
from held h
cross join lateral (values (false, h.acl), (true, h.usual)) x (usual, acl)
left join lateral aclexplode(x.acl) with ordinality e (grantor, grantee, privilege_type, is_grantable, place) on true
order by h.what, h.columns, x.usual, e.place

-- name: me
-- The role that copies, quoted.
select current_user::regrole::text

-- name: unknown_privileges
-- Privileges that other versions of the server know.
select case when current_setting('server_version_num')::int < 170000 then array['MAINTAIN'] else '{}'::text[] end

-- name: let_in
-- Statements that let some roles ($2, quoted) own things in a schema ($1) and give rights on them, until the commit.
select format('grant usage, create on schema %I to %s', $1::text, role) as statement from unnest($2::text[]) role

-- name: let_out
-- And those that take it from them again.
select format('revoke usage, create on schema %I from %s', $1::text, role) as statement from unnest($2::text[]) role

-- name: schema_rights
-- Rights on a schema itself, to be given to its copy.
select e.privilege_type as privilege, case when e.grantee <> 0 then pg_get_userbyid(e.grantee)::text end as grantee,
       e.is_grantable and e.grantee <> n.nspowner as grantable
from pg_namespace n cross join lateral aclexplode(n.nspacl) e where n.nspname = $1

-- name: schema_grant
-- One of them as a statement; null is everybody.
select format('grant %s on schema %I to %s%s', $2::text, $1::text, coalesce(quote_ident($3::text), 'public'),
              case when $4::boolean then ' with grant option' end)
