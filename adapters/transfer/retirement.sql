-- The end of an old environment.

-- name: released_from
-- The released transfer that left an environment behind.
select transfer_id from control.transfer where environment_id = $1 and state = 'released' order by released_at desc limit 1

-- name: busy
-- Whether these books are being transferred at this moment, wherever they are now.
select exists (select from control.transfer t join control.environment e using (environment_id)
               where e.inbox_id = $1 and t.state not in ('released', 'undone'))

-- name: forwarded
-- Until when mail for an environment's old address still goes on.
select exists (select from control.mailbox_route where address = $1 and closed_at is null
               and (valid_until is null or valid_until > now()))

-- name: retirement
-- What is planned for an environment, or was done.
select environment_id, transfer_id, requested_by, planned_at, due_at, called_back_at, retired_at, ended_at, removed
from control.retirement where environment_id = $1

-- name: plan
-- Plan the end of an environment; one that was called back is planned anew, one that is planned stays as it is.
insert into control.retirement (environment_id, transfer_id, requested_by, planned_at, due_at)
values ($1, $2, $3, now(), now() + $4::interval)
on conflict (environment_id) do update
set transfer_id = excluded.transfer_id, requested_by = excluded.requested_by, planned_at = excluded.planned_at,
    due_at = excluded.due_at, called_back_at = null
where control.retirement.called_back_at is not null

-- name: call_back
-- Keep it, unless its books are being dropped already.
update control.retirement set called_back_at = now()
where environment_id = $1 and retired_at is null and called_back_at is null

-- name: count_rows
-- How many rows each table of a schema has.
select control.count_rows($1)

-- name: begin
-- The point of no return: name and url are free, and nobody may enter.
with begun as (
    update control.environment set status = 'retired' where environment_id = $1
)
update control.retirement set retired_at = now(), removed = $2::jsonb where environment_id = $1

-- name: take_schema_grants
-- Let nobody but the owner into a schema.
select control.take_schema_grants($1)

-- name: drop_some
-- Some of its tables or other objects, as many as the server can lock; says how many.
select control.drop_clone_objects($1, $2, $3)

-- name: drop_schema
-- And the rest.
select control.drop_clone_schema($1, $2)

-- name: finish
-- Nothing is left of it; the statement of what was removed is kept.
update control.retirement set ended_at = now(), certificate = $2 where environment_id = $1 and ended_at is null
