-- name: begin_undo
-- Bar every forward step. Without a row a tombstone bars a freeze that is still on its way.
insert into control.transfer (transfer_id, workflow_id, environment_id, environment_name, state, requested_by,
                              undo_reason, undo_detail, ended_at, undo_detail_nl)
values ($1, $2, $3, (select name from control.environment where environment_id = $3), $4, $5, $6, $7,
        case when $4 = 'undone' then now() end, $8)
on conflict (transfer_id) do update
set state = 'undoing', undo_reason = excluded.undo_reason, undo_detail = excluded.undo_detail, undo_detail_nl = excluded.undo_detail_nl
where transfer.state not in ('released', 'undoing', 'undone')

-- name: left_of
-- What is left of a transfer that was undone, nothing when all of it is gone.
select nullif(concat_ws(', ',
    case when exists (select from control.fence f where f.transfer_id = t.transfer_id and f.lifted_at is null)
         then 'the freeze' end,
    case when exists (select from control.ticket k
                      where k.transfer_id = t.transfer_id and k.revoked_at is null)
         then 'the ticket' end,
    case when exists (select from control.environment e
                      where e.environment_id = t.new_environment_id and e.status in ('building', 'awaiting_release'))
         then 'the reservation' end,
    case when exists (select from pg_namespace n where n.nspname = t.new_environment ->> 'schema_name')
         then 'the clone' end), '')
from control.transfer t where t.transfer_id = $1

-- name: show
-- The newest that a long step tells of itself; what comes after the transfer's end is late.
insert into control.transfer_sight (transfer_id, step, progress)
select t.transfer_id, $2, $3::jsonb from control.transfer t where t.transfer_id = $1 and t.state not in ('released', 'undone')
on conflict (transfer_id) do update set step = excluded.step, progress = excluded.progress, seen_at = clock_timestamp()

-- name: finish_undo
-- Nothing of the transfer is left.
update control.transfer set state = 'undone', ended_at = now() where transfer_id = $1

-- name: workflow_of
-- Which workflow carries out a transfer; its row keeps the one that froze.
select workflow_id from control.transfer where transfer_id = $1
