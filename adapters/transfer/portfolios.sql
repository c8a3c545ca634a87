-- name: create
-- A portfolio; a repetition changes nothing.
insert into control.portfolio (portfolio_id, licence_number, name_pattern, first_evening, per_night, created_by, uploads)
values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing

-- name: add_named
-- The environments that were named, in that order.
insert into control.portfolio_item (portfolio_id, number, environment_id, name)
select $1, w.number, e.environment_id, e.name
from unnest($2::uuid[]) with ordinality as w (environment_id, number)
join control.environment e on e.environment_id = w.environment_id
on conflict do nothing

-- name: add_licence
-- All that a licence has and that is active, by name.
insert into control.portfolio_item (portfolio_id, number, environment_id, name)
select $1, row_number() over (order by lower(e.name), e.environment_id), e.environment_id, e.name
from control.environment e where e.licence_number = $2 and e.status = 'active'
order by lower(e.name), e.environment_id limit $3
on conflict do nothing

-- name: count_items
-- How many environments a portfolio has.
select count(*) from control.portfolio_item where portfolio_id = $1

-- name: portfolio
-- A portfolio.
select portfolio_id, licence_number, name_pattern, first_evening, per_night, uploads as upload, created_by, created_at
from control.portfolio where portfolio_id = $1

-- name: portfolios
-- The next $2 portfolios from new to old, behind one if it is named.
select p.portfolio_id, p.licence_number, p.name_pattern, p.first_evening, p.per_night, p.uploads as upload,
       p.created_by, p.created_at
from control.portfolio p
where $1::uuid is null or (p.created_at, p.portfolio_id) < (
    select l.created_at, l.portfolio_id from control.portfolio l where l.portfolio_id = $1)
order by p.created_at desc, p.portfolio_id desc limit $2

-- name: items
-- The next $3 items of a portfolio behind a number, with their transfers; those in one state, if it is named. Nobody is asked to
-- compare before the certificate is there.
select i.number, i.environment_id, i.name, i.state, i.transfer_id, i.code, i.problem, s.shown as transfer_state,
       case when t.report is not null then
           not exists (select from jsonb_array_elements(t.report -> 'checks') as c where not (c ->> 'equal')::boolean) end as equal
from control.portfolio_item i left join control.transfer t on t.transfer_id = i.transfer_id
cross join lateral (
    select case when t.state = 'awaiting_release' and not exists (
        select from control.certificate c where c.transfer_id = t.transfer_id) then 'cloning' else t.state end as shown) as s
where i.portfolio_id = $1 and i.number > $2
  and ($4::text is null or $4 = case when i.state = 'moving' then coalesce(s.shown, i.state) else i.state end)
order by i.number limit $3

-- name: counts
-- How many items of these portfolios are in which state; those that move by the state of their transfer.
select i.portfolio_id, case when i.state = 'moving' then coalesce(s.shown, i.state) else i.state end as state, count(*) as items
from control.portfolio_item i left join control.transfer t on t.transfer_id = i.transfer_id
cross join lateral (
    select case when t.state = 'awaiting_release' and not exists (
        select from control.certificate c where c.transfer_id = t.transfer_id) then 'cloning' else t.state end as shown) as s
where i.portfolio_id = any($1::uuid[]) group by 1, 2 order by 1, 2

-- name: numbers
-- The next fifty items in a state behind a number.
select i.number from control.portfolio_item i where i.portfolio_id = $1 and i.state = $2 and i.number > $3 order by i.number limit 50

-- name: settled
-- Whether nothing is left to do: what moves has ended, and nothing waits.
select not exists (
    select from control.portfolio_item i left join control.transfer t on t.transfer_id = i.transfer_id
    where i.portfolio_id = $1 and (i.state in ('waiting', 'ready')
                                   or (i.state = 'moving' and coalesce(t.state, '') not in ('released', 'undone'))))

-- name: item
-- One item with its portfolio and its transfer.
select i.number, i.environment_id, i.name, i.state, i.transfer_id, p.licence_number, p.name_pattern, p.first_evening,
       p.per_night, p.uploads, t.state as transfer_state
from control.portfolio_item i join control.portfolio p using (portfolio_id)
left join control.transfer t on t.transfer_id = i.transfer_id
where i.portfolio_id = $1 and i.number = $2

-- name: waiting_for_upload
-- The transfers of a portfolio whose tickets the new side has not uploaded, in order. One that uploads them by itself would lose
-- a ticket that it has in its hands to a new one.
select i.number, i.transfer_id
from control.portfolio_item i join control.portfolio p using (portfolio_id) join control.transfer t on t.transfer_id = i.transfer_id
where i.portfolio_id = $1 and not p.uploads and t.state = 'awaiting_upload' order by i.number

-- name: mark
-- How far an item is.
update control.portfolio_item set state = $3, transfer_id = coalesce($4, transfer_id), code = $5, problem = $6
where portfolio_id = $1 and number = $2
