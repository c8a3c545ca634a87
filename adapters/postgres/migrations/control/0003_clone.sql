-- The clone's own books: which attempt may write, and which units of work are done.

create table control.clone_run (
    target_schema text primary key,
    source_schema text not null,
    transfer_id   uuid not null unique references control.transfer,
    attempt       bigint not null default 0,
    closed        boolean not null default false,
    seconds       double precision not null default 0,
    started_at    timestamptz not null default clock_timestamp(),
    finished_at   timestamptz
);
comment on table control.clone_run is
    'One row per clone. Each unit of work locks it FOR SHARE and needs its own attempt to be the newest; a drop closes it, so that an attempt left over from a lost worker makes nothing any more.';

create table control.clone_unit (
    target_schema text not null references control.clone_run on delete cascade,
    unit          text not null,
    rows          bigint not null default 0,
    bytes         bigint not null default 0,
    done_at       timestamptz not null default clock_timestamp(),
    primary key (target_schema, unit)
);
comment on table control.clone_unit is
    'What is done. The line commits together with the work, so a killed clone redoes at most one unit and never doubles a row.';

create function control.drop_clone_schema(a_transfer_id uuid, a_schema text) returns void language plpgsql as $$
-- The last word on a clone: whoever calls it, a released environment stays.
begin
    if exists (select 1 from control.transfer where transfer_id = a_transfer_id and state = 'released')
       or exists (select 1 from control.environment
                  where schema_name = a_schema and status in ('active', 'read_only', 'retired')) then
        raise exception 'Schema % belongs to an environment that is in use: it is not dropped.', a_schema
            using errcode = 'object_in_use', hint = 'Nothing can be undone after the release.';
    end if;
    execute format('drop schema if exists %I cascade', a_schema);
end
$$;
revoke execute on function control.drop_clone_schema(uuid, text) from public;
