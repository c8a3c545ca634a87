-- Transfers, their log, tickets, mail, hashes and certificates.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create table control.transfer (
    transfer_id        uuid primary key,
    workflow_id        text not null,
    -- No foreign key: the story of a transfer outlives the environments it was about.
    environment_id     uuid not null,
    environment_name   text,
    state              text not null check (state in ('preparing', 'awaiting_upload', 'scheduled', 'cloning',
                                                      'awaiting_release', 'released', 'undoing', 'undone')),
    scenario           text check (scenario in ('switch', 'outsource', 'insource')),
    source_licence     text,
    target_licence     text,
    new_environment_id uuid,
    new_environment    jsonb,
    requested_by       text not null default '',
    uploaded_by        text,
    released_by        text,
    undo_reason        text check (undo_reason in ('expired', 'cancelled', 'rejected', 'failed')),
    undo_detail        text,
    undo_detail_nl     text,
    created_at         timestamptz not null default now(),
    frozen_at          timestamptz,
    accepted_at        timestamptz,
    starts_at          timestamptz,
    released_at        timestamptz,
    ended_at           timestamptz,
    clone_result       jsonb,
    verification       jsonb,
    banks              jsonb,
    consequences       jsonb,
    report             jsonb,
    evening            integer not null default 1 check (evening >= 1),
    state_since        timestamptz not null default clock_timestamp(),
    size_bytes         bigint,
    hash_seconds       double precision,
    begun_at           timestamptz,
    ready_at           timestamptz,
    check ((state in ('undoing', 'undone')) = (undo_reason is not null))
);
comment on column control.transfer.new_environment is
    'what was reserved (name, url, licence), kept when the environment itself is dropped by an undo';
comment on column control.transfer.evening is
    'which planned start counts, 1 for the first. Everything between a start and the inspection carries its number, so that what a lost worker left of an earlier evening changes nothing in a later one.';
comment on column control.transfer.state_since is 'when it entered its state, whoever moved it there';
comment on column control.transfer.size_bytes is 'what the frozen environment takes on disk with its indexes';
comment on column control.transfer.hash_seconds is 'how long it took to read all of it once, after its freeze';
comment on column control.transfer.begun_at is 'when its clone began, on the evening that counts';
comment on column control.transfer.ready_at is 'when everything was proved and certified, on that evening';
-- One live move per environment, also for whoever writes past Temporal.
create unique index transfer_live_per_environment on control.transfer (environment_id)
    where state not in ('released', 'undone');
create index transfer_by_new_environment on control.transfer (new_environment_id);
create index transfer_by_readiness on control.transfer (ready_at desc) where ready_at is not null;
create index transfer_by_start on control.transfer (starts_at) where starts_at is not null;
create index transfer_by_creation on control.transfer (created_at desc, transfer_id);

create view control.transfer_record as
select t.transfer_id, t.workflow_id, t.environment_id, coalesce(t.environment_name, '') as environment_name,
       t.new_environment_id, t.new_environment ->> 'name' as new_name, t.state, t.scenario, t.source_licence,
       t.target_licence, l.holder_name as target_holder, t.starts_at, t.created_at, t.undo_reason
from control.transfer t left join control.licence l on l.licence_number = t.target_licence;
comment on view control.transfer_record is 'A transfer as lists and reports show it.';

create function control.note_state() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    new.state_since := clock_timestamp();
    return new;
end
$$;
create trigger note_state before update on control.transfer
    for each row when (old.state is distinct from new.state) execute function control.note_state();

create table control.transfer_event (
    event_id    bigint generated always as identity primary key,
    transfer_id uuid not null,
    at          timestamptz not null default clock_timestamp(),
    actor       text not null,
    kind        text not null,
    reason      text not null default '',
    detail      jsonb not null default '{}',
    -- A retried attempt that tells the same event again is recognised by this key.
    event_key   uuid unique
);
create index transfer_event_by_transfer on control.transfer_event (transfer_id, event_id);
create index transfer_event_of_postponement on control.transfer_event (at) where kind = 'start_postponed';

