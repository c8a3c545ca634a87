-- What a shut environment answers to writers, and what finds those whom no trigger on a table sees: functions that draw
-- numbers, and definitions. Runs with search_path = pg_catalog, pg_temp, so every other name is qualified.

create function control.refuse(reason text, detail text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if reason = 'awaiting_release' then
        raise exception using
            errcode = 'read_only_sql_transaction',
            message = 'Er is niets opgeslagen: deze omgeving is nog niet vrijgegeven en daarom alleen-lezen. / '
                      'Nothing was saved: this environment has not been released yet and is read-only until then.',
            detail = detail,
            hint = 'Controleer de omgeving en kies Vrijgeven. / Check the environment and release it.';
    end if;
    raise exception using
        errcode = 'read_only_sql_transaction',
        message = 'Er is niets opgeslagen: deze omgeving is alleen-lezen, want zij wordt of is overgedragen. / '
                  'Nothing was saved: this environment is read-only, because it is being or has been transferred.',
        detail = detail,
        hint = 'Werk verder in de nieuwe omgeving zodra die is vrijgegeven. / '
               'Continue in the new environment once it has been released.';
end
$$;
comment on function control.refuse(text, text) is
    'Raises 25006 with a sentence for people. Reason: transferred (the old side) or awaiting_release (the new side).';

-- As its owner, because whoever writes may not enter `control`.
create function control.refuse_write() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
    perform control.refuse(tg_argv[0], format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name));
end
$$;

-- nextval() is no statement on a table, so no trigger sees it, and a right that was taken answers "permission denied". But
-- nextval('a name') finds a function that takes a text, and stands in the environment's schema, before the server's own,
-- which takes a regclass. Such functions are planted there to say the sentence. Their first line tells them apart from what
-- the environment holds: they are neither copied nor compared.
create function control.refusals_in(a_schema text) returns setof regprocedure language sql stable
set search_path = pg_catalog, pg_temp as $$
    select p.oid::regprocedure
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = a_schema and p.proname in ('sb_transfer_fence', 'nextval', 'setval')
      and pg_get_userbyid(p.proowner) = current_user and p.prosrc like '-- sb\_transfer\_fence %'
$$;

