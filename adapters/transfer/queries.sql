-- name: environment
-- An environment by id.
select * from control.environment where environment_id = $1

-- name: environments_named
-- Environments of this name, whatever its capitals.
select * from control.environment e where lower(name) = lower($1) and (status <> 'retired' or not exists (
    select from control.environment other where lower(other.name) = lower($1) and other.status <> 'retired')) order by created_at, environment_id

-- name: environments
-- Environments by licence and name, at most $3: those in whose name, url, licence or its holder $1 stands in any capitals, or
-- whose id begins so; of the statuses $2 when any are given.
select e.* from control.environment e join control.licence l using (licence_number)
where (position(lower($1) in lower(concat_ws(' ', e.name, e.url, e.licence_number, l.holder_name))) > 0
       or starts_with(e.environment_id::text, lower($1)))
  and (cardinality($2::text[]) = 0 or e.status = any ($2))
order by e.licence_number, lower(e.name), e.environment_id limit $3

-- name: environments_page
-- So many environments by licence, name and id behind a place in that order: of a licence, of what stands in name, url, licence,
-- holder or at the beginning of the id, and of the statuses $3.
select e.environment_id, e.licence_number, e.name, e.url, e.status, l.holder_name
from control.environment e join control.licence l using (licence_number)
where ($1::text is null or e.licence_number = $1)
  and (position(lower($2) in lower(concat_ws(' ', e.name, e.url, e.licence_number, l.holder_name))) > 0
       or starts_with(e.environment_id::text, lower($2)))
  and e.status = any ($3::text[])
  and ($4::text is null or (e.licence_number, lower(e.name), e.environment_id) > ($4, $5::text, $6::uuid))
order by e.licence_number, lower(e.name), e.environment_id limit $7

-- name: licences
-- Licences by number, at most $3: those with this number, or in whose holder's name it stands; only $2 when it is given.
select licence_number, holder_name, kind,
       exists (select from control.environment e where e.licence_number = l.licence_number
               and (e.status <> 'retired' and e.status <> 'read_only' or e.status = 'read_only' and not exists (
                   select from control.transfer t where t.environment_id = e.environment_id and t.state = 'released'))) as in_use,
       (select c.cancelled_at from control.cancelled_licence c where c.licence_number = l.licence_number) as cancelled_at
from control.licence l
where ($2::text is null or licence_number = $2)
  and (licence_number = $1 or ($1 <> '' and position(lower($1) in lower(holder_name)) > 0) or ($1 = '' and $2 is not null))
order by licence_number <> $1, licence_number limit $3

-- name: name_state
-- Whether a licence could take a name and a url part now, as the reservation of an upload sees it; nothing for no licence. To the
-- customer of transfer $5 an address comes back that was theirs.
select l.host,
       exists (select from control.environment e
               where e.licence_number = l.licence_number and lower(e.name) = lower($2) and e.status <> 'retired') as name_taken,
       exists (select from control.environment e
               where e.url = 'https://' || l.host || '.' || $4 || '/' || $3 and e.status <> 'retired')
       or exists (select from control.mailbox_route r where r.address = $3 || '@' || l.host || '.mailbox.' || $4
                  and not exists (select from control.environment was join control.environment moves on moves.inbox_id = was.inbox_id
                                  join control.transfer t on t.environment_id = moves.environment_id
                                  where was.mailbox_address = r.address and was.status = 'retired' and t.transfer_id = $5)) as url_taken
from control.licence l where l.licence_number = $1

-- name: ticks
-- The newest line about each point of a transfer's check lists.
select distinct on (detail ->> 'item') detail ->> 'item' as item, kind, actor, at
from control.transfer_event where transfer_id = $1 and kind in ('check_ticked', 'check_cleared')
order by detail ->> 'item', event_id desc

-- name: licence_kind
-- Whether a firm or an entrepreneur holds a licence.
select kind from control.licence where licence_number = $1

