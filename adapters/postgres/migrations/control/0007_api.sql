-- What the API has answered and how often it was tried, and who read histories through the codec server.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

-- So that a caller who did not hear an answer can ask again without doing it twice.
create table control.api_request (
    subject        text not null,
    key            text not null,
    -- SHA-256 of method, path and body. The body itself may hold a ticket.
    request_digest bytea not null check (octet_length(request_digest) = 32),
    -- Which attempt works on it: one that was taken for dead must not write over its successor's answer.
    attempt        uuid not null,
    began_at       timestamptz not null default clock_timestamp(),
    status         smallint,
    headers        jsonb,
    body           bytea,
    primary key (subject, key)
);
create index api_request_by_age on control.api_request (began_at);
comment on table control.api_request is 'answers of the API by Idempotency-Key, kept for a day; status is null while at work';

-- So that tickets and licence numbers cannot be tried out by the thousand.
-- Unlogged: after a crash everybody begins anew, which costs nothing.
create unlogged table control.api_attempt (
    who        text primary key check (octet_length(who) <= 500),
    -- When the attempts so far will have been paid off; one attempt costs a minute divided by the limit.
    settled_at timestamptz not null
);
create index api_attempt_by_age on control.api_attempt (settled_at);
comment on table control.api_attempt is 'attempts at the API by licence and by address, for the rate limit';

-- Who had the codec server turn payloads of histories into plain text, or the other way round.
create table control.history_reading (
    reading_id bigint generated always as identity primary key,
    at         timestamptz not null default clock_timestamp(),
    subject    text not null,
    name       text not null,
    roles      text[] not null,
    action     text not null check (action in ('decode', 'encode')),
    payloads   integer not null check (payloads >= 0),
    -- What the asker said; the protocol names no workflow.
    namespace  text not null
);
create index history_reading_by_age on control.history_reading (at);
comment on table control.history_reading is
    'written before anything is answered; kept for a year at least, then an operator may delete';

create function control.refuse_change_of_readings() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'DELETE' then
        if old.at < clock_timestamp() - interval '1 year' then
            return old;
        end if;
    end if;
    raise exception 'The record of who read histories is append-only: % is refused.', tg_op
        using errcode = 'insufficient_privilege', hint = 'Rows older than a year may be deleted.';
end
$$;
create trigger append_only before update or delete on control.history_reading
    for each row execute function control.refuse_change_of_readings();
create trigger not_emptied before truncate on control.history_reading
    for each statement execute function control.refuse_change_of_readings();
alter table control.history_reading enable always trigger append_only;
alter table control.history_reading enable always trigger not_emptied;

-- So that a program with another ring of payload keys refuses to start: what it wrote, no other could read.
create table control.payload_key (
    key_id         text primary key check (key_id ~ '^[0-9a-f]{16}$'),
    known_since    timestamptz not null default clock_timestamp(),
    encrypts_since timestamptz
);
comment on table control.payload_key is
    'The ring of payload keys by the names of its keys, as `sb-transfer setup` last had it. encrypts_since: since when every program must have it; null while it is only announced.';