create function control.plant_refusals(a_schema text, reason text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    planted record;
begin
    for planted in
        select f.*, to_regprocedure(format('%I.%I(%s)', a_schema, f.name, f.arguments)) as present
        from (values ('sb_transfer_fence', '', 'void'), ('nextval', 'text', 'bigint'), ('nextval', 'regclass', 'bigint'),
                     ('setval', 'text, bigint', 'bigint'), ('setval', 'regclass, bigint', 'bigint'),
                     ('setval', 'text, bigint, boolean', 'bigint'), ('setval', 'regclass, bigint, boolean', 'bigint')
             ) f (name, arguments, result)
    loop
        -- What the environment itself calls so stays. It draws nothing either, but for want of the right.
        if planted.present is not null and planted.present not in (select control.refusals_in(a_schema)) then
            continue;
        end if;
        execute format(
            'create or replace function %1$I.%2$I(%3$s) returns %4$s language plpgsql security definer '
            'set search_path = pg_catalog, pg_temp as %5$L', a_schema, planted.name, planted.arguments, planted.result,
            format(E'-- sb_transfer_fence %1$s\nbegin\n    perform control.refuse(%1$L, %2$L);\nend', reason,
                   format('%s in %I was refused.', planted.name, a_schema)));
        execute format('grant execute on function %I.%I(%s) to public', a_schema, planted.name, planted.arguments);
    end loop;
    -- A change of a schema's row makes every session plan its statements anew, and so find what was planted.
    execute format('grant usage on schema %I to current_user', a_schema);
end
$$;

create function control.is_superuser(role name) returns boolean language sql stable
set search_path = pg_catalog, pg_temp as $$
    select rolsuper from pg_roles where rolname = role
$$;

create function control.refuse_if_frozen(a_schema text, tag text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    reason text;
begin
    perform pg_advisory_xact_lock_shared(x'73627464'::int, oid::int) from pg_namespace where nspname = a_schema;
    select substring(p.prosrc from '\w+$') into reason
    from (select substring(prosrc from '^[^\n]*') from pg_proc where oid = any (select control.refusals_in(a_schema))) p (prosrc);
    if control.is_superuser(session_user) and not exists (
        select from control.fenceable_tables(a_schema) f join pg_trigger t on t.tgrelid = f.relation
        where t.tgname = 'sb_transfer_fence' and t.tgenabled = 'A') then
        return;  -- who has switched it off
    end if;
    -- A transaction that looks at an older snapshot does not see that row; what names mean is never older than now.
    if reason is not null
       or (select case when has_schema_privilege(oid, 'usage')
                       then to_regprocedure(format('%I.sb_transfer_fence()', a_schema)) is not null end
           from pg_namespace where nspname = a_schema) then
        perform control.refuse(coalesce(reason, 'transferred'), format('%s in %I was refused.', tag, a_schema));
    end if;
end
$$;

-- Definitions are writes too. Event triggers call this, which only a superuser can make (superuser.sql). Who connects as
-- its owner is this service; a function that belongs to this service and is called by somebody else is not.
create or replace function control.refuse_definition() returns event_trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
    touched text;
    me bigint;
begin
    -- A superuser may switch the fence off by its triggers.
    if session_user = current_user or tg_tag = 'ALTER TABLE' and control.is_superuser(session_user) then
        return;
    end if;
    if tg_event = 'sql_drop' then
        for touched in
            select distinct coalesce(schema_name, address_names[1]) from pg_event_trigger_dropped_objects() where not is_temporary
        loop
            perform control.refuse_if_frozen(touched, tg_tag);
        end loop;
        if exists (select from pg_event_trigger_dropped_objects()
                   where object_type = 'function' and address_names[2] = 'sb_transfer_fence') then
            perform control.refuse('transferred', format('%s was refused.', tg_tag));
        end if;
        return;
    end if;
    for touched in
        select distinct coalesce(c.schema_name, a.object_names[1])
        from pg_event_trigger_ddl_commands() c
        cross join lateral pg_identify_object_as_address(c.classid, c.objid, c.objsubid) a
        where c.classid is not null and c.schema_name is distinct from 'pg_temp'
    loop
        perform control.refuse_if_frozen(touched, tg_tag);
    end loop;
    -- What was moved out of its schema is found by its fence.
    if exists (select from pg_event_trigger_ddl_commands() c
               join pg_trigger t on c.classid = 'pg_class'::regclass and t.tgrelid = c.objid
               where t.tgname = 'sb_transfer_fence' and t.tgenabled = 'A') then
        perform control.refuse('transferred', format('%s was refused.', tg_tag));
    end if;
    -- Of rights that were given or taken the server does not say on what: look which rows are this transaction's.
    if exists (select from pg_event_trigger_ddl_commands() c where c.classid is null) then
        me := pg_current_xact_id()::text::bigint;
        for touched in
            select distinct n.nspname
            from (select xmin, relnamespace from pg_class union all select xmin, pronamespace from pg_proc union all
                  select xmin, typnamespace from pg_type union all select xmin, oid from pg_namespace union all
                  select xmin, defaclnamespace from pg_default_acl union all
                  select a.xmin, c.relnamespace from pg_attribute a join pg_class c on c.oid = a.attrelid
                  where a.attacl is not null) o (written, namespace)
            join pg_namespace n on n.oid = o.namespace
            -- A subtransaction's number is younger than its transaction's; a younger one of others has ended.
            where age(o.written) <= age(pg_current_xact_id()::xid)
              and pg_xact_status((me + age(pg_current_xact_id()::xid) - age(o.written))::text::xid8) = 'in progress'
        loop
            perform control.refuse_if_frozen(touched, tg_tag);
        end loop;
    end if;
end
$$;
