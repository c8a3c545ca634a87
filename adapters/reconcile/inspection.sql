-- The facts that the invariant is judged by, read in one snapshot. Each statement is about all environments at once.
-- Rights are read from the catalog's rows: functions such as has_schema_privilege do not look through the snapshot.

-- name: export_snapshot
-- The snapshot by which other transactions see the same instant, and that instant.
select pg_export_snapshot() as snapshot, transaction_timestamp() as at

-- name: import_snapshot
-- See what another transaction sees, as a statement.
select format('set transaction snapshot %L', $1::text)

-- name: environments
-- Every environment.
select e.environment_id, e.licence_number || '/' || e.name as label, e.status, e.schema_name, e.cell
from control.environment e

-- name: schemas
-- What schemas ($1) really look like, and what a cell says of those who are its guests (at home there are none).
with guarded as (
    select c.relnamespace, count(*) as tables,
           count(*) filter (where t.tgenabled = 'A') as fenced,
           count(*) filter (where t.tgenabled <> 'A') as fence_remains
    from pg_class c
    left join pg_trigger t on t.tgrelid = c.oid and t.tgname = 'sb_transfer_fence'
    where c.relkind in ('r', 'p')
    group by c.relnamespace
), application as (
    select r.oid from pg_roles r, pg_roles app where app.rolname = 'sb_app' and pg_has_role(app.oid, r.oid, 'usage')
    union all select 0
)
select e.schema_name, n.oid is not null as schema_exists,
       coalesce(g.tables, 0) as tables, coalesce(g.fenced, 0) as fenced, coalesce(g.fence_remains, 0) as fence_remains,
       n.oid is not null and (
           n.nspowner in (select oid from application)
           or exists (select from aclexplode(n.nspacl) a
                      where a.privilege_type = 'USAGE' and a.grantee in (select oid from application))
       ) as application_may_enter,
       guest.status as status_there, move.workflow_id as changed_by
from unnest($1::text[]) as e (schema_name)
left join pg_namespace n on n.nspname = e.schema_name
left join guarded g on g.relnamespace = n.oid
left join control.guest guest on guest.schema_name = e.schema_name
left join control.transfer move on move.transfer_id = guest.transfer_id

-- name: openings_of_guests
-- The same in a cell, for the active environments ($1) that live there.
with opening as (
    select f.environment_id, f.schema_name, f.administrations, f.sequence_grants, f.lifted_at as at, f.xmin as opened
    from control.fence f where f.lifted_at is not null and f.environment_id = any ($1::uuid[])
    union all
    select g.environment_id, g.schema_name, g.administrations, g.sequence_grants, g.opened_at, g.xmin
    from control.guest g where g.opened_at is not null and g.environment_id = any ($1::uuid[])
), latest as (
    select distinct on (o.environment_id) o.* from opening o
    -- What is frozen again has its rights taken again, also when home has not heard of it yet.
    where not exists (select from control.fence up where up.environment_id = o.environment_id and up.lifted_at is null)
    order by o.environment_id, o.at desc
), withheld as (
    select l.environment_id, count(*) as grants
    from latest l
    cross join lateral jsonb_to_recordset(l.sequence_grants) as g (sequence text, grantee text, privilege text)
    join pg_namespace n on n.nspname = l.schema_name
    join pg_class c on c.relnamespace = n.oid and c.relkind = 'S' and c.relname = g.sequence
    left join pg_roles r on r.rolname = g.grantee
    where g.privilege <> 'SELECT' and (g.grantee is null or r.oid is not null)
      and not exists (select from aclexplode(c.relacl) a
                      where a.privilege_type = g.privilege and a.grantee = coalesce(r.oid, 0))
    group by l.environment_id
)
select l.environment_id, l.schema_name, l.administrations::text as administrations, l.opened::text as opened,
       coalesce(w.grants, 0) as grants_withheld
from latest l left join withheld w using (environment_id)

-- name: openings
-- For every active environment that a fence was lifted in: what the last one had changed, and who lifted it.
with opening as (
    select f.environment_id, f.schema_name, f.administrations, f.sequence_grants, f.lifted_at as at, f.xmin as opened
    from control.fence f where f.lifted_at is not null
    union all
    select e.environment_id, e.schema_name, f.administrations, f.sequence_grants, t.released_at, t.xmin
    from control.transfer t
    join control.fence f using (transfer_id)
    join control.environment e on e.environment_id = t.new_environment_id
    where t.state = 'released'
), latest as (
    select distinct on (o.environment_id) o.*
    from opening o
    join control.environment e on e.environment_id = o.environment_id and e.status = 'active' and e.cell = 'home'
    order by o.environment_id, o.at desc
), withheld as (
    select l.environment_id, count(*) as grants
    from latest l
    cross join lateral jsonb_to_recordset(l.sequence_grants) as g (sequence text, grantee text, privilege text)
    join pg_namespace n on n.nspname = l.schema_name
    join pg_class c on c.relnamespace = n.oid and c.relkind = 'S' and c.relname = g.sequence
    left join pg_roles r on r.rolname = g.grantee
    where g.privilege <> 'SELECT' and (g.grantee is null or r.oid is not null)
      and not exists (select from aclexplode(c.relacl) a
                      where a.privilege_type = g.privilege and a.grantee = coalesce(r.oid, 0))
    group by l.environment_id
)
select l.environment_id, l.schema_name, l.administrations::text as administrations, l.opened::text as opened,
       coalesce(w.grants, 0) as grants_withheld
