-- Who had the codec server turn payloads of histories into plain text, or the other way round.
-- Runs with search_path = pg_catalog, so every name is qualified.

create table control.history_reading (
    reading_id bigint generated always as identity primary key,
    at         timestamptz not null default clock_timestamp(),
    subject    text not null,
    name       text not null,
    roles      text[] not null,
    action     text not null check (action in ('decode', 'encode')),
    payloads   integer not null check (payloads >= 0),
    -- What the asker said; the protocol names no workflow.
    namespace  text not null
);
create index history_reading_by_age on control.history_reading (at);
comment on table control.history_reading is
    'written before anything is answered; kept for a year at least, then an operator may delete';

create function control.refuse_change_of_readings() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        if old.at < clock_timestamp() - interval '1 year' then
            return old;
        end if;
    end if;
    raise exception 'The record of who read histories is append-only: % is refused.', tg_op
        using errcode = 'insufficient_privilege', hint = 'Rows older than a year may be deleted.';
end
$$;
create trigger append_only before update or delete on control.history_reading
    for each row execute function control.refuse_change_of_readings();
create trigger not_emptied before truncate on control.history_reading
    for each statement execute function control.refuse_change_of_readings();
alter table control.history_reading enable always trigger append_only;
alter table control.history_reading enable always trigger not_emptied;
