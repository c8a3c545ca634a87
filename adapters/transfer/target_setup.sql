-- What a move changes in the new environment. The statements with `{table}` are for `control.write`: its schema may stand on the
-- search_path, so their functions have theirs in front.

-- name: results
-- What earlier attempts of this transfer did: an attempt that finds its result there has nothing left to do.
select banks, consequences, report from control.transfer where transfer_id = $1

-- name: sides
-- The two environments of a transfer; no row until the upload has reserved the new one.
select old_one.cell as old_cell, new_one.cell as new_cell, old_one.schema_name as old_schema, old_one.mailbox_address as old_mailbox_address,
       new_one.schema_name as new_schema, new_one.mailbox_address as new_mailbox_address, t.scenario
from control.transfer t
join control.environment old_one on old_one.environment_id = t.environment_id
join control.environment new_one on new_one.environment_id = t.new_environment_id
where t.transfer_id = $1

-- name: mute_triggers
-- Keep a customer's own triggers from reacting to what this service writes.
select control.mute_triggers_in($1)

-- name: keep_banks
-- Remember the outcome.
update control.transfer set banks = $2::jsonb where transfer_id = $1

-- name: keep_consequences
-- Remember the outcome.
update control.transfer set consequences = $2::jsonb where transfer_id = $1

-- name: keep_report
-- Remember the report.
update control.transfer set report = $2::jsonb where transfer_id = $1

-- name: reconnect_banks
-- Rabobank comes along when it was active, by its consent; all others are to be activated again. `before` sees the rows as the clone
-- carried them.
with before as (
    select administration_id, id, status from {table}
), changed as (
    update {table}
    set status = case when bank = 'rabobank' and status = 'active' and pg_catalog.btrim(consent_reference) <> '' then 'active'
                      else 'needs_reactivation' end
    returning administration_id, id, bank, status
)
{told} select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('bank', bank, 'old', old, 'new', new, 'count', count)
                                            order by bank <> 'rabobank', bank, old), '[]')
from (select changed.bank, before.status as old, changed.status as new, pg_catalog.count(*) as count
      from changed join before using (administration_id, id)
      group by changed.bank, before.status, changed.status) b

-- name: expire_quotes
-- Open quotes are lost, and the link to the portal no longer opens them.
with expired as (
    update {table} set status = 'expired', portal_token = null where status = 'open' returning number
)
{told} select pg_catalog.jsonb_build_object(
    'count', pg_catalog.count(*), 'numbers', coalesce((pg_catalog.array_agg(number order by number))[1:50], '{}')) from expired

-- name: deactivate_apps
-- Every App Center connection is to be activated again.
with changed as (
    update {table} set status = 'needs_reactivation' where status <> 'needs_reactivation' returning name
)
{told} select pg_catalog.jsonb_build_object(
    'count', pg_catalog.count(*), 'names', coalesce((pg_catalog.array_agg(name order by name))[1:50], '{}')) from changed

-- name: unlink_mobiles
-- AFAS Link is to be linked again by every user.
with changed as (
    update {table} set mobile_link_status = 'needs_relink' where mobile_link_status <> 'needs_relink' returning 1
)
{told} select pg_catalog.jsonb_build_object('count', pg_catalog.count(*)) from changed

-- name: withdraw_invitations
-- Nobody has been asked into the new environment yet; the release does that.
with changed as (
    update {table} set invitation_status = 'not_invited' where invitation_status <> 'not_invited' returning 1
)
{told} select pg_catalog.jsonb_build_object('count', pg_catalog.count(*)) from changed

-- name: count_mailbox_messages
-- Mail that came along, and how much of it is still open.
{told} select pg_catalog.jsonb_build_object(
    'count', pg_catalog.count(*), 'open', pg_catalog.count(*) filter (where status = 'open')) from {table}

-- name: count_scanbox_documents
-- Documents that came along, and how many of them are still open.
{told} select pg_catalog.jsonb_build_object(
    'count', pg_catalog.count(*), 'open', pg_catalog.count(*) filter (where status = 'open')) from {table}

-- name: clear_becon_numbers
-- Who works without a firm has no becon number.
with changed as (
    update {table} set becon_number = null, becon_number_needs_review = false
    where becon_number is not null or becon_number_needs_review returning 1
)
{told} select pg_catalog.jsonb_build_object('count', pg_catalog.count(*)) from changed

-- name: flag_becon_numbers
-- The number is probably still the former firm's; it stays until somebody has looked.
with changed as (
    update {table} set becon_number_needs_review = true returning 1
)
{told} select pg_catalog.jsonb_build_object('count', pg_catalog.count(*)) from changed

-- name: flag_tax_contact_kinds
-- In whose name returns are filed has probably changed.
with changed as (
    update {table} set tax_contact_kind_needs_review = true returning 1
)
{told} select pg_catalog.jsonb_build_object('count', pg_catalog.count(*)) from changed
