-- What was read of the old environment for the proof while it was cloned.
-- Runs with search_path = pg_catalog, so every name is qualified.

create table control.read_ahead (
    transfer_id uuid primary key references control.transfer,
    evening     integer not null,
    begun_at    timestamptz not null,
    readings    jsonb not null
);
comment on table control.read_ahead is
    'Sums of hashes by ranges of pages, which the verification of the same evening takes over where the pages are still the same, and then forgets.';
