-- name: licence
-- The licence that takes the environment over.
select licence_number, kind, host, cell from control.licence where licence_number = $1

-- name: address_given_before
-- A mailbox address is never given to a second customer, not even after it was closed. To whom it belonged ($2 is the
-- environment that moves) it comes back.
select exists (select from control.mailbox_route where address = $1)
   and not exists (select from control.environment was join control.environment moves on moves.inbox_id = was.inbox_id
                   where was.mailbox_address = $1 and was.status = 'retired' and moves.environment_id = $2)

-- name: reserve
-- Hold name and url under the new licence. The unique indexes decide which of two at once wins.
insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, status,
                                 mailbox_address, login_email, schema_version, cell)
values ($1, $2, $3, $4, $5, $6, 'building', $7, $8, $9, $10)

-- name: name_taken
-- Whether a licence has an environment of this name, as its unique index sees it.
select exists (select from control.environment where licence_number = $1 and lower(name) = lower($2) and status <> 'retired')

-- name: use_ticket
-- A ticket works once.
update control.ticket set used_at = $2 where ticket_id = $1

-- name: schedule
-- The transfer waits for the evening.
update control.transfer
set state = 'scheduled', scenario = $2, target_licence = $3, new_environment_id = $4, new_environment = $5::jsonb,
    uploaded_by = $6, accepted_at = $7, starts_at = $8
where transfer_id = $1

-- name: is_certified
-- Whether all that an evening has to do was done in this one.
select exists (select from control.certificate where transfer_id = $1 and evening = $2)

-- name: drop_route
-- No mail for an environment that never came to be.
delete from control.mailbox_route where environment_id = $1

-- name: let_go
-- Name and url are free again.
delete from control.environment where environment_id = $1 and status in ('building', 'awaiting_release')
