-- How far the work of a step is, for those who ask the database where a transfer stands.
-- Runs with search_path = pg_catalog, so every name is qualified.

create table control.transfer_sight (
    transfer_id uuid primary key references control.transfer,
    step        text not null,
    progress    jsonb not null,
    seen_at     timestamptz not null default clock_timestamp()
);
comment on table control.transfer_sight is
    'The newest that a long step has told of itself. It says nothing once that step is over.';
