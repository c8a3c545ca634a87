-- What is needed to put a violation right, and to know that it is safe.

-- name: standing
-- Where a transfer stands, what people have been told of it, and until when its old address forwards.
select t.transfer_id, t.environment_id, t.state, t.scenario, t.undo_reason, coalesce(t.undo_detail, '') as undo_detail,
       to_jsonb(old)::text as old, coalesce(to_jsonb(new), t.new_environment)::text as new,
       old.mailbox_address as old_mailbox_address,
       (select array_agg(kind) from (
            select m.kind from control.sent_mail m where m.transfer_id = t.transfer_id
            group by m.kind having bool_and(m.status in ('sent', 'failed'))) answered) as mails_answered,
       case when t.state = 'released' then
           (select r.valid_until from control.mailbox_route r
            where r.address = old.mailbox_address and r.closed_at is null) end as forwards_until
from control.transfer t
left join control.environment old on old.environment_id = t.environment_id
left join control.environment new on new.environment_id = t.new_environment_id
where t.transfer_id = $1

-- name: hold_environment
-- An environment, held until the transaction ends.
select environment_id, schema_name, status, cell from control.environment where environment_id = $1 for update

-- name: hold_transfer
-- The state of a transfer, held until the transaction ends.
select state from control.transfer where transfer_id = $1 for update

-- name: moves_from
-- The transfers of an environment to another, from new to old.
select transfer_id, state from control.transfer where environment_id = $1 order by created_at desc, transfer_id

-- name: moves_to
-- The transfers that an environment was made for, from new to old.
select transfer_id, state from control.transfer where new_environment_id = $1 order by created_at desc, transfer_id

-- name: move_that_reserved
-- The undone transfer that a schema was made for, when no environment has it (any more).
select t.transfer_id from control.transfer t
where t.state = 'undone' and t.new_environment ->> 'schema_name' = $1
  and not exists (select from control.environment e where e.schema_name = $1)

-- name: fence_up
-- Whether a transfer's freeze has not been lifted.
select exists (select from control.fence where transfer_id = $1 and lifted_at is null)

-- name: stray_fence
-- In a cell: the freeze of an environment that was not lifted, and whose it is.
select transfer_id, environment_id, schema_name, administrations, sequence_grants from control.fence
where environment_id = $1 and lifted_at is null for update

-- name: bar_stray
-- In a cell: what is left of a freeze that was broken off comes too late from now on.
update control.transfer set state = 'undone', undo_reason = 'failed' where transfer_id = $1 and state <> 'released'

-- name: raise_fence
-- Refuse every write in a schema; says how many tables are fenced.
select control.raise_fence($1, $2)

-- name: lower_flags
-- Make writable what a lifted fence left read-only.
select control.lower_flags($1, $2::text::text[], $3::text::xid)

-- name: take_schema_grants
-- Let nobody but the owner into a schema.
select control.take_schema_grants($1)

-- name: revoke_ticket
-- The ticket of a transfer that has ended is good for nothing.
update control.ticket set revoked_at = now() where transfer_id = $1 and revoked_at is null

-- name: drop_some
-- Some of an orphan's tables, as many as the server can lock; says how many.
select control.drop_clone_objects($1, $2, $3)

-- name: drop_schema
-- Refuses the schema of an environment in use by itself.
select control.drop_clone_schema($1, $2)
