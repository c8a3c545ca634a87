-- What the API has answered, so that a caller who did not hear an answer can ask again without doing it twice.

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