-- name: transfer
-- A transfer by id.
select * from control.transfer_record where transfer_id = $1

-- name: transfers_of_workflow
-- An environment's transfers, the live one first, then from new to old.
select * from control.transfer_record where workflow_id = $1
order by state in ('released', 'undone'), created_at desc, transfer_id

-- name: transfers_of_environment
-- Transfers from or to an environment, live ones first, then from new to old.
select * from control.transfer_record where environment_id = $1 or new_environment_id = $1
order by state in ('released', 'undone'), created_at desc, transfer_id

-- name: transfers_named
-- Transfers of environments that have, had or were to get this name, which may have its licence's number before it;
-- live ones first, then from new to old.
select * from control.transfer_record
where lower($1) in (lower(environment_name), lower(new_name),
                    lower(source_licence || '/' || environment_name),
                    lower(target_licence || '/' || new_name))
order by state in ('released', 'undone'), created_at desc, transfer_id

-- name: transfers
-- The newest transfers, in these states when any are given.
select * from control.transfer_record where cardinality($2::text[]) = 0 or state = any ($2)
order by created_at desc, transfer_id limit $1

-- name: transfers_page
-- The next transfers from new to old after a place in that order, of what is given: states, scenario, licence, environment, outcome.
select * from control.transfer_record
where (cardinality($2::text[]) = 0 or state = any ($2)) and ($3::text is null or scenario = $3)
  and ($4::text is null or source_licence = $4 or target_licence = $4)
  and ($5::timestamptz is null or (created_at, transfer_id) < ($5, $6::uuid))
  and ($7::uuid is null or (environment_id = $7 and ($4::text is null or source_licence = $4))
                        or (new_environment_id = $7 and ($4::text is null or target_licence = $4)))
  and ($8::text is null or case state when 'released' then 'released' when 'undone' then undo_reason end = $8)
  -- What somebody looks for is found in the halves that the licence may see.
  and ($9::text is null
       or (($4::text is null or source_licence = $4)
           and (position(lower($9) in lower(concat_ws(' ', environment_name, source_licence))) > 0
                or exists (select from control.environment o
                           where o.environment_id = transfer_record.environment_id and position(lower($9) in lower(o.url)) > 0)))
       or (($4::text is null or target_licence = $4)
           and (position(lower($9) in lower(concat_ws(' ', new_name, target_licence, target_holder))) > 0
                or exists (select from control.environment n
                           where n.environment_id = new_environment_id and position(lower($9) in lower(n.url)) > 0)))
       or starts_with(transfer_id::text, lower($9)))
order by created_at desc, transfer_id desc limit $1

-- name: events
-- The story of a transfer so far, from an event on.
select event_id, at, actor, kind, reason, detail from control.transfer_event
where transfer_id = $1 and event_id > $2 order by event_id limit $3

-- name: results
-- What the steps of a transfer left behind, and when it passed them.
select t.requested_by, t.uploaded_by, t.released_by, t.undo_detail, t.frozen_at, t.accepted_at, t.released_at,
       t.ended_at, t.new_environment, t.clone_result, t.verification, t.banks, t.consequences, t.report,
       k.file_name as ticket_file_name, k.expires_at as ticket_expires_at
from control.transfer t left join control.ticket k using (transfer_id) where t.transfer_id = $1

-- name: comparison_page
-- So many checks of a comparison that was made, those behind a place in it, and how many there are and differ.
select t.report ->> 'made_at' as made_at, jsonb_array_length(t.report -> 'checks') as total,
       (select count(*) from jsonb_array_elements(t.report -> 'checks') as c where not (c ->> 'equal')::boolean) as unequal,
       coalesce(t.report -> 'inbox', 'null') as inbox,
       (select coalesce(jsonb_agg(c.value order by c.ordinality), '[]')
        from jsonb_array_elements(t.report -> 'checks') with ordinality as c
        where c.ordinality > $2 and c.ordinality <= $2 + $3) as checks
from control.transfer t where t.transfer_id = $1 and t.report is not null

