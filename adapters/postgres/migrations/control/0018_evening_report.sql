-- What operators were told of an evening.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create table control.evening_report (
    evening     date primary key,
    reported_at timestamptz not null default clock_timestamp()
);
comment on table control.evening_report is 'The evenings whose report was mailed to operators: one mail each, whichever worker sends it.';