create function control.refuse_change_of_log() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'The event log is append-only: % on control.transfer_event is refused.', tg_op
        using errcode = 'insufficient_privilege', hint = 'Record a new event that corrects the old one.';
end
$$;
create trigger append_only before update or delete or truncate on control.transfer_event
    for each statement execute function control.refuse_change_of_log();
alter table control.transfer_event enable always trigger append_only;

create table control.compared_rows (
    transfer_id       uuid not null references control.transfer,
    administration_id uuid not null,
    check_kind        text not null,
    equal             boolean not null,
    part              integer not null,
    rows              jsonb not null,
    primary key (transfer_id, administration_id, check_kind, equal, part)
);
comment on table control.compared_rows is
    'The rows behind each check of a transfer''s comparison, up to a thousand in a part, as both sides had them then.';

create table control.auditfile (
    transfer_id       uuid not null references control.transfer,
    old_side          boolean not null,
    administration_id uuid not null,
    year              integer not null,
    part              integer not null,
    content           bytea not null,
    primary key (transfer_id, old_side, administration_id, year, part)
);
comment on table control.auditfile is
    'Books as they were when somebody last asked for them, a megabyte in a part, compressed by zlib.';

create table control.ticket (
    ticket_id   uuid primary key,
    transfer_id uuid not null references control.transfer,
    -- SHA-256 of the sealed file; null until the file has been downloaded. The file itself is stored nowhere.
    digest      bytea unique check (octet_length(digest) = 32),
    file_name   text not null,
    issued_at   timestamptz not null,
    expires_at  timestamptz not null,
    sealed_at   timestamptz,
    used_at     timestamptz,
    revoked_at  timestamptz,
    -- Bound to the licence that it is meant for: stolen, it is worth nothing anywhere else.
    for_licence text
);
create unique index ticket_per_transfer on control.ticket (transfer_id);

create table control.sent_mail (
    transfer_id  uuid not null references control.transfer,
    kind         text not null check (kind in ('ticket_issued', 'upload_accepted', 'ready', 'released', 'undone', 'invitation',
                                               'ticket_reminder', 'release_reminder', 'mailbox_closed')),
    recipient    text not null,
    message_id   text not null,
    language     text not null,
    subject      text not null,
    status       text not null check (status in ('pending', 'sent', 'failed')),
    attempts     integer not null default 0,
    problem      text,
    attempted_at timestamptz,
    sent_at      timestamptz,
    occurrence   integer not null default 1 check (occurrence >= 1),
    primary key (transfer_id, kind, recipient, occurrence)
);
comment on column control.sent_mail.occurrence is
    'counts the mails of one kind: a weekly reminder is many mails, and each of them is sent at most once';
create index sent_mail_by_attempt on control.sent_mail (attempted_at);

create table control.fingerprint (
    transfer_id uuid not null references control.transfer,
    moment      text not null check (moment in ('frozen', 'cloned', 'opened', 'release')),
    side        text not null check (side in ('old', 'new')),
    taken_at    timestamptz not null,
    hashes      jsonb not null,
    primary key (transfer_id, moment, side)
);
comment on table control.fingerprint is
    'Hashes of every row and definition. frozen/old = cloned/old = cloned/new, or nobody gets to see the clone; release/old must equal frozen/old and release/new must equal opened/new, or nothing is released. release is the newest look, also of one that was refused.';

create table control.certificate (
    transfer_id uuid primary key references control.transfer,
    evening     integer not null,
    key_id      text not null,
    issued_at   timestamptz not null,
    document    text not null
);
comment on column control.certificate.document is 'the signed file, byte for byte';

create table control.transfer_sight (
    transfer_id uuid primary key references control.transfer,
    step        text not null,
    progress    jsonb not null,
    seen_at     timestamptz not null default clock_timestamp()
);
comment on table control.transfer_sight is
    'The newest that a long step has told of itself. It says nothing once that step is over.';

create table control.read_ahead (
    transfer_id uuid primary key references control.transfer,
    evening     integer not null,
    begun_at    timestamptz not null,
    readings    jsonb not null
);
comment on table control.read_ahead is
    'Sums of hashes by ranges of pages, which the verification of the same evening takes over where the pages are still the same, and then forgets.';
