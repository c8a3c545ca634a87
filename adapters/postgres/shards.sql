-- Other databases than the one `control` is in: their addresses, and the bar that a step in one has to pass.

-- name: cells
-- Every cell, and under which name its address is among the settings.
select name, dsn_ref from control.cell order by name

-- name: add_cell
-- A cell, unless it is known.
insert into control.cell (name, dsn_ref) values ($1, $2) on conflict (name) do nothing

-- name: here
-- Which cell this database is; no row when it has not been set up.
select name from control.here

-- name: settle
-- Tell a database which cell it is, once.
insert into control.here (name) values ($1) on conflict (only_one) do nothing

-- name: pass_bar
-- In a cell: take the bar of a transfer for a step forward, until the commit. No row: it is being undone, it is released
-- or this step belongs to an evening that was put off.
insert into control.transfer (transfer_id, workflow_id, environment_id, new_environment_id, state, evening)
values ($1, $2, $3, $4, 'cloning', $5)
on conflict (transfer_id) do update
set evening = excluded.evening, new_environment_id = excluded.new_environment_id
where control.transfer.state <> 'undone' and control.transfer.evening <= excluded.evening
returning state

-- name: put_bar
-- In a cell: from the commit on no step forward of a transfer passes. No row: it was released here.
insert into control.transfer (transfer_id, workflow_id, environment_id, new_environment_id, state, undo_reason, evening)
values ($1, $2, $3, $4, 'undone', 'failed', $5)
on conflict (transfer_id) do update set state = 'undone', undo_reason = 'failed'
where control.transfer.state <> 'released'
returning state

-- name: begin_evening
-- In a cell: what an evening that was put off has found is forgotten.
update control.transfer set banks = null, consequences = null where transfer_id = $1

-- name: release_here
-- In a cell: nothing of this transfer can be undone here any more.
update control.transfer set state = 'released' where transfer_id = $1

-- name: guest
-- In a cell: what this database has last made of an environment.
insert into control.guest (environment_id, schema_name, transfer_id, status) values ($1, $2, $3, $4)
on conflict (environment_id) do update set transfer_id = excluded.transfer_id, status = excluded.status

-- name: guest_opened
-- In a cell: what the release of an environment gave back.
update control.guest set administrations = $2, sequence_grants = $3::jsonb, opened_at = now() where environment_id = $1

-- name: is_released_here
-- In a cell: whether it has opened the new environment of a transfer.
select state = 'released' from control.transfer where transfer_id = $1

-- name: forget_guest
-- In a cell: there is nothing of an environment here any more.
delete from control.guest where environment_id = $1

-- name: cell_of_new
-- The cell of a transfer's new environment, also when that is gone.
select coalesce(e.cell, t.new_environment ->> 'cell', 'home') as cell
from control.transfer t left join control.environment e on e.environment_id = t.new_environment_id
where t.transfer_id = $1
