-- name: endpoints
-- How many endpoints there are that are told anything.
select count(*) from control.webhook where disabled_at is null

-- name: sealed_with_others
-- Secrets that are sealed with another key than $1.
select webhook_id, secret, previous_secret from control.webhook
where substring(secret for $2) <> $1 or substring(previous_secret for $2) <> $1

-- name: reseal
-- The same secrets ($4, $5), sealed anew, unless they are others by now.
update control.webhook set secret = $4, previous_secret = $5
where webhook_id = $1 and secret = $2 and previous_secret is not distinct from $3

-- name: claim
-- Take the endpoint that has waited longest for somebody to look after it, if there is one with something to get: until
-- $2 from now it is the lease $1's own. Of each transfer the first event that is left comes first.
update control.webhook w
set lease = $1, leased_until = clock_timestamp() + $2
from (
    select c.webhook_id from control.webhook c
    where c.disabled_at is null and c.resume_at <= clock_timestamp() and coalesce(c.leased_until, '-infinity') < clock_timestamp()
      and ((c.position < (select coalesce(max(p.position), 0) from control.published_event p)
            and (select count(*) from control.webhook_delivery d where d.webhook_id = c.webhook_id) < $3)
           or exists (select from (select distinct on (d.transfer_id) d.next_attempt_at from control.webhook_delivery d
                                   where d.webhook_id = c.webhook_id order by d.transfer_id, d.position) as first
                      where first.next_attempt_at <= clock_timestamp()))
    order by c.leased_until nulls first, c.webhook_id limit 1
    for update of c skip locked
) chosen
where w.webhook_id = chosen.webhook_id
returning w.webhook_id, w.licence_number, w.url, w.types, w.secret, w.previous_secret, w.previous_until, w.failures

-- name: renew
-- Keep an endpoint for another while.
update control.webhook set leased_until = clock_timestamp() + $3 where webhook_id = $1 and lease = $2

-- name: hold
-- The endpoint's row, held until the transaction ends: nobody rewinds it meanwhile. And how much more it may be given.
select w.position, (select count(*) from control.webhook_delivery d where d.webhook_id = w.webhook_id) as pending
from control.webhook w where w.webhook_id = $1 and w.lease = $2 for update of w

-- name: take_in
-- The next $8 events behind position $2 that the endpoint hears of, among the next $7 lines of the log, as deliveries; see
-- the feed's `page` for the others. Returns how far the log was looked through.
with scanned as materialized (
    select p.position, p.event_id from control.published_event p where p.position > $2 order by p.position limit $7
), wanted as materialized (
    select s.position, e.transfer_id
    from scanned s
    join control.transfer_event e on e.event_id = s.event_id
    left join control.transfer t on t.transfer_id = e.transfer_id
    where (cardinality($6::text[]) = 0 or e.kind = any ($6))
      and ($3::text is null or (t.source_licence = $3 and e.kind = any ($4::text[]))
                            or (t.target_licence = $3 and e.kind = any ($5::text[])))
    order by s.position limit $8
), put as (
    insert into control.webhook_delivery (webhook_id, position, transfer_id)
    select $1, w.position, w.transfer_id from wanted w on conflict do nothing
)
select case when (select count(*) from wanted) = $8 then (select coalesce(max(position), $2) from wanted)
            else (select coalesce(max(position), $2) from scanned) end

-- name: move_on
-- The log has been looked through up to there.
update control.webhook set position = $2 where webhook_id = $1

-- name: due
-- The deliveries of the first $2 transfers whose turn it is, in order, at most $3.
select d.position, d.attempts, d.first_failed_at, e.event_id, e.at, e.transfer_id, e.actor, e.kind, e.reason, e.detail,
       t.environment_id, t.environment_name, t.source_licence, t.new_environment_id, t.new_environment ->> 'name' as new_name,
       t.target_licence, t.starts_at, t.undo_reason
from control.webhook_delivery d
join control.published_event p on p.position = d.position
join control.transfer_event e on e.event_id = p.event_id
left join control.transfer t on t.transfer_id = e.transfer_id
where d.webhook_id = $1 and d.transfer_id in (
    select first.transfer_id
    from (select distinct on (h.transfer_id) h.transfer_id, h.position, h.next_attempt_at from control.webhook_delivery h
          where h.webhook_id = $1 order by h.transfer_id, h.position) as first
    where first.next_attempt_at <= clock_timestamp() order by first.position limit $2)
order by d.position limit $3

-- name: taken
-- The endpoint has it, as far as whoever holds the lease knows.
delete from control.webhook_delivery d using control.webhook w
where d.webhook_id = $1 and d.position = $3 and w.webhook_id = d.webhook_id and w.lease = $2

-- name: not_taken
-- It is tried again after $4.
update control.webhook_delivery d
set attempts = d.attempts + 1, first_failed_at = coalesce(d.first_failed_at, clock_timestamp()), next_attempt_at = clock_timestamp() + $4
from control.webhook w
where d.webhook_id = $1 and d.position = $3 and w.webhook_id = d.webhook_id and w.lease = $2
returning d.first_failed_at < clock_timestamp() - $5::interval

-- name: disable
-- Nothing more is sent there until somebody switches it on again; what it has not got is kept.
update control.webhook set disabled_at = clock_timestamp(), disabled_because = $3
where webhook_id = $1 and lease = $2 and disabled_at is null

-- name: release
-- Let go of an endpoint, with what its owner is shown, and after what pause it is looked after again.
update control.webhook w
set leased_until = clock_timestamp(), failures = $3, resume_at = clock_timestamp() + $4,
    last_problem = coalesce($5, last_problem), last_delivered_at = coalesce($6, last_delivered_at),
    failing_since = (select min(d.first_failed_at) from control.webhook_delivery d where d.webhook_id = w.webhook_id)
where webhook_id = $1 and lease = $2

-- name: sealed_with
-- How many endpoints need each key, by its name: the first $1 bytes of what it has sealed.
select encode(k.name, 'hex') as key_id, count(distinct w.webhook_id) as webhooks
from control.webhook w, lateral (values (substring(w.secret for $1)), (substring(w.previous_secret for $1))) as k (name)
where k.name is not null group by k.name
