-- The vital signs of the service, and the note of the newest inspection.

-- name: vitals
-- Everything that is shown as a gauge, in one statement. Times are seconds; 0 stands for nothing and never.
select
    (select coalesce(jsonb_agg(g), '[]') from (
        select state, coalesce(scenario, 'unknown') as scenario, count(*) as transfers,
               extract(epoch from greatest(now() - min(state_since), '0'))::float8 as oldest
        from control.transfer group by 1, 2) g) as transfers,
    (select coalesce(extract(epoch from greatest(now() - min(starts_at), '0')), 0)::float8
     from control.transfer where state = 'scheduled') as overdue,
    (select coalesce(jsonb_object_agg(what, mails), '{}') from (
        select case when status = 'pending' then 'waiting' else status end as what, count(*) as mails
        from control.sent_mail
        where attempted_at > now() - interval '3 days' and (status <> 'pending' or problem is not null)
        group by 1) m) as mails,
    (select jsonb_build_object(
        'enabled', count(*) filter (where disabled_at is null and failing_since is null),
        'failing', count(*) filter (where disabled_at is null and failing_since is not null),
        'disabled', count(*) filter (where disabled_because in ('gave_up', 'gone'))) from control.webhook) as webhooks,
    coalesce((select findings from control.inspection_note), '{}') as findings,
    coalesce((select extract(epoch from at) from control.inspection_note), 0)::float8 as inspected_at,
    extract(epoch from now())::float8 as read_at

-- name: note_inspection
-- Keep what the newest inspection found, in numbers by kind.
insert into control.inspection_note (at, findings) values ($1, $2)
on conflict (only_one) do update set at = excluded.at, findings = excluded.findings
where inspection_note.at <= excluded.at
