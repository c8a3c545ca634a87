-- The event log in the order in which it became readable, the endpoints that are told of it, and what each still has to get.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

-- Lines of the log have their number before they are committed: a reader who remembers the highest one it has seen would
-- miss what was committed later under a lower one. Every line therefore passes through here, and gets its position when it
-- can be read (docs/decisions/0015-webhooks.md).
create table control.event_outbox (
    event_id bigint primary key
);
comment on table control.event_outbox is 'Lines of the log that have no position yet.';

create table control.published_event (
    position bigint generated always as identity primary key,
    event_id bigint not null unique
);
comment on table control.published_event is
    'Every line of the log in the order in which it became readable: whoever has read up to a position has missed nothing before it.';

create function control.note_event() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
    insert into control.event_outbox (event_id) select event_id from told;
    return null;
end
$$;
create trigger note_event after insert on control.transfer_event referencing new table as told
    for each statement execute function control.note_event();
-- Also for transactions that copy rows, which run as a replica.
alter table control.transfer_event enable always trigger note_event;
insert into control.event_outbox (event_id) select event_id from control.transfer_event;

create function control.publish_events() returns void language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from control.event_outbox) then
        return;
    end if;
    -- One at a time until its commit, so that positions become readable in their order. The bytes of "sbevents".
    if pg_try_advisory_xact_lock(x'73626576656e7473'::bigint) then
        with taken as (delete from control.event_outbox returning event_id)
        insert into control.published_event (event_id) select event_id from taken order by event_id;
    end if;
end
$$;
comment on function control.publish_events() is
    'Gives positions to the lines of the log that were committed since; does nothing while somebody else does so.';

create table control.webhook (
    webhook_id        uuid primary key,
    -- Whose half is told; null: the platform, which is told everything.
    licence_number    text,
    url               text not null check (octet_length(url) <= 2000),
    -- Types of events; none is all.
    types             text[] not null default '{}',
    description       text not null default '',
    -- Sealed with a payload key: adapters/crypto/webhook_secrets.py.
    secret            bytea not null,
    previous_secret   bytea,
    previous_until    timestamptz,
    created_at        timestamptz not null default clock_timestamp(),
    created_by        text not null,
    -- Up to where the log has been looked through for this endpoint.
    position          bigint not null,
    disabled_at       timestamptz,
    disabled_because  text check (disabled_because in ('by_hand', 'gave_up', 'gone')),
    failures          integer not null default 0,
    failing_since     timestamptz,
    last_problem      text,
    last_delivered_at timestamptz,
    resume_at         timestamptz not null default clock_timestamp(),
    lease             uuid,
    leased_until      timestamptz,
    check ((disabled_at is null) = (disabled_because is null))
);
create index webhook_by_licence on control.webhook (licence_number);
comment on column control.webhook.failures is 'attempts that failed since one succeeded';
comment on column control.webhook.lease is 'which attempt at delivering has it to itself, until leased_until';

create table control.webhook_delivery (
    webhook_id      uuid not null references control.webhook on delete cascade,
    position        bigint not null,
    transfer_id     uuid not null,
    attempts        integer not null default 0,
    first_failed_at timestamptz,
    next_attempt_at timestamptz not null default clock_timestamp(),
    primary key (webhook_id, position)
);
create index webhook_delivery_by_transfer on control.webhook_delivery (webhook_id, transfer_id, position);
comment on table control.webhook_delivery is
    'What an endpoint still has to get, a thousand at most: what comes after that stands in the log, behind webhook.position.';

revoke all on function control.note_event(), control.publish_events() from public;
grant execute on function control.publish_events() to sb_api;
grant select on control.published_event, control.webhook_delivery to sb_api;
grant select, insert, update, delete on control.webhook to sb_api;
-- Whoever switches an endpoint on again lets what waits be tried at once.
grant update (attempts, first_failed_at, next_attempt_at) on control.webhook_delivery to sb_api;