-- name: compared_rows
-- A part of the rows behind one check of a comparison: the $4th, counted from 0; those that differ come first.
select rows from control.compared_rows where transfer_id = $1 and administration_id = $2 and check_kind = $3
order by equal, part offset $4 limit 1

-- name: auditfile
-- The $5th part of an auditfile that was written, counted from 0.
select content from control.auditfile
where transfer_id = $1 and old_side = $2 and administration_id = $3 and year = $4 and part = $5

-- name: held_items
-- So many mails and scans that wait for the end of a transfer, behind an item.
select * from control.held_items($1, $2, $3)

-- name: all_held_items
-- So many mails and scans that wait for the end of any transfer, behind an item.
select * from control.all_held_items($1, $2)

-- name: retirement
-- How far the end of an environment is.
select case when ended_at is not null then 'removed' when retired_at is not null then 'removing'
            when called_back_at is not null then 'none' else 'planned' end as state,
       case when called_back_at is null then due_at end as due_at, retired_at
from control.retirement where environment_id = $1

-- name: mails
-- What was or could not be sent for a transfer.
select kind, recipient, message_id, language, subject, status, attempts, problem, attempted_at, sent_at
from control.sent_mail where transfer_id = $1 order by attempted_at nulls last, kind, recipient

-- name: ticket
-- What is known of a transfer's ticket; the file itself is kept nowhere.
select file_name, issued_at, expires_at, for_licence, sealed_at as made_at, used_at, revoked_at
from control.ticket where transfer_id = $1

-- name: certificate
-- The certificate of a transfer that has not been undone.
select c.document
from control.certificate c join control.transfer t using (transfer_id)
where c.transfer_id = $1 and t.state in ('awaiting_release', 'released')

-- name: standing
-- All that says where a transfer stands, at once.
select r.*,
       coalesce(t.undo_detail, '') as undo_detail, k.expires_at as ticket_expires_at,
       (select jsonb_build_object('environment_id', o.environment_id, 'name', o.name, 'url', o.url, 'licence_number', o.licence_number,
                                  'schema_name', o.schema_name, 'mailbox_address', o.mailbox_address, 'cell', o.cell)
        from control.environment o where o.environment_id = t.environment_id) as old,
       coalesce((select jsonb_build_object('environment_id', n.environment_id, 'name', n.name, 'url', n.url,
                                           'licence_number', n.licence_number, 'schema_name', n.schema_name,
                                           'mailbox_address', n.mailbox_address, 'cell', n.cell)
                 from control.environment n where n.environment_id = t.new_environment_id), t.new_environment) as new,
       (select coalesce(jsonb_agg(jsonb_build_object('kind', e.kind, 'at', e.at, 'reason', e.reason) order by e.event_id), '[]')
        from control.transfer_event e where e.transfer_id = t.transfer_id and e.kind = any ($2::text[])) as happenings,
       case when t.report is not null then
           (select e.detail from control.transfer_event e
            where e.transfer_id = t.transfer_id and e.kind = 'environments_compared' order by e.event_id desc limit 1)
       end as comparison,
       (select coalesce(jsonb_agg(jsonb_build_object('kind', s.kind, 'recipient', s.recipient, 'problem', s.problem)
                                  order by s.attempted_at, s.kind, s.recipient), '[]')
        from (select * from control.sent_mail p where p.transfer_id = t.transfer_id and p.status <> 'sent' and p.problem is not null
              order by p.attempted_at, p.kind, p.recipient limit 100) s) as mail_problems,
       (select max(s.sent_at) from control.sent_mail s
        where s.transfer_id = t.transfer_id and s.kind = 'ready' and s.status = 'sent') as ready_told_at,
       p.step as seen_step, p.progress as seen, p.seen_at
from control.transfer t
join control.transfer_record r using (transfer_id)
left join control.ticket k using (transfer_id)
left join control.transfer_sight p using (transfer_id)
where t.transfer_id = $1
