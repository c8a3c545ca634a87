-- What the newest inspection found.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create table control.inspection_note (
    only_one boolean primary key default true check (only_one),
    at       timestamptz not null,
    findings jsonb not null
);
comment on table control.inspection_note is
    'The newest inspection that a worker has finished: when, and how many findings of each kind.';

create table control.inspection_finding (
    inspection_id uuid not null,
    number        int not null,
    found_at      timestamptz not null default now(),
    kind          text not null,
    subject       text not null,
    what          text not null,
    run_id        text not null,
    primary key (inspection_id, number)
);
comment on table control.inspection_finding is
    'What the inspections of the last days found, in the order in which it is put right.';
create index inspection_finding_by_age on control.inspection_finding (found_at);
