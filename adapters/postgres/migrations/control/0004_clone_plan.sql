-- What a clone decides once, and what it does inside the server in one go.

alter table control.clone_run add column plan jsonb;
comment on column control.clone_run.plan is
    'How rows are divided over units, decided by the first attempt: a vacuum may shorten a table between two attempts, and ranges drawn anew would copy rows twice.';

create function control.refuse_drop_in_use(a_transfer_id uuid, a_schema text) returns void language plpgsql as $$
-- The last word on a clone: whoever asks, books in use stay.
begin
    if exists (select 1 from control.transfer where transfer_id = a_transfer_id and state = 'released')
       or exists (select 1 from control.environment
                  where schema_name = a_schema and status in ('active', 'read_only', 'retired')) then
        raise exception 'Schema % belongs to an environment that is in use: it is not dropped.', a_schema
            using errcode = 'object_in_use', hint = 'Nothing can be undone after the release.';
    end if;
end
$$;
revoke execute on function control.refuse_drop_in_use(uuid, text) from public;

create or replace function control.drop_clone_schema(a_transfer_id uuid, a_schema text) returns void
language plpgsql as $$
begin
    perform control.refuse_drop_in_use(a_transfer_id, a_schema);
    execute format('drop schema if exists %I cascade', a_schema);
end
$$;
