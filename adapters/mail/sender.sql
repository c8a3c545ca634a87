-- What a mail says and whom it was sent to. Every text that a mail shows comes out of these statements.

-- name: story
-- One transfer with both environments, both licences, its ticket and the old address's last day, as one JSON object.
-- $1 transfer. What an undo has dropped is read from what the reservation wrote in the transfer itself.
with place as (
    select t.transfer_id,
           coalesce(to_jsonb(old), '{}') as old,
           jsonb_strip_nulls(coalesce(t.new_environment, '{}'))
               || jsonb_strip_nulls(coalesce(to_jsonb(new), '{}')) as new,
           coalesce(t.source_licence, old.licence_number) as old_number,
           coalesce(t.target_licence, new.licence_number, t.new_environment ->> 'licence_number') as new_number
    from control.transfer t
    left join control.environment old on old.environment_id = t.environment_id
    left join control.environment new on new.environment_id = t.new_environment_id
    where t.transfer_id = $1
)
select jsonb_build_object(
    'transfer', to_jsonb(t) - array['report', 'banks', 'consequences', 'clone_result', 'verification',
                                    'new_environment'],
    'old', jsonb_build_object('name', t.environment_name) || jsonb_strip_nulls(place.old)
           || coalesce(jsonb_strip_nulls(to_jsonb(old_licence) - 'cell'), '{}'),
    'new', place.new || coalesce(jsonb_strip_nulls(to_jsonb(new_licence) - 'cell'), '{}'),
    'ticket', (select to_jsonb(ticket) - array['digest'] from control.ticket where ticket.transfer_id = $1),
    'forward_until', (select route.valid_until from control.mailbox_route route
                      where route.address = place.old ->> 'mailbox_address'
                      and route.environment_id = t.new_environment_id),
    -- Put in by the release or the undo, or waiting for it.
    'held', coalesce(
        (select e.detail from control.transfer_event e
         where e.transfer_id = $1 and e.kind = 'held_items_delivered' order by e.event_id limit 1),
        (select jsonb_build_object('mails', count(*) filter (where h.kind = 'mail'), 'scans', count(*) filter (where h.kind = 'scan'))
         from control.held_item h
         where h.inbox_id = (select e.inbox_id from control.environment e where e.environment_id = t.environment_id))),
    'retirement', (select jsonb_build_object('due_at', r.due_at,
                       'tables', (select count(*) from jsonb_object_keys(coalesce(r.removed, '{}'))))
                   from control.retirement r where r.environment_id = t.environment_id),
    'changed', exists (select from control.transfer_event e
                       where e.transfer_id = $1 and e.kind in ('start_rescheduled', 'upload_corrected')),
    'report', t.report,
    'banks', t.banks -> 'banks',
    'consequences', t.consequences -> 'consequences',
    'certificate_key', coalesce((select c.key_id from control.certificate c where c.transfer_id = $1), '')
) as story
from control.transfer t
join place on place.transfer_id = t.transfer_id
left join control.licence old_licence on old_licence.licence_number = place.old_number
left join control.licence new_licence on new_licence.licence_number = place.new_number
where t.transfer_id = $1

-- name: certificate
-- The signed certificate, byte for byte. $1 transfer.
select document from control.certificate where transfer_id = $1

-- name: contents
-- What an environment holds that a mail speaks of, as one JSON object. No portal token and no
-- consent reference is read.
select jsonb_build_object(
    'administrations', (select coalesce(jsonb_agg(name order by name), '[]') from {env}.administration),
    'quotes', (select coalesce(jsonb_agg(to_jsonb(open) order by open.administration, open.number), '[]') from (
                   select administration.name as administration, quote.number, relation.name as customer,
                          quote.total::text as total
                   from {env}.quote
                   join {env}.administration on administration.id = quote.administration_id
                   join {env}.relation on relation.administration_id = quote.administration_id
                                and relation.id = quote.relation_id
                   where quote.status = 'open'
                   order by administration.name, quote.number limit 100) open),
    'quotes_in_all', (select count(*) from {env}.quote where status = 'open'),
    'apps', (select coalesce(jsonb_agg(name order by name), '[]') from {env}.app_connection),
    'users', (select coalesce(jsonb_agg(jsonb_build_object(
                  'email', email, 'full_name', full_name, 'language', language, 'role', role) order by email), '[]')
              from {env}.app_user),
    'connections', (select coalesce(jsonb_agg(jsonb_build_object(
                        'administration', administration.name, 'bank', bank, 'iban', iban, 'status', status)
                        order by administration.name, bank, iban), '[]')
                    from {env}.bank_connection
                    join {env}.administration on administration.id = bank_connection.administration_id)
) as contents

