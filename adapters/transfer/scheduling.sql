-- An evening that did not suffice: what it has made goes, the reservation and the freeze stay.

-- name: put_off
-- From its commit on whatever belongs to this evening is refused, and the next start counts. What the evening has found
-- is forgotten with the clone that it was found in.
update control.transfer
set evening = evening + 1, state = 'scheduled', starts_at = $3, begun_at = null, ready_at = null, clone_result = null, verification = null, banks = null,
    consequences = null, report = null
where transfer_id = $1 and evening = $2

-- name: had_begun
-- Whether an evening came so far that a row could be copied.
select exists (select from control.transfer_event
               where transfer_id = $1 and kind = 'clone_started' and (detail ->> 'evening')::int = $2)

-- name: plan_on
-- The next start is one that somebody chose.
update control.transfer set starts_at = $2 where transfer_id = $1

-- name: build_again
-- What people could already look at is being built again.
update control.environment set status = 'building' where environment_id = $1 and status = 'awaiting_release'

-- name: bar_run
-- Bar every attempt at the clone; whether there was one.
update control.clone_run set closed = true where transfer_id = $1 returning target_schema

-- name: hold_barred_run
-- The schema of a clone that is to be dropped, held until the transaction ends; no row when that is done.
select target_schema from control.clone_run where transfer_id = $1 and closed for update

-- name: forget_units
-- Nothing of it is done any more.
delete from control.clone_unit where target_schema = $1

-- name: open_again
-- The next evening begins from nothing, with an attempt of its own: the count goes on, it never starts again.
update control.clone_run set closed = false, attempt = attempt + 1, plan = null, seconds = 0 where target_schema = $1
