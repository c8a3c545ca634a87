-- Mail and scans that wait for the end of a move. See control/0009_inbox.sql for what is done inside the server.

-- name: hand_on_inbox
-- The new environment of a release is from now on whose mail and scans those of the old one are.
update control.environment new set inbox_id = old.inbox_id
from control.environment old where old.environment_id = $1 and new.environment_id = $2

-- name: inbox_of
-- Whose mail and scans are an environment's.
select inbox_id from control.environment where environment_id = $1

-- name: bound_drain
-- How long one statement may take, until the transaction ends.
select set_config('statement_timeout', $1, true)

-- name: drain_held
-- In this database: put what waits into an environment, so many items at most.
select mails, scans, refused, more from control.drain_held($1, $2, $3, $4, $5)

-- name: first_waiting
-- What is at the head of a queue.
select item_id from control.held_item where inbox_id = $1 and problem is null order by item_id limit 1

-- name: next_waiting
-- The head of a queue, to be put into another database.
select item_id, kind, item_key, address, name, content, received_at from control.held_item
where inbox_id = $1 and item_id > $2 and (problem is null or tried_at < clock_timestamp() - interval '10 minutes')
order by item_id limit 1

-- name: put_in_cell
-- In a cell: put one item into an environment, unless that was done before; why not, or null.
select case when exists (select from control.drained_item where item_id = $1) then null
            else control.put_item($2, $3, $4, $5, $6, $7, $8) end as problem

-- name: note_drained
-- In a cell: an item is in its environment.
insert into control.drained_item (item_id) values ($1) on conflict do nothing

-- name: forget_held
-- An item is in its environment.
select control.forget_held($1, $2)

-- name: set_aside
-- An item was refused by its environment.
select control.set_aside($1, $2)

-- name: waiting_ids
-- What waits, whether it was refused or not.
select item_id from control.held_item where inbox_id = $1 order by item_id

-- name: drained_of
-- In a cell: which of these items were put into an environment there.
select item_id from control.drained_item where item_id = any ($1::bigint[]) order by item_id

-- name: waiting
-- How many mails and scans wait, whether they were refused or not.
select count(*) filter (where kind = 'mail')::integer as mails, count(*) filter (where kind = 'scan')::integer as scans
from control.held_item where inbox_id = $1

-- name: due
-- Active environments for which something waits.
select e.environment_id from control.environment e
where e.status = 'active'
  and exists (select from control.held_item h where h.inbox_id = e.inbox_id
              and (h.problem is null or h.tried_at < clock_timestamp() - interval '10 minutes'))
order by e.environment_id limit 100

-- name: hold_due
-- One of them, held until the commit unless somebody else holds it.
select environment_id, inbox_id, schema_name, cell from control.environment
where environment_id = $1 and status = 'active' for update skip locked

-- name: mute_triggers
-- Keep a customer's own triggers from reacting to what this service writes.
select control.mute_triggers_in($1)
