-- Many environments that move to one licence, over several evenings.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create table control.portfolio (
    portfolio_id   uuid primary key,
    licence_number text not null,
    name_pattern   text not null,
    first_evening  date,
    per_night      integer not null check (per_night between 1 and 10000),
    uploads        boolean not null default true,
    created_by     text not null,
    created_at     timestamptz not null default clock_timestamp()
);
comment on column control.portfolio.licence_number is 'who takes the environments over';
comment on column control.portfolio.uploads is 'whether tickets are uploaded at once; else the new side gets them as one file';
comment on column control.portfolio.name_pattern is 'what they are called there: {name} stands for the name that each has now';

create table control.portfolio_item (
    portfolio_id   uuid not null references control.portfolio,
    number         integer not null,
    environment_id uuid not null,
    name           text not null,
    state          text not null default 'waiting' check (state in ('waiting', 'ready', 'refused', 'moving', 'cancelled')),
    transfer_id    uuid,
    code           text,
    problem        text,
    primary key (portfolio_id, number),
    unique (portfolio_id, environment_id)
);
comment on table control.portfolio_item is
    'waiting: not looked at yet; ready: could move; refused: cannot, problem says why; moving: its transfer says how far it is; cancelled: has not begun and will not.';

grant select, insert on control.portfolio, control.portfolio_item to sb_api;