-- name: is_handed_over
-- Whether the platform has been told whom it is to invite.
select exists (select from control.transfer_event where transfer_id = $1 and kind = 'users_to_invite')

-- name: hold
-- Let one sender at a time work on one kind of mail of one transfer; kept until the connection gives it back.
-- $1 transfer, $2 kind.
select pg_advisory_lock(hashtextextended('mail ' || $1::uuid || ' ' || $2::text, 0))

-- name: let_go
-- Give the lock of `hold` back. $1 transfer, $2 kind.
select pg_advisory_unlock(hashtextextended('mail ' || $1::uuid || ' ' || $2::text, 0))

-- name: plan
-- Note that mails are to be sent; one that is noted already keeps its status and follows the newest wording.
-- $1 transfer, $2 kind, $3 occurrence, $4 recipients, $5 message ids, $6 languages, $7 subjects.
insert into control.sent_mail (transfer_id, kind, recipient, occurrence, message_id, language, subject, status)
select $1, $2, mail.recipient, $3, mail.message_id, mail.language, mail.subject, 'pending'
from unnest($4::text[], $5::text[], $6::text[], $7::text[]) as mail (recipient, message_id, language, subject)
on conflict (transfer_id, kind, recipient, occurrence) do update
set message_id = excluded.message_id, language = excluded.language, subject = excluded.subject

-- name: known
-- Every mail of a transfer that was ever planned. $1 transfer.
select kind, recipient, occurrence, language, status, attempts, problem
from control.sent_mail
where transfer_id = $1
order by kind, recipient, occurrence

-- name: begin_attempt
-- Count an attempt before the server gets the mail, unless the transfer has meanwhile turned around.
-- $1 transfer, $2 kind, $3 recipient, $4 occurrence. No row: it turned around.
update control.sent_mail
set attempts = attempts + 1, attempted_at = clock_timestamp(), problem = null
from control.transfer
where sent_mail.transfer_id = $1 and sent_mail.kind = $2 and sent_mail.recipient = $3
  and sent_mail.occurrence = $4
  and transfer.transfer_id = $1
  and (transfer.state in ('undoing', 'undone')) = ($2::text = 'undone')
returning sent_mail.attempts

-- name: mark_sent
-- The server has taken the mail: say so here and in the log, together. A mail that was sent once stays sent.
-- $1 transfer, $2 kind, $3 recipient, $4 occurrence, $5 actor.
with marked as (
    update control.sent_mail
    set status = 'sent', problem = null, sent_at = clock_timestamp()
    where transfer_id = $1 and kind = $2 and recipient = $3 and occurrence = $4
    returning kind, recipient
)
insert into control.transfer_event (transfer_id, actor, kind, detail)
select $1, $5, 'mail_sent', jsonb_build_object('mail', marked.kind, 'recipient', marked.recipient)
from marked

-- name: mark_failed
-- The mail cannot be delivered: say why, and log it when that is news. A mail that was sent once stays sent.
-- $1 transfer, $2 kind, $3 recipient, $4 occurrence, $5 problem, $6 actor.
with before as (
    select status, kind, recipient from control.sent_mail
    where transfer_id = $1 and kind = $2 and recipient = $3 and occurrence = $4
), marked as (
    update control.sent_mail
    set status = case when status = 'sent' then status else 'failed' end, problem = $5
    where transfer_id = $1 and kind = $2 and recipient = $3 and occurrence = $4
)
insert into control.transfer_event (transfer_id, actor, kind, reason, detail)
select $1, $6, 'mail_failed', $5, jsonb_build_object('mail', before.kind, 'recipient', before.recipient)
from before
where before.status <> 'failed'

-- name: mark_delayed
-- The server does not take the mail yet: it stays to be sent. $1 transfer, $2 kind, $3 recipient,
-- $4 occurrence, $5 problem.
update control.sent_mail
set status = case when status = 'sent' then status else 'pending' end, problem = $5
where transfer_id = $1 and kind = $2 and recipient = $3 and occurrence = $4
