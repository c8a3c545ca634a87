-- name: create
-- A portfolio; a repetition changes nothing.
insert into control.portfolio (portfolio_id, licence_number, name_pattern, first_evening, per_night, created_by)
values ($1, $2, $3, $4, $5, $6) on conflict do nothing

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
select portfolio_id, licence_number, name_pattern, first_evening, per_night from control.portfolio where portfolio_id = $1

-- name: items
-- The next $3 items of a portfolio behind a number, with their transfers.
select i.number, i.environment_id, i.name, i.state, i.transfer_id, i.code, i.problem, t.state as transfer_state,
       case when t.report is not null then
           not exists (select from jsonb_array_elements(t.report -> 'checks') as c where not (c ->> 'equal')::boolean) end as equal
from control.portfolio_item i left join control.transfer t on t.transfer_id = i.transfer_id
where i.portfolio_id = $1 and i.number > $2 order by i.number limit $3

-- name: counts
-- How many items are in which state; those that move by the state of their transfer.
select coalesce(t.state, i.state) as state, count(*) as items
from control.portfolio_item i left join control.transfer t on t.transfer_id = i.transfer_id
where i.portfolio_id = $1 group by 1 order by 1

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
       p.per_night, t.state as transfer_state
from control.portfolio_item i join control.portfolio p using (portfolio_id)
left join control.transfer t on t.transfer_id = i.transfer_id
where i.portfolio_id = $1 and i.number = $2

-- name: mark
-- How far an item is.
update control.portfolio_item set state = $3, transfer_id = coalesce($4, transfer_id), code = $5, problem = $6
where portfolio_id = $1 and number = $2
