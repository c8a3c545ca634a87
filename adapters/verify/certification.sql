-- name: keep_fingerprint
-- What one side was at a moment; a later look takes the place of an earlier one.
insert into control.fingerprint (transfer_id, moment, side, taken_at, hashes)
values ($1, $2, $3, $4, $5::jsonb)
on conflict (transfer_id, moment, side) do update set taken_at = excluded.taken_at, hashes = excluded.hashes

-- name: fingerprint
-- What one side was at a moment.
select hashes from control.fingerprint where transfer_id = $1 and moment = $2 and side = $3

-- name: mute_triggers
-- Ask for silence of the environment's own triggers, as the steps that change the clone on purpose do.
select control.mute_triggers()

-- name: muted
-- Whether it was given.
select current_setting('session_replication_role') = 'replica'

-- name: unmute_triggers
-- End the silence.
select control.unmute_triggers()

-- name: size
-- What a schema ($1) takes on disk, with its indexes.
select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
from pg_class c where c.relnamespace = $1::text::regnamespace and c.relkind in ('r', 'm')

-- name: note_size
-- What a transfer ($1) has to carry ($2 bytes), and how long it took to read it once.
update control.transfer set size_bytes = $2, hash_seconds = $3 where transfer_id = $1

-- name: note_ready
-- Everything of this evening is proved.
update control.transfer set ready_at = clock_timestamp() where transfer_id = $1

-- name: kept_certificate
-- The certificate of this evening.
select key_id, issued_at, document from control.certificate where transfer_id = $1 and evening = $2

-- name: keep_certificate
-- The signed file; one of an evening that was put off is replaced.
insert into control.certificate (transfer_id, evening, key_id, issued_at, document) values ($1, $2, $3, $4, $5)
on conflict (transfer_id) do update
set evening = excluded.evening, key_id = excluded.key_id, issued_at = excluded.issued_at, document = excluded.document

-- name: certificate
-- The certificate of a transfer.
select document from control.certificate where transfer_id = $1

-- name: ticks
-- The points of the check lists that are ticked, by whom and when.
select item, actor, at from (
    select distinct on (detail ->> 'item') detail ->> 'item' as item, kind, actor, at
    from control.transfer_event where transfer_id = $1 and kind in ('check_ticked', 'check_cleared')
    order by detail ->> 'item', event_id desc) newest
where kind = 'check_ticked'

-- name: sign_again
-- The certificate with the points that were ticked meanwhile.
update control.certificate set key_id = $2, document = $3 where transfer_id = $1

-- name: proven
-- What a certificate tells of a transfer beside its hashes.
select t.scenario, t.frozen_at, t.banks::text, t.consequences::text, t.report::text,
       (select max(e.at) from control.transfer_event e
        where e.transfer_id = t.transfer_id and e.kind = 'opened_for_inspection') as opened_at,
       clock_timestamp() as now
from control.transfer t where t.transfer_id = $1

-- name: keep_ahead
-- What was read of the old environment while it was cloned.
insert into control.read_ahead (transfer_id, evening, begun_at, readings) values ($1, $2, $3, $4::jsonb)
on conflict (transfer_id) do update
set evening = excluded.evening, begun_at = excluded.begun_at, readings = excluded.readings

-- name: forget_ahead
-- The verification is over.
delete from control.read_ahead where transfer_id = $1

-- name: ahead
-- What was read this evening; no row when nothing was.
select begun_at, readings::text from control.read_ahead where transfer_id = $1 and evening = $2
