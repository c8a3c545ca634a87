-- What support looks at across all transfers, and that an entrepreneur's licence was cancelled.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create function control.all_held_items(
    after bigint, most integer,
    out item_id bigint, out kind text, out address text, out sender text, out subject text, out received_at timestamptz,
    out bytes integer, out set_aside boolean, out environment_id uuid, out environment_name text, out licence_number text,
    out transfer_id uuid, out mails bigint, out scans bigint
) returns setof record language sql stable security definer
set search_path = pg_catalog, pg_temp as $$
    -- What waits anywhere, in the order in which it came, behind an item; never its contents. With each, the environment that it
    -- came for, or that this one has become by a release, its newest transfer, and how many there are in all.
    select h.item_id, h.kind, h.address,
           case h.kind when 'mail' then control.mail_header(h.content, 'from') else '' end,
           case h.kind when 'mail' then control.mail_header(h.content, 'subject') else h.name end,
           h.received_at, octet_length(h.content), h.problem is not null,
           e.environment_id, e.name, e.licence_number, t.transfer_id, c.mails, c.scans
    from control.held_item h
    cross join (select count(*) filter (where kind = 'mail') as mails, count(*) filter (where kind = 'scan') as scans
                from control.held_item) as c
    left join lateral (
        select o.environment_id, o.name, o.licence_number from control.environment o
        where o.inbox_id = h.inbox_id order by o.created_at desc, o.environment_id limit 1) as e on true
    left join lateral (
        select m.transfer_id from control.transfer m
        where e.environment_id in (m.environment_id, m.new_environment_id)
        order by m.created_at desc, m.transfer_id limit 1) as t on true
    where h.item_id > after order by h.item_id limit most
$$;

create table control.cancelled_licence (
    licence_number text primary key,
    cancelled_at   timestamptz not null default clock_timestamp()
);
comment on table control.cancelled_licence is
    'Licences that their holders cancelled, as the platform says. A table of its own: control.licence may be a view over the platform''s.';

create function control.cancel_licence(a_number text, yes boolean, an_actor text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
-- A licence was cancelled, or is not any more: changed or kept; else the code of a refusal. The newest move that left it tells
-- that it was. The lock is that of `register_licence`, and that of an upload for it.
begin
    perform pg_catalog.pg_advisory_xact_lock(x'6c696365'::int, pg_catalog.hashtext(a_number));
    if not yes then
        delete from control.cancelled_licence where licence_number = a_number;
        return case when found then 'changed' else 'kept' end;
    elsif exists (select from control.cancelled_licence where licence_number = a_number) then
        return 'kept';
    elsif exists (select from control.environment e where e.licence_number = a_number
                  and (e.status in ('active', 'building', 'awaiting_release') or e.status = 'read_only' and not exists (
                      select from control.transfer t where t.environment_id = e.environment_id and t.state = 'released'))) then
        return 'LicenceInUse';
    end if;
    insert into control.cancelled_licence (licence_number) values (a_number);
    insert into control.transfer_event (transfer_id, actor, kind, detail)
    select t.transfer_id, an_actor, 'licence_cancelled', pg_catalog.jsonb_build_object('licence_number', a_number)
    from control.transfer t where t.source_licence = a_number and t.state = 'released'
    order by t.released_at desc, t.transfer_id limit 1;
    return 'changed';
end
$$;

revoke all on all functions in schema control from public;
grant execute on function control.all_held_items(bigint, integer), control.cancel_licence(text, boolean, text) to sb_api;
grant select on control.cancelled_licence to sb_api;
