-- One consent at a bank is used by one environment: who has it since a release.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create table control.bank_consent (
    environment_id    uuid not null,
    administration_id text not null,
    bank              text not null,
    iban              text not null,
    belongs_to        uuid not null,
    since             timestamptz not null default now(),
    primary key (environment_id, administration_id, bank, iban)
);
comment on table control.bank_consent is
    'Connections of old environments that stay on active there for people to read, and whose consent is another environment''s now.';
comment on column control.bank_consent.belongs_to is
    'the environment that uses the consent since the release: nothing is fetched from the bank for environment_id any more';
grant select on control.bank_consent to sb_app, sb_api;
