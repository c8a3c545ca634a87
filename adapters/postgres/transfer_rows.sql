-- name: lock_transfer
-- The transfer's row, held until the transaction ends: attempts of one transfer follow one another.
select transfer_id, workflow_id, environment_id, state, scenario, source_licence, target_licence, new_environment_id,
       new_environment, requested_by, uploaded_by, released_by, frozen_at, accepted_at, starts_at, released_at,
       evening
from control.transfer where transfer_id = $1 for update

-- name: add_event
-- One line of the story. A key that was told before is not told again.
insert into control.transfer_event (transfer_id, actor, kind, reason, detail, event_key)
values ($1, $2, $3, $4, $5::jsonb, $6)
on conflict (event_key) do nothing

-- name: environment
-- An environment by id.
select * from control.environment where environment_id = $1

-- name: lock_environment
-- An environment by id, held until the transaction ends.
select * from control.environment where environment_id = $1 for update

-- name: live_transfer_of
-- The live transfer of an environment, if there is one.
select transfer_id from control.transfer where environment_id = $1 and state not in ('released', 'undone')

-- name: not_awaited
-- The next commit does not wait for the disk: whatever hangs on it comes later in the same log.
select set_config('synchronous_commit', 'off', true)
