-- The clone: which attempt may write, which units of work are done, and what it does inside the server.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

create table control.clone_run (
    target_schema text primary key,
    source_schema text not null,
    transfer_id   uuid not null unique references control.transfer,
    attempt       bigint not null default 0,
    closed        boolean not null default false,
    seconds       double precision not null default 0,
    started_at    timestamptz not null default clock_timestamp(),
    finished_at   timestamptz,
    plan          jsonb
);
comment on table control.clone_run is
    'One row per clone. Each unit of work locks it FOR SHARE and needs its own attempt to be the newest; a drop closes it, so that an attempt left over from a lost worker makes nothing any more.';
comment on column control.clone_run.plan is
    'How rows are divided over units, decided by the first attempt: a vacuum may shorten a table between two attempts, and ranges drawn anew would copy rows twice.';

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

create function control.refuse_drop_in_use(a_transfer_id uuid, a_schema text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
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

create function control.drop_clone_schema(a_transfer_id uuid, a_schema text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    perform control.refuse_drop_in_use(a_transfer_id, a_schema);
    execute format('drop schema if exists %I cascade', a_schema);
end
$$;
revoke execute on function control.drop_clone_schema(uuid, text) from public;

create function control.drop_clone_objects(a_transfer_id uuid, a_schema text, at_most integer) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Some of what a clone holds, tables first and partitions before their parents; returns how many there were, and 0 when the
-- rest is little enough to go with the schema. A drop locks whatever it takes away until it commits, and a schema with
-- thousands of objects has more than the server can hold locks for.
declare
    chosen text[];
    one    text;
begin
    perform control.refuse_drop_in_use(a_transfer_id, a_schema);
    select array_agg(format('%I.%I', a_schema, t.relname)) into chosen
    from (select c.relname
          from pg_namespace n
          join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid
          join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid and c.relkind in ('r', 'p')
          where n.nspname = a_schema
          order by c.relispartition desc, c.oid desc limit at_most) t;
    if chosen is not null then
        execute format('drop table if exists %s cascade', array_to_string(chosen, ', '));
        return array_length(chosen, 1);
    end if;
    select array_agg(format('%s if exists %s', o.kind, o.name)) into chosen
    from (select case i.type when 'statistics object' then 'statistics' else i.type end as kind,
                 case when d.classid = 'pg_proc'::regclass and i.type <> 'aggregate'
                      then format('%I.%I(%s)', a_schema, p.proname, pg_get_function_identity_arguments(p.oid))
                      else i.identity end as name
          from pg_namespace n
          join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid
              and d.classid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
          cross join lateral pg_identify_object(d.classid, d.objid, 0) i
          left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
          where n.nspname = a_schema
            and not exists (select from pg_depend w where w.classid = d.classid and w.objid = d.objid and w.deptype = 'i')
          order by d.objid desc limit at_most) o;
    if coalesce(array_length(chosen, 1), 0) < at_most then
        return 0;
    end if;
    foreach one in array chosen loop
        execute format('drop %s cascade', one);
    end loop;
    return at_most;
end
$$;
revoke execute on function control.drop_clone_objects(uuid, text, integer) from public;

create function control.copy_ranges(
    source text, target text, past_triggers boolean, names text[], targets text[], files bigint[], columns text[],
    expressions text[], starts bigint[], ends bigint[], run_code boolean[]
) returns bigint language plpgsql as $$
-- Ranges of pages of some tables, the end not included, each into its target; returns the number of rows. The caller sets
-- search_path to the target, for functions that rows pass through; hence every function that is called here has its schema
-- in front. Those that run code that somebody has made are written as a role that can do nothing (`run_code`). Whoever has
-- locked one of the source's tables is not waited for long. `past_triggers`: the foreign keys are declared already; the source
-- enforces them, and the proof of equality carries that over.
declare
    copied bigint;
    total  bigint := 0;
begin
    perform pg_catalog.set_config('lock_timeout', '5s', true);
    for i in 1 .. coalesce(pg_catalog.array_length(names, 1), 0) loop
        execute pg_catalog.format('lock table only %I.%I in access share mode', source, names[i]);
    end loop;
    perform pg_catalog.set_config('lock_timeout', '0', true);
    if past_triggers then
        perform pg_catalog.set_config('session_replication_role', 'replica', true);
    end if;
    for i in 1 .. coalesce(pg_catalog.array_length(names, 1), 0) loop
        if run_code[i] then
            perform control.show_rows(source, names[i], columns[i], expressions[i], pg_catalog.format(
                'ctid >= %L::pg_catalog.tid and ctid < %L::pg_catalog.tid',
                pg_catalog.format('(%s,0)', starts[i]), pg_catalog.format('(%s,0)', ends[i])));
            copied := control.place_rows(target, targets[i], columns[i], pg_catalog.format(
                'select %s from pg_temp.sb_rows', case when columns[i] <> '' then '*' end), source);
            drop view pg_temp.sb_rows;
        else
            execute case when columns[i] = '' then
                    pg_catalog.format('insert into %I.%I select from only %I.%I where ctid >= $1 and ctid < $2',
                           target, targets[i], source, names[i])
                else
                    pg_catalog.format('insert into %I.%I (%s) overriding system value select %s from only %I.%I '
                           'where ctid >= $1 and ctid < $2', target, targets[i], columns[i], expressions[i], source, names[i])
                end
                using pg_catalog.format('(%s,0)', starts[i])::tid, pg_catalog.format('(%s,0)', ends[i])::tid;
            get diagnostics copied = row_count;
        end if;
        total := total + copied;
        -- Asked while the table is locked by the reading, so it cannot be rewritten after the answer.
        if pg_catalog.pg_relation_filenode(pg_catalog.format('%I.%I', source, names[i])::regclass) <> files[i]::oid then
            raise exception 'Table % was rewritten while it was copied.', names[i] using errcode = 'object_in_use';
        end if;
    end loop;
    if past_triggers then
        perform pg_catalog.set_config('session_replication_role', 'origin', true);
    end if;
    return total;
end
$$;
revoke execute on function control.copy_ranges(text, text, boolean, text[], text[], bigint[], text[], text[], bigint[], bigint[], boolean[])
    from public;
