-- What the platform has: the databases environments live in, licences, environments and who gets their mail.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.
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

create table control.licence (
    licence_number text primary key check (licence_number <> ''),
    holder_name    text not null,
    kind           text not null check (kind in ('firm', 'self_managed')),
    host           text not null unique check (host ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    contact_email  text not null,
    language       text not null default 'nl' check (language in ('nl', 'en')),
    cell           text not null default 'home' references control.cell
);
comment on column control.licence.cell is 'where environments that come to this licence are made; those it has stay where they are';

create table control.environment (
    environment_id  uuid primary key,
    licence_number  text not null references control.licence,
    name            text not null check (name <> ''),
    url_part        text not null,
    url             text not null unique,
    schema_name     text not null unique,
    status          text not null check (status in ('active', 'read_only', 'building', 'awaiting_release', 'retired')),
    mailbox_address text not null unique,
    login_email     text,
    schema_version  integer not null default 0,
    created_at      timestamptz not null default now(),
    cell            text not null default 'home' references control.cell
);
comment on column control.environment.cell is 'the database that its schema is in';
comment on column control.environment.schema_version is 'the newest environment migration in its schema';
-- "Vul een unieke Naam in": Enyoi and enyoi are one name to a person.
create unique index environment_name_per_licence on control.environment (licence_number, lower(name));

create table control.mailbox_route (
    address        text primary key,
    environment_id uuid references control.environment on delete cascade,
    valid_until    timestamptz,
    closed_at      timestamptz
);
comment on table control.mailbox_route is
    'Who gets mail for an address now: environment_id while valid_until is null or in the future, nobody after. A closed address keeps its row, so that no one else is ever given it.';

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
