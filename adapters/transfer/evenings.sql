-- What an evening has to do, and has done.

-- name: evening
-- The moves of the evening whose window opens at $1, the next one opening at $2, by the licence that they go to. A move that
-- was put off from it counts as planned, and as begun when its clone had begun. `left_seconds` is the work of those that are
-- not ready: by their bytes, after what the last hundred took, or $3 times what it took to read them once.
with moved as materialized (
    select size_bytes::double precision as bytes, extract(epoch from ready_at - begun_at)::double precision as seconds
    from control.transfer where ready_at is not null and begun_at is not null and size_bytes is not null
    order by ready_at desc limit 100
), known as (
    select count(*) as moves, avg(seconds) as mean, regr_slope(seconds, bytes) as slope, regr_intercept(seconds, bytes) as anyhow
    from moved
), planned as (
    select t.transfer_id, coalesce(t.target_licence, '') as licence_number, t.begun_at is not null as begun,
           t.ready_at is not null as ready, false as postponed, coalesce(t.undo_reason = 'failed', false) as failed, t.ready_at,
           case when t.ready_at is null and t.undo_reason is null then
               case when k.moves = 0 then t.hash_seconds * $3::double precision
                    when k.slope > 0 then greatest(k.anyhow + k.slope * coalesce(t.size_bytes, 0), 0)
                    else k.mean end end as left_seconds
    from control.transfer t, known k
    where t.starts_at >= $1 and t.starts_at < $2
      and (t.undo_reason is null or t.undo_reason = 'failed' or t.begun_at is not null)
), put_off as (
    select e.transfer_id, coalesce(t.target_licence, ''),
           exists (select from control.transfer_event b where b.transfer_id = e.transfer_id and b.kind = 'clone_started'
                   and b.detail ->> 'evening' = e.detail ->> 'evening'),
           false, true, false, null::timestamptz, null::double precision
    from control.transfer_event e join control.transfer t using (transfer_id)
    where e.kind = 'start_postponed' and e.at >= $1::timestamptz - interval '1 day'
      and (e.detail ->> 'from')::timestamptz >= $1 and (e.detail ->> 'from')::timestamptz < $2
), whole as (
    select transfer_id, licence_number, bool_or(begun) as begun, bool_or(ready) as ready, bool_or(postponed) as postponed,
           bool_or(failed) as failed, max(ready_at) as ready_at, max(left_seconds) as left_seconds
    from (select * from planned union all select * from put_off) every group by 1, 2
)
select w.licence_number, coalesce(l.holder_name, '') as holder_name, count(*) as planned, count(*) filter (where w.begun) as begun,
       count(*) filter (where w.ready) as ready, count(*) filter (where w.postponed) as postponed,
       count(*) filter (where w.failed) as failed, max(w.ready_at) as last_ready_at, sum(w.left_seconds) as left_seconds
from whole w left join control.licence l on l.licence_number = w.licence_number
group by 1, 2 order by planned desc, 1

-- name: put_off
-- The moves that were put off from the evening whose window opens at $1, the next one opening at $2; the first $3.
select t.transfer_id, coalesce(o.name, '') as name, coalesce(t.target_licence, '') as licence_number, coalesce(e.reason, '') as why, '' as why_nl,
       exists (select from control.transfer_event b where b.transfer_id = e.transfer_id and b.kind = 'clone_started'
               and b.detail ->> 'evening' = e.detail ->> 'evening') as begun
from control.transfer_event e join control.transfer t using (transfer_id)
left join control.environment o on o.environment_id = t.environment_id
where e.kind = 'start_postponed' and e.at >= $1::timestamptz - interval '1 day'
  and (e.detail ->> 'from')::timestamptz >= $1 and (e.detail ->> 'from')::timestamptz < $2
order by o.name, t.transfer_id limit $3

-- name: undone
-- The moves of that evening that failed and were undone; the first $3.
select t.transfer_id, coalesce(o.name, '') as name, coalesce(t.target_licence, '') as licence_number, coalesce(t.undo_detail, '') as why,
       coalesce(t.undo_detail_nl, '') as why_nl, t.begun_at is not null as begun
from control.transfer t left join control.environment o on o.environment_id = t.environment_id
where t.starts_at >= $1 and t.starts_at < $2 and t.undo_reason = 'failed'
order by o.name, t.transfer_id limit $3

-- name: hold_report
-- Take the report of an evening upon oneself; no row when somebody has sent it.
insert into control.evening_report (evening) values ($1) on conflict do nothing returning evening

-- name: at_once
-- How many moves went on at the same time, of the last hundred on one evening; no row when there were less than five.
with lately as (
    select begun_at, ready_at from control.transfer
    where ready_at is not null and begun_at is not null order by ready_at desc limit 100
), one_evening as (
    select * from lately where begun_at > (select max(ready_at) from lately) - interval '12 hours'
)
select sum(extract(epoch from ready_at - begun_at)) / nullif(extract(epoch from max(ready_at) - min(begun_at)), 0)
from one_evening having count(*) >= 5
