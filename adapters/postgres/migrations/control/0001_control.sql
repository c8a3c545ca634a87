-- The control schema: licences, environments, transfers, their log, tickets and mail.
-- Runs as the owner of the schema; search_path is set by the migration runner to pg_catalog, so every name is qualified.

create table control.licence (
    licence_number text primary key check (licence_number <> ''),
    holder_name    text not null,
    kind           text not null check (kind in ('firm', 'self_managed')),
    host           text not null unique check (host ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    contact_email  text not null,
    language       text not null default 'nl' check (language in ('nl', 'en'))
);

create table control.environment (
    environment_id  uuid primary key,
    licence_number  text not null references control.licence,
    name            text not null check (name <> ''),
    url_part        text not null,
    url             text not null unique,
    schema_name     text not null unique,
    status          text not null check (status in ('active', 'read_only', 'building', 'awaiting_release', 'retired')),
    mailbox_address text not null unique,
    login_email     text,
    schema_version  integer not null default 0,
    created_at      timestamptz not null default now()
);
comment on column control.environment.schema_version is 'the newest environment migration in its schema';
-- "Vul een unieke Naam in": Enyoi and enyoi are one name to a person.
create unique index environment_name_per_licence on control.environment (licence_number, lower(name));

create table control.mailbox_route (
    address        text primary key,
    environment_id uuid references control.environment on delete cascade,
    valid_until    timestamptz,
    closed_at      timestamptz
);
comment on table control.mailbox_route is
    'Who gets mail for an address now: environment_id while valid_until is null or in the future, nobody after. A closed address keeps its row, so that no one else is ever given it.';

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
    check ((state in ('undoing', 'undone')) = (undo_reason is not null))
);
comment on column control.transfer.new_environment is
    'what was reserved (name, url, licence), kept when the environment itself is dropped by an undo';
-- One live move per environment, also for whoever writes past Temporal.
create unique index transfer_live_per_environment on control.transfer (environment_id)
    where state not in ('released', 'undone');
create index transfer_by_new_environment on control.transfer (new_environment_id);
create index transfer_by_creation on control.transfer (created_at desc, transfer_id);

create table control.transfer_event (
    event_id    bigint generated always as identity primary key,
    transfer_id uuid not null,
    at          timestamptz not null default clock_timestamp(),
    actor       text not null,
    kind        text not null,
    reason      text not null default '',
    detail      jsonb not null default '{}'
);
create index transfer_event_by_transfer on control.transfer_event (transfer_id, event_id);

create function control.refuse_change_of_log() returns trigger language plpgsql as $$
begin
    raise exception 'The event log is append-only: % on control.transfer_event is refused.', tg_op
        using errcode = 'insufficient_privilege', hint = 'Record a new event that corrects the old one.';
end
$$;
create trigger append_only before update or delete or truncate on control.transfer_event
    for each statement execute function control.refuse_change_of_log();
alter table control.transfer_event enable always trigger append_only;

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
    revoked_at  timestamptz
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
    primary key (transfer_id, kind, recipient)
);
