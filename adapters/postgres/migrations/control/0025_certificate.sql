-- What the two environments of a transfer were at which moment, and the certificate that says so.
-- Runs with search_path = pg_catalog, so every name is qualified.

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
