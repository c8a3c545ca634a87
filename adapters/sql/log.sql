-- name: begin_undo
-- Bar every forward step. Without a row a tombstone bars a freeze that is still on its way.
insert into control.transfer (transfer_id, workflow_id, environment_id, environment_name, state, requested_by,
                              undo_reason, undo_detail, ended_at)
values ($1, $2, $3, (select name from control.environment where environment_id = $3), $4, $5, $6, $7,
        case when $4 = 'undone' then now() end)
on conflict (transfer_id) do update
set state = 'undoing', undo_reason = excluded.undo_reason, undo_detail = excluded.undo_detail
where transfer.state not in ('released', 'undoing', 'undone')

-- name: finish_undo
-- Nothing of the transfer is left.
update control.transfer set state = 'undone', ended_at = now() where transfer_id = $1
