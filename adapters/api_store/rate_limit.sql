-- name: forget
-- Those who have paid off all their attempts.
delete from control.api_attempt where who in (
    select who from control.api_attempt where settled_at < clock_timestamp()
    order by settled_at limit 100 for update skip locked)

-- name: count
-- Count one attempt ($2 long), unless more than $3 are still to be paid off.
insert into control.api_attempt as known (who, settled_at) values ($1, clock_timestamp() + $2::interval)
on conflict (who) do update
set settled_at = greatest(known.settled_at, clock_timestamp()) + $2::interval
where known.settled_at <= clock_timestamp() + $3::interval

-- name: wait
-- How long until the next attempt may be made.
select settled_at - clock_timestamp() - $2::interval as wait from control.api_attempt where who = $1
