-- name: lock_owner
-- Hold an owner's endpoints together until the transaction ends. The bytes of "hook" before the hash of its licence.
select pg_advisory_xact_lock(x'686f6f6b'::int, hashtext($1))

-- name: count_others
-- How many endpoints an owner has beside this one.
select count(*) from control.webhook where licence_number is not distinct from $1 and webhook_id <> $2

-- name: register
-- An endpoint; whoever did not hear the answer asks again, and gets another secret for the same one.
insert into control.webhook (webhook_id, licence_number, url, types, description, secret, created_by, position)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (webhook_id) do update set secret = excluded.secret

-- name: one
-- An endpoint, and how its deliveries go.
select w.webhook_id, w.licence_number, w.url, w.types, w.description, w.created_at, w.disabled_at, w.disabled_because,
       w.failing_since, w.last_problem, w.last_delivered_at,
       case when w.previous_until > clock_timestamp() then w.previous_until end as previous_until,
       case when w.disabled_at is null and d.pending > 0 then greatest(w.resume_at, d.next_attempt_at) end as next_attempt_at,
       d.pending
from control.webhook w
cross join lateral (select count(*) as pending, min(next_attempt_at) as next_attempt_at
                    from control.webhook_delivery d where d.webhook_id = w.webhook_id) d
where w.webhook_id = $1

-- name: listed
-- The next $4 endpoints behind one, by id, of licence $1; with $2, of everybody when none is given.
select w.webhook_id, w.licence_number, w.url, w.types, w.description, w.created_at, w.disabled_at, w.disabled_because,
       w.failing_since, w.last_problem, w.last_delivered_at,
       case when w.previous_until > clock_timestamp() then w.previous_until end as previous_until,
       case when w.disabled_at is null and d.pending > 0 then greatest(w.resume_at, d.next_attempt_at) end as next_attempt_at,
       d.pending
from control.webhook w
cross join lateral (select count(*) as pending, min(next_attempt_at) as next_attempt_at
                    from control.webhook_delivery d where d.webhook_id = w.webhook_id) d
where (w.licence_number = $1 or ($2 and $1::text is null)) and ($3::uuid is null or w.webhook_id > $3)
order by w.webhook_id limit $4

-- name: change
-- What is given of an endpoint: another address, other types, on or off. Switched on it has all of its three days again.
update control.webhook w
set url = coalesce($2, url), types = coalesce($3, types), description = coalesce($4, description),
    disabled_at = case when $5 then null when not $5 then coalesce(disabled_at, clock_timestamp()) else disabled_at end,
    disabled_because = case when $5 then null when not $5 then coalesce(disabled_because, 'by_hand') else disabled_because end,
    failures = case when $5 or $2 is not null then 0 else failures end,
    failing_since = case when $5 then null else failing_since end,
    resume_at = case when $5 or $2 is not null then clock_timestamp() else resume_at end
where webhook_id = $1

-- name: delete
-- An endpoint with what it has not got.
delete from control.webhook where webhook_id = $1

-- name: rotate
-- Another secret; the one before it is good until $3.
update control.webhook set previous_secret = secret, previous_until = $3, secret = $2 where webhook_id = $1

-- name: redeliver
-- Look through the log once more from behind a position.
update control.webhook set position = least(position, $2), resume_at = least(resume_at, clock_timestamp())
where webhook_id = $1

-- name: try_at_once
-- Let what waits be tried now, as if it had never failed.
update control.webhook_delivery set attempts = 0, first_failed_at = null, next_attempt_at = clock_timestamp()
where webhook_id = $1
