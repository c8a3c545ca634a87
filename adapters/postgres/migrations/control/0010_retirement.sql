-- The end of an old environment: planned, waited for, and then its books are dropped; its row stays, for the story.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

-- Name, url and address of one that was retired are free again: moving back under the old name works.
alter table control.environment drop constraint environment_url_key, drop constraint environment_mailbox_address_key;
drop index control.environment_name_per_licence;
create unique index environment_url_key on control.environment (url) where status <> 'retired';
create unique index environment_mailbox_address_key on control.environment (mailbox_address) where status <> 'retired';
create unique index environment_name_per_licence on control.environment (licence_number, lower(name)) where status <> 'retired';

create table control.retirement (
    environment_id uuid primary key references control.environment,
    -- The released transfer that left it behind: its log tells the retirement, and its two sides are told.
    transfer_id    uuid not null references control.transfer,
    requested_by   text not null,
    planned_at     timestamptz not null,
    due_at         timestamptz not null,
    called_back_at timestamptz,
    retired_at     timestamptz,
    ended_at       timestamptz,
    removed        jsonb,
    certificate    text
);
comment on column control.retirement.retired_at is 'the point of no return: from here on its books are being dropped';
comment on column control.retirement.removed is 'how many rows each table had';
comment on column control.retirement.certificate is 'the signed statement of what was removed, byte for byte';

create or replace function control.refuse_drop_in_use(a_transfer_id uuid, a_schema text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- The last word on a drop: whoever asks, books in use stay.
begin
    if exists (select 1 from control.transfer where transfer_id = a_transfer_id and state = 'released')
       or exists (select 1 from control.environment e
                  where e.schema_name = a_schema and (e.status in ('active', 'read_only') or e.status = 'retired' and not exists (
                      select from control.retirement r where r.environment_id = e.environment_id and r.retired_at is not null))) then
        raise exception 'Schema % belongs to an environment that is in use: it is not dropped.', a_schema
            using errcode = 'object_in_use', hint = 'Nothing can be undone after the release.';
    end if;
end
$$;

create function control.count_rows(a_schema text) returns jsonb language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- How many rows each table of a schema has, partitions by themselves.
declare
    target record;
    rows   bigint;
    found  jsonb := '{}';
begin
    for target in select c.relname from control.relations_in(a_schema, 'r') c loop
        execute format('select count(*) from only %I.%I', a_schema, target.relname) into rows;
        found := found || jsonb_build_object(target.relname, rows);
    end loop;
    return found;
end
$$;

alter table control.sent_mail drop constraint sent_mail_kind_check;
alter table control.sent_mail add constraint sent_mail_kind_check check (kind in (
    'ticket_issued', 'upload_accepted', 'ready', 'released', 'undone', 'invitation', 'ticket_reminder', 'release_reminder',
    'mailbox_closed', 'retirement_planned', 'retired'));

revoke all on all functions in schema control from public;
grant select on control.retirement to sb_api;
