-- name: ticket_of
-- A transfer's ticket, held until the transaction ends.
select ticket_id, digest, file_name, issued_at, expires_at, sealed_at, used_at, revoked_at, for_licence
from control.ticket where transfer_id = $1 for update

-- name: issue
-- The right to take over an environment, once, until it expires.
insert into control.ticket (ticket_id, transfer_id, file_name, issued_at, expires_at, for_licence)
values ($1, $2, $3, $4, $5, $6)

-- name: await_upload
-- The transfer waits for its upload.
update control.transfer set state = 'awaiting_upload' where transfer_id = $1 and state = 'preparing'

-- name: keep_digest
-- The only file that is good from now on; one that was made before is not any more.
update control.ticket set digest = $2, sealed_at = now() where ticket_id = $1

-- name: revoke
-- The ticket is good for nothing.
update control.ticket set revoked_at = now() where transfer_id = $1 and revoked_at is null

-- name: looked_at
-- What a ticket is good for, for somebody who has it and has not used it: nothing is held.
select t.state, t.environment_name, l.licence_number, l.holder_name, l.kind, k.digest, k.expires_at, k.used_at, k.revoked_at,
       n.kind as new_kind, n.licence_number as new_licence, n.holder_name as new_holder,
       exists (select from control.cancelled_licence c where c.licence_number = n.licence_number) as new_cancelled
from control.transfer t
join control.ticket k using (transfer_id)
left join control.licence l on l.licence_number = t.source_licence
left join control.licence n on n.licence_number = $2
where t.transfer_id = $1
