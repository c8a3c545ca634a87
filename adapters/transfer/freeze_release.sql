-- name: bound_waits
-- How long to wait for one lock, for one statement, and (so the server) for this service's next statement.
select set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true),
       set_config('idle_in_transaction_session_timeout', $3, true)

-- name: lock_tables
-- Keep vacuum away from every table of a schema.
select control.lock_tables($1, $2)

-- name: hold_writers
-- Hold the writers of a schema until the commit, beginning with these tables; says which table could not be had.
select control.hold_writers($1, $2::oid[])

-- name: number_holders
-- The transactions that have drawn a number from a sequence of a schema. What is prepared draws no more.
select coalesce(array_agg(distinct l.virtualtransaction), '{}')
from pg_locks l
join pg_class c on c.oid = l.relation and c.relkind = 'S'
join pg_namespace n on n.oid = c.relnamespace and n.nspname = $1
where l.locktype = 'relation' and l.granted and l.pid <> pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())

-- name: settle_sequences
-- Let every sequence of a schema stand where it stands, whatever happens to the server.
select control.settle_sequences($1)

-- name: make_transfer
-- The transfer's row, unless it is there (an earlier attempt, or the tombstone of an undo) or another one is live.
insert into control.transfer (transfer_id, workflow_id, environment_id, environment_name, state, source_licence,
                              requested_by)
values ($1, $2, $3, $4, 'preparing', $5, $6)
on conflict do nothing

-- name: flag_administrations
-- Flag the administrations that are not read-only yet; says which these were.
select administrations, administration_count from control.flag_administrations($1)

-- name: take_sequence_grants
-- Take the right to draw numbers from others than the owner.
select control.take_sequence_grants($1)

-- name: give_sequence_grants
-- Give back what a freeze took.
select control.give_sequence_grants($1, $2::jsonb)

-- name: keep_fence
-- Remember what the freeze changed.
insert into control.fence (transfer_id, environment_id, schema_name, administrations, administration_count,
                           table_count, sequence_grants, raised_at)
values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8)

-- name: fence_of
-- What a transfer's freeze changed.
select environment_id, schema_name, administrations, administration_count, table_count, sequence_grants, raised_at,
       lifted_at
from control.fence where transfer_id = $1

-- name: mark_lifted
-- Remember that an undo opened the old environment.
update control.fence set lifted_at = now() where transfer_id = $1

-- name: is_in_use
-- Whether a licence has an environment that somebody works in, or will again when its move is undone.
select exists (select from control.environment e where e.licence_number = $1
               and (e.status = 'active' or e.status = 'read_only' and not exists (
                   select from control.transfer t where t.environment_id = e.environment_id and t.state = 'released')))

-- name: set_status
-- Change what an environment is good for.
update control.environment set status = $2 where environment_id = $1

-- name: mark_frozen
-- The transfer's environment is shut; says when. The database's clock, because a worker's may be wrong.
update control.transfer set frozen_at = statement_timestamp() where transfer_id = $1 returning frozen_at

-- name: raise_fence
-- Refuse every write in a schema; says how many tables were fenced.
select control.raise_fence($1, $2)

-- name: lift_fence
-- Let writes pass in a schema again and make these administrations writable.
select control.lift_fence($1, $2)

-- name: unfenced_tables
-- Tables whose fence is missing or does not fire always.
select f.quoted from control.fenceable_tables($1) f
where not exists (select from pg_trigger t
                  where t.tgrelid = f.relation and t.tgname = 'sb_transfer_fence' and t.tgenabled = 'A')
order by f.quoted

-- name: lifted_fences
-- Tables whose fence is lifted and still there.
select f.relation from control.fenceable_tables($1) f
join pg_trigger t on t.tgrelid = f.relation and t.tgname = 'sb_transfer_fence' and t.tgenabled = 'D'

-- name: drop_lifted_fence
-- Drop a table's fence unless it has been raised again.
select control.drop_lifted_fence($1)

-- name: mark_opened
-- The new environment can be inspected.
update control.transfer set state = 'awaiting_release' where transfer_id = $1

-- name: opened_at
-- When the new environment was opened for inspection; what an evening that was put off had opened does not count.
select at from control.transfer_event where transfer_id = $1 and kind = 'opened_for_inspection'
order by event_id desc limit 1

-- name: mark_released
-- The point of no return.
update control.transfer set state = 'released', released_by = $2, released_at = $3, ended_at = $3 where transfer_id = $1

-- name: released
-- What the release said.
select detail ->> 'users_invited' from control.transfer_event where transfer_id = $1 and kind = 'environment_released'
order by event_id limit 1

-- name: forward_moved_addresses
-- Addresses that still forward to the old environment follow it to the new one, for as long as they had.
update control.mailbox_route set environment_id = $2 where environment_id = $1 and valid_until is not null
and closed_at is null

-- name: route_mailbox
-- Who gets mail for an address from now on, and until when. In two steps: where the table is a view of the platform's own, no
-- conflict can be handled. Whoever releases holds the transfer, so nobody else adds this address meanwhile.
with known as (
    update control.mailbox_route set environment_id = $2::uuid, valid_until = $3::timestamptz, closed_at = null
    where address = $1::text returning address
)
insert into control.mailbox_route (address, environment_id, valid_until)
select $1::text, $2::uuid, $3::timestamptz where not exists (select from known)

-- name: close_route
-- Mail for the old address of a released transfer ($2) goes to nobody, from when that was promised on; clocks may differ by an
-- hour. The row stays, so that no one else is ever given the address.
update control.mailbox_route r set environment_id = null, closed_at = now()
from control.transfer t join control.environment e using (environment_id)
where t.transfer_id = $2 and t.state = 'released' and e.mailbox_address = $1
  and r.address = $1 and r.closed_at is null and r.valid_until <= now() + interval '1 hour'

-- name: is_closed
-- Whether nobody gets what is sent to an address.
select exists (select from control.mailbox_route where address = $1 and closed_at is not null)

-- name: add_owner
-- The customer's own login.
insert into {table} (email, role, invitation_status, mobile_link_status)
values ($1, 'owner', 'not_invited', 'needs_relink')
on conflict ((pg_catalog.lower(email))) do update set role = 'owner'

-- name: count_users
-- How many will be invited, with the customer's own login ($1) if there is one.
select count(*) + case when $1::text is not null and not exists (select from {env}.app_user u where lower(u.email) = lower($1))
                       then 1 else 0 end
from {env}.app_user

-- name: invite_users
-- Every user is asked in again.
with invited as (
    update {table} set invitation_status = 'invited' returning 1
)
{told} select pg_catalog.to_jsonb(pg_catalog.count(*)) from invited

-- name: carried_consents
-- The connections that a release takes along by their consent.
select administration_id::text as administration_id, bank::text as bank, iban::text as iban
from {env}.bank_connection where bank = 'rabobank' and status = 'active' order by 1, 3 limit 10000

-- name: hand_on_consents
-- Whose the consents of an old environment's connections are from now on.
insert into control.bank_consent (environment_id, administration_id, bank, iban, belongs_to)
select $1, c.administration_id, c.bank, c.iban, $2 from unnest($3::text[], $4::text[], $5::text[]) c (administration_id, bank, iban)
on conflict do nothing

-- name: mute_triggers
-- Keep a customer's own triggers from reacting to what this service writes.
select control.mute_triggers_in($1)

-- name: unmute_triggers
-- End the silence: the platform's own tables may stand behind views whose triggers write them.
select control.unmute_triggers()
