-- Who beside the owner may do what in `control`: the API and the codec server, each with a role of its own. Neither reads
-- an environment's schema. Runs with search_path = pg_catalog, so every name is qualified.

revoke all on all functions in schema control from public;
grant usage on schema control to sb_api, sb_codec;
grant select on control.payload_key to sb_api, sb_codec;

-- Who was shown what is written, never read back, changed or deleted.
grant insert on control.history_reading to sb_codec;

-- What the API answers from. Not the hashes, the copy's units, the fence, the findings, and not who read histories.
grant select on control.migration, control.licence, control.environment, control.transfer, control.transfer_record,
    control.transfer_event, control.transfer_sight, control.compared_rows, control.auditfile, control.ticket, control.sent_mail, control.certificate to sb_api;
-- Books only while they are open to the new side: who takes the API over reads no others. The state decides, as in
-- domain/authority.py.
alter table control.compared_rows enable row level security;
alter table control.auditfile enable row level security;
create policy read_by_api on control.compared_rows for select to sb_api using (
    exists (select from control.transfer t
            where t.transfer_id = compared_rows.transfer_id and t.state in ('awaiting_release', 'released')));
create policy read_by_api on control.auditfile for select to sb_api using (
    exists (select from control.transfer t
            where t.transfer_id = auditfile.transfer_id and t.state in ('awaiting_release', 'released')));
-- Whether an address was given before: whoever chooses a url is told so at once.
grant select (address) on control.mailbox_route to sb_api;
grant select, insert, update, delete on control.api_request, control.api_attempt to sb_api;
-- A ticket is sealed when it is downloaded: which file is good is said then. Issuing, using and revoking are the worker's.
grant update (digest, sealed_at) on control.ticket to sb_api;
-- To hold a transfer's row meanwhile, PostgreSQL asks for a right to change something of it: this is for a gauge only.
grant update (state_since) on control.transfer to sb_api;

-- Steps tell their story by events, and status reads it: the API writes only what people do through it.
grant insert (transfer_id, actor, kind, reason, detail, event_key) on control.transfer_event to sb_api;
alter table control.transfer_event enable row level security;
create policy read_by_api on control.transfer_event for select to sb_api using (true);
create policy written_by_api on control.transfer_event for insert to sb_api
    with check (kind like 'support\_%' or kind in ('ticket_downloaded', 'check_ticked', 'check_cleared'));
