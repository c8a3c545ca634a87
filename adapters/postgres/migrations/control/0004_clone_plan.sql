-- What a clone decides once, and what it does inside the server in one go.

alter table control.clone_run add column plan jsonb;
comment on column control.clone_run.plan is
    'How rows are divided over units, decided by the first attempt: a vacuum may shorten a table between two attempts, and ranges drawn anew would copy rows twice.';

create function control.copy_rows(
    source text, target text, names text[], columns text[], expressions text[], starts bigint[], ends bigint[]
) returns bigint language plpgsql as $$
-- Ranges of pages of some tables, the end not included; returns the number of rows. The caller sets search_path to the
-- target, which casts to its own types and expressions of generated columns need.
declare
    copied bigint;
    total  bigint := 0;
begin
    for i in 1 .. coalesce(array_length(names, 1), 0) loop
        if columns[i] = '' then
            execute format('insert into %I.%I select from only %I.%I where ctid >= $1 and ctid < $2',
                           target, names[i], source, names[i])
                using format('(%s,0)', starts[i])::tid, format('(%s,0)', ends[i])::tid;
        else
            execute format('insert into %I.%I (%s) overriding system value select %s from only %I.%I '
                           'where ctid >= $1 and ctid < $2',
                           target, names[i], columns[i], expressions[i], source, names[i])
                using format('(%s,0)', starts[i])::tid, format('(%s,0)', ends[i])::tid;
        end if;
        get diagnostics copied = row_count;
        total := total + copied;
    end loop;
    return total;
end
$$;
revoke execute on function control.copy_rows(text, text, text[], text[], text[], bigint[], bigint[]) from public;

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

create function control.drop_clone_tables(a_transfer_id uuid, a_schema text, at_most integer) returns integer
language plpgsql as $$
-- Some of a clone's tables, partitions first; returns how many there were. A drop locks every table until it commits, and
-- a schema with thousands of tables has more than the server can hold locks for.
declare
    chosen text[];
begin
    perform control.refuse_drop_in_use(a_transfer_id, a_schema);
    select array_agg(quoted) into chosen
    from (select format('%I.%I', n.nspname, c.relname) as quoted
          from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname = a_schema and c.relkind in ('r', 'p')
          order by c.relispartition desc, c.oid desc limit at_most) part;
    if chosen is not null then
        execute format('drop table if exists %s cascade', array_to_string(chosen, ', '));
    end if;
    return coalesce(array_length(chosen, 1), 0);
end
$$;
revoke execute on function control.drop_clone_tables(uuid, text, integer) from public;

create or replace function control.drop_clone_schema(a_transfer_id uuid, a_schema text) returns void
language plpgsql as $$
begin
    perform control.refuse_drop_in_use(a_transfer_id, a_schema);
    execute format('drop schema if exists %I cascade', a_schema);
end
$$;
