-- Cells: the databases that environments live in. Runs with search_path = pg_catalog, so every name is qualified.
--
-- Everything in `control` stands in the home database. Every other cell has the same schema, for its functions and for
-- the books of what is done there: in a cell a row of control.transfer is no transfer, but the bar that every step there
-- has to pass (adapters/postgres/shards.py).

create table control.cell (
    name    text primary key check (name ~ '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$'),
    dsn_ref text not null check (dsn_ref <> '' and dsn_ref !~ '[:/@ ]')
);
comment on table control.cell is 'The databases that environments live in; home is this one.';
comment on column control.cell.dsn_ref is
    'the name under which SB_TRANSFER_CELLS holds the address; an address, which has a password in it, is refused here';
insert into control.cell (name, dsn_ref) values ('home', 'SB_TRANSFER_DATABASE_URL');

create table control.here (
    only_one boolean primary key default true check (only_one),
    name     text not null
);
comment on table control.here is 'Which cell this database is: an address that leads elsewhere is found out by it.';

alter table control.licence add column cell text not null default 'home' references control.cell;
comment on column control.licence.cell is 'where environments that come to this licence are made; those it has stay where they are';
alter table control.environment add column cell text not null default 'home' references control.cell;
comment on column control.environment.cell is 'the database that its schema is in';

-- In a cell, one for each environment that a move has changed there.
create table control.guest (
    environment_id  uuid primary key,
    transfer_id     uuid not null,
    schema_name     text not null,
    status          text not null,
    administrations text[] not null default '{}',
    sequence_grants jsonb not null default '[]',
    opened_at       timestamptz
);
comment on table control.guest is
    'What was last committed here of an environment whose row stands in another database: while a step is half done the two differ. administrations, sequence_grants: what its release gave back, at opened_at.';
