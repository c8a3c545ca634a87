-- name: publish
-- Give positions to the lines of the log that were committed since.
select control.publish_events()

-- name: last
-- The newest position.
select coalesce(max(position), 0) from control.published_event

-- name: page
-- The next $7 events behind position $1 that licence $2 may hear of (as the old side those of kinds $3, as the new one of
-- $4; null hears everything), of the kinds $5 when any are given, among the next $6 lines. Each row says how far was read;
-- without an event there is one that says only that.
with scanned as materialized (
    select p.position, p.event_id from control.published_event p where p.position > $1 order by p.position limit $6
), wanted as materialized (
    select s.position, e.event_id, e.at, e.transfer_id, e.actor, e.kind, e.reason, e.detail, t.environment_id,
           t.environment_name, t.source_licence, t.new_environment_id, t.new_environment ->> 'name' as new_name,
           t.target_licence, t.starts_at, t.undo_reason
    from scanned s
    join control.transfer_event e on e.event_id = s.event_id
    left join control.transfer t on t.transfer_id = e.transfer_id
    where (cardinality($5::text[]) = 0 or e.kind = any ($5))
      and ($2::text is null or (t.source_licence = $2 and e.kind = any ($3::text[]))
                            or (t.target_licence = $2 and e.kind = any ($4::text[])))
    order by s.position limit $7
), reached as (
    select case when (select count(*) from wanted) = $7 then (select max(position) from wanted)
                else (select coalesce(max(position), $1) from scanned) end as read_to
)
select r.read_to, w.* from reached r left join wanted w on true order by w.position