from latest l left join withheld w using (environment_id)

-- name: flags_left
-- Administrations that stayed read-only when these schemas were opened; those that have any.
select o.environment_id, found.flags_left
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as o (environment_id, schema_name, administrations, opened)
cross join lateral (
    select control.flags_left(o.schema_name, o.administrations::text[], o.opened::xid) as flags_left
) found
where found.flags_left > 0

-- name: transfers
-- Every transfer beside what it holds and what has been told of it.
with story as (
    select transfer_id, array_agg(distinct kind) as told,
           bool_or(kind = 'environment_released' and detail ->> 'users_invited' = '0' or kind = 'users_to_invite') as invited
    from control.transfer_event group by transfer_id
), mail as (
    -- Answered: taken, or refused for good. What is pending waits for somebody to try it again.
    select transfer_id, array_agg(kind) as answered
    from (select transfer_id, kind from control.sent_mail
          group by transfer_id, kind having bool_and(status in ('sent', 'failed'))) by_kind
    group by transfer_id
)
select t.transfer_id, t.workflow_id, t.environment_id, t.new_environment_id, t.state, t.created_at, t.state_since,
       f.transfer_id is not null and f.lifted_at is null as fence_up,
       k.ticket_id is not null and k.used_at is null and k.revoked_at is null
           and k.expires_at > transaction_timestamp() as ticket_open,
       k.ticket_id is null or k.revoked_at is not null as ticket_gone,
       case when t.state = 'released' then r.valid_until end as forwards_until,
       coalesce(s.told, '{}') as told,
       coalesce(m.answered, '{}') || case when s.invited then array['invitation'] else '{}' end as mails
from control.transfer t
left join control.fence f using (transfer_id)
left join control.ticket k using (transfer_id)
left join control.environment old on old.environment_id = t.environment_id
left join control.mailbox_route r on r.address = old.mailbox_address and r.closed_at is null and r.valid_until is not null
left join story s using (transfer_id)
left join mail m using (transfer_id)

-- name: retirements
-- Old environments whose end is planned or under way.
select environment_id, due_at from control.retirement where ended_at is null and called_back_at is null

-- name: routes
-- Who gets mail for every address that is not closed.
select address, environment_id, valid_until, closed_at is not null as closed from control.mailbox_route
where closed_at is null

-- name: held
-- What waits of each customer's mail and scans, what was taken in and is nowhere, and where it is to go.
with queue as (
    select h.inbox_id, count(*) as waiting, count(*) filter (where h.problem is not null) as set_aside,
           min(h.arrived_at) as oldest, count(*) filter (where d.delivered_at is not null) as twice
    from control.held_item h join control.delivery d using (inbox_id, kind, item_digest)
    group by h.inbox_id
), gone as (
    select d.inbox_id, count(*) as lost from control.delivery d
    where d.delivered_at is null and not exists (
        select from control.held_item h
        where h.inbox_id = d.inbox_id and h.kind = d.kind and h.item_digest = d.item_digest)
    group by d.inbox_id
)
select inbox_id, e.environment_id, e.status, coalesce(q.waiting, 0) as waiting, coalesce(q.set_aside, 0) as set_aside, q.oldest,
       coalesce(q.twice, 0) as twice, coalesce(g.lost, 0) as lost
from queue q full join gone g using (inbox_id)
left join lateral (
    select e.environment_id, e.status from control.environment e
    where e.inbox_id = coalesce(q.inbox_id, g.inbox_id) and e.status in ('active', 'read_only')
      and not exists (select from control.transfer t where t.environment_id = e.environment_id and t.state = 'released')
    order by e.status limit 1) e on true

-- name: forget_old_deliveries
-- Nobody sends again what arrived half a year ago.
delete from control.delivery where arrived_at < now() - interval '180 days' and delivered_at is not null

-- name: orphan_schemas
-- Schemas named like an environment's that none of this database's environments ($1) has.
select n.nspname from pg_namespace n
where n.nspname ~ '^env_[0-9a-f]{32}$' and not n.nspname = any ($1::text[])
order by n.nspname

-- name: unreleased_clones
-- Finished clones that people compare at this moment, with both schemas.
select t.transfer_id, old.schema_name as old_schema, new.schema_name as new_schema, old.cell as old_cell,
       new.cell as new_cell
from control.transfer t
join control.environment old on old.environment_id = t.environment_id
join control.environment new on new.environment_id = t.new_environment_id
where t.state = 'awaiting_release'
order by t.transfer_id

-- name: forget_old_findings
-- Nobody reads what was found a week ago.
delete from control.inspection_finding where found_at < now() - interval '7 days'

-- name: keep_findings
-- Keep what an inspection ($1) found, in its order.
insert into control.inspection_finding (inspection_id, number, kind, subject, what, run_id)
select $1, f.number, f.kind, f.subject, f.what, f.run_id
from unnest($2::text[], $3::text[], $4::text[], $5::text[]) with ordinality as f (kind, subject, what, run_id, number)

-- name: findings
-- The next findings ($3) of an inspection ($1), after those up to a number ($2).
select number, kind, subject, what, run_id from control.inspection_finding
where inspection_id = $1 and number > $2
order by number limit $3
