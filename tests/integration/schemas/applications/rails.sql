-- In the manner of a Rails application's structure.sql: string lists as checks, jsonb, arrays, partial and expression indexes,
-- extensions in public, timestamps with a precision, polymorphic references, counter caches, a Scenic view that is materialised.
create type subscription_plan as enum ('free', 'team', 'enterprise');

create table schema_migrations (version character varying not null primary key);
create table ar_internal_metadata (
    key character varying not null primary key,
    value character varying,
    created_at timestamp(6) without time zone not null,
    updated_at timestamp(6) without time zone not null
);

create table accounts (
    id uuid default gen_random_uuid() not null primary key,
    subdomain public.citext not null,
    plan subscription_plan default 'free' not null,
    settings jsonb default '{}'::jsonb not null,
    tags character varying[] default '{}'::character varying[],
    users_count integer default 0 not null,
    created_at timestamp(6) without time zone default current_timestamp not null,
    updated_at timestamp(6) without time zone not null
);
create unique index index_accounts_on_subdomain on accounts (subdomain);
create index index_accounts_on_settings on accounts using gin (settings jsonb_path_ops);
create index index_accounts_on_tags on accounts using gin (tags);

create table users (
    id bigserial primary key,
    account_id uuid not null,
    email character varying not null,
    name character varying default ''::character varying not null,
    role character varying default 'member'::character varying not null,
    encrypted_password character varying default ''::character varying not null,
    locked_at timestamp without time zone,
    discarded_at timestamp(6) without time zone,
    created_at timestamp(6) without time zone not null,
    updated_at timestamp(6) without time zone not null,
    constraint users_role_in_list check (role in ('owner', 'admin', 'member', 'guest')),
    constraint fk_rails_account foreign key (account_id) references accounts (id) on delete cascade
);
create unique index index_users_on_lower_email on users (lower(email::text)) where discarded_at is null;
create index index_users_on_name_trigram on users using gin (name public.gin_trgm_ops);
create index index_users_on_account_id_and_role on users (account_id, role) where role in ('owner', 'admin');

create table invoices (
    id bigserial primary key,
    user_id bigint not null,
    number character varying(20) not null,
    state character varying default 'draft'::character varying not null,
    currency character varying(3) default 'EUR'::character varying not null,
    total_cents bigint default 0 not null,
    tax_rate numeric(5, 2),
    total numeric generated always as (total_cents / 100.0) stored,
    lines_count integer default 0 not null,
    issued_on date,
    lock_version integer default 0 not null,
    metadata jsonb,
    search tsvector generated always as (to_tsvector('simple'::regconfig, coalesce(number, ''::character varying))) stored,
    created_at timestamp(6) without time zone not null,
    updated_at timestamp(6) without time zone not null,
    constraint invoices_state check (state in ('draft', 'sent', 'paid', 'void')),
    constraint invoices_state_not_odd check (state not in ('lost', 'unknown')),
    constraint invoices_issued check (state = 'draft' or issued_on is not null),
    constraint fk_rails_user foreign key (user_id) references users (id) deferrable initially deferred
);
create unique index index_invoices_on_number on invoices (number);
create index index_invoices_live on invoices (user_id, issued_on desc nulls last) where state in ('sent', 'paid');
create index index_invoices_on_search on invoices using gin (search);
create index index_invoices_brin on invoices using brin (created_at);

create table invoice_lines (
    id bigserial primary key,
    invoice_id bigint not null references invoices (id),
    position integer not null,
    description text,
    quantity numeric(10, 3) default 1 not null,
    price_cents integer not null,
    constraint unique_position unique (invoice_id, position) deferrable initially immediate
);

create table active_storage_attachments (
    id bigserial primary key,
    name character varying not null,
    record_type character varying not null,
    record_id bigint not null,
    blob bytea,
    created_at timestamp(6) without time zone not null
);
create unique index index_active_storage_attachments_uniqueness on active_storage_attachments (record_type, record_id, name);

create function invoice_lines_count() returns trigger language plpgsql as $$
begin
    update invoices set lines_count = (select count(*) from invoice_lines where invoice_id = coalesce(new.invoice_id, old.invoice_id))
    where id = coalesce(new.invoice_id, old.invoice_id);
    return null;
end $$;
create trigger invoice_lines_counter after insert or delete on invoice_lines for each row execute function invoice_lines_count();

create materialized view revenues as
    select u.account_id, date_trunc('month', i.issued_on::timestamp) as month, sum(i.total_cents) as cents
    from invoices i join users u on u.id = i.user_id where i.state in ('sent', 'paid') group by 1, 2;
create unique index index_revenues on revenues (account_id, month);

create view open_invoices as select i.*, u.email from invoices i join users u on u.id = i.user_id where i.state::text = 'sent'::text;

insert into schema_migrations select (20240101000000 + i)::text from generate_series(1, 120) i;
insert into ar_internal_metadata values ('environment', 'production', '2026-01-01 00:00:00', '2026-01-01 00:00:00');
insert into accounts (subdomain, plan, settings, tags, updated_at)
select 'Firm' || i, (enum_range(null::subscription_plan))[1 + i % 3], jsonb_build_object('locale', 'nl', 'n', i, 'x', 1.50),
    array['a' || i, null, 'b,"c'], '2026-05-05 12:00:00.123456' from generate_series(1, 20) i;
insert into users (account_id, email, name, role, discarded_at, created_at, updated_at)
select a.id, 'User' || i || '@Example.nl', 'Jörg ' || i, (array['owner', 'admin', 'member', 'guest'])[1 + i % 4],
    case when i % 7 = 0 then timestamp '2026-02-02' end, '2026-01-01', '2026-01-01'
from accounts a, generate_series(1, 10) i where a.subdomain = 'firm1'::public.citext;
insert into invoices (user_id, number, state, total_cents, tax_rate, issued_on, metadata, created_at, updated_at)
select u.id, 'F-' || u.id || '-' || i, (array['draft', 'sent', 'paid', 'void'])[1 + i % 4], i * 1210, 21.00, date '2026-01-01' + i,
    case when i % 3 = 0 then 'null'::jsonb end, '2026-01-01', '2026-01-01' from users u, generate_series(1, 30) i;
insert into invoice_lines (invoice_id, position, description, price_cents)
select i.id, p, E'regel\t' || p, 605 from invoices i, generate_series(1, 2) p;
insert into active_storage_attachments (name, record_type, record_id, blob, created_at)
select 'pdf', 'Invoice', id, decode(md5(id::text), 'hex'), '2026-01-01' from invoices limit 50;
refresh materialized view revenues;
