-- name: licence
-- A licence, and whether it was cancelled.
select l.licence_number, l.kind, l.host, l.cell,
       exists (select from control.cancelled_licence c where c.licence_number = l.licence_number) as cancelled
from control.licence l where l.licence_number = $1

-- name: keep_licence
-- Nobody cancels a licence until the commit: see control.cancel_licence.
select pg_advisory_xact_lock_shared(x'6c696365'::int, hashtext($1))

-- name: address_given_before
-- A mailbox address is never given to a second customer, not even after it was closed. To whom it belonged ($2 is the
-- environment that moves) it comes back.
select exists (select from control.mailbox_route where address = $1)
   and not exists (select from control.environment was join control.environment moves on moves.inbox_id = was.inbox_id
                   where was.mailbox_address = $1 and was.status = 'retired' and moves.environment_id = $2)

-- name: reserve
-- Hold name and url under the new licence. The unique indexes decide which of two at once wins.
insert into control.environment (environment_id, name, url_part, url, mailbox_address, login_email, status,
                                 licence_number, schema_name, schema_version, cell)
values ($1, $2, $3, $4, $5, $6, 'building', $7, $8, $9, $10)

-- name: correct
-- Hold another name and url instead.
update control.environment set name = $2, url_part = $3, url = $4, mailbox_address = $5, login_email = $6
where environment_id = $1 and status = 'building'

-- name: note_correction
-- What is reserved from now on.
update control.transfer set new_environment = $2::jsonb where transfer_id = $1

-- name: is_told
-- Whether a line of this key stands in a log.
select exists (select from control.transfer_event where event_key = $1)

-- name: name_taken
-- Whether a licence has another environment ($3 is the one that asks) of this name, as its unique index sees it.
select exists (select from control.environment where licence_number = $1 and lower(name) = lower($2) and status <> 'retired'
               and environment_id <> $3)

-- name: use_ticket
-- A ticket works once.
update control.ticket set used_at = $2 where ticket_id = $1

-- name: schedule
-- The transfer waits for the evening.
update control.transfer
set state = 'scheduled', scenario = $2, target_licence = $3, new_environment_id = $4, new_environment = $5::jsonb,
    uploaded_by = $6, accepted_at = $7, starts_at = $8
where transfer_id = $1

-- name: behind
-- How many of the same licence come before a transfer on its evening: those that were put off before those that come new.
select count(*)
from control.transfer me join control.transfer other on other.starts_at = me.starts_at
where me.transfer_id = $1 and other.state = 'scheduled' and other.target_licence = me.target_licence
  and (other.evening = 1, other.accepted_at, other.transfer_id) < (me.evening = 1, me.accepted_at, me.transfer_id)

-- name: is_certified
-- Whether all that an evening has to do was done in this one.
select exists (select from control.certificate where transfer_id = $1 and evening = $2)

-- name: drop_route
-- No mail for an environment that never came to be.
delete from control.mailbox_route where environment_id = $1

-- name: let_go
-- Name and url are free again.
delete from control.environment where environment_id = $1 and status in ('building', 'awaiting_release')
