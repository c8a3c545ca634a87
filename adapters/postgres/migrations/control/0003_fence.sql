-- The write fence: what shuts an environment to writers, what remembers how it was, and what opens it again.
-- Runs with search_path = pg_catalog, pg_temp, so every other name is qualified; so does every function, wherever it is called.

-- What a freeze changed, so that undoing it gives back exactly that and no more.
create table control.fence (
    transfer_id          uuid primary key references control.transfer,
    environment_id       uuid not null,
    schema_name          text not null,
    administrations      text[] not null,
    administration_count integer not null,
    table_count          integer not null,
    sequence_grants      jsonb not null,
    raised_at            timestamptz not null,
    lifted_at            timestamptz
);
comment on column control.fence.administrations is
    'ids of those that this freeze made read-only; others were so before and stay so';
comment on column control.fence.sequence_grants is
    'the rights on the sequences that somebody could draw from, in the order they were given: [{"sequence", "grantor", "grantee" (null is everybody), "privilege", "grantable"}]';
comment on column control.fence.lifted_at is 'when an undo made the old environment writable again';

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

-- Definitions are writes too. Event triggers call this, which only a superuser can make (deploy/roles.sql). Who connects as
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

-- Triggers of others must not react to our flags: an audit row or an updated_at would be a change that an undo leaves
-- behind. Where the right is missing (PostgreSQL 14 grants it to superusers only) they do react.
create function control.mute_triggers() returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    perform set_config('session_replication_role', 'replica', true);
exception when insufficient_privilege then
    null;
end
$$;

create function control.unmute_triggers() returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('session_replication_role') <> 'origin' then
        perform set_config('session_replication_role', 'origin', true);
    end if;
end
$$;

-- What a schema holds hangs on it in pg_depend, which has an index for that; pg_class has none by schema.
create function control.relations_in(a_schema text, kinds text) returns setof pg_class language sql stable
set search_path = pg_catalog, pg_temp as $$
    select c.*
    from pg_namespace n
    join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid and d.classid = 'pg_class'::regclass
    join pg_class c on c.oid = d.objid
    where n.nspname = a_schema and strpos(kinds, c.relkind::text) > 0
    order by c.oid
$$;

-- Partitions as well as their parents: a statement that names a partition fires nothing on the parent.
create function control.fenceable_tables(schema_name text) returns table (relation oid, quoted text)
language sql stable
set search_path = pg_catalog, pg_temp as $$
    select c.oid, format('%I.%I', schema_name, c.relname) from control.relations_in(schema_name, 'rp') c
$$;

create function control.lock_tables(schema_name text, lock_mode text) returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    tables text;
    locked integer;
begin
    -- Wait for whoever is changing definitions here (refuse_if_frozen), and hold others until the commit.
    perform pg_advisory_xact_lock(x'73627464'::int, oid::int) from pg_namespace where nspname = schema_name;
    select string_agg('only ' || quoted, ', '), count(*) into tables, locked
    from control.fenceable_tables(schema_name);
    if locked > 0 then
        execute format('lock table %s in %s mode', tables,
                       case lock_mode
                           -- Passes beside writers, but not beside a vacuum: the server ends an automatic one for us
                           -- when we have waited for deadlock_timeout, and none begins while we go on.
                           when 'vacuum' then 'share update exclusive'
                           -- Waits for every writer in flight and holds new ones until we commit; readers pass.
                           when 'writers' then 'share row exclusive'
                       end);
    end if;
    return locked;
end
$$;

create function control.raise_fence(schema_name text, reason text) returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    target text;
    fenced integer := 0;
begin
    perform control.lock_tables(schema_name, 'writers');
    for target in select quoted from control.fenceable_tables(schema_name) loop
        execute format(
            'create or replace trigger sb_transfer_fence before insert or update or delete or truncate on %s '
            'for each statement execute function control.refuse_write(%L)', target, reason);
        -- ALWAYS: session_replication_role = replica skips every other kind.
        execute format('alter table only %s enable always trigger sb_transfer_fence', target);
        fenced := fenced + 1;
    end loop;
    perform control.plant_refusals(schema_name, reason);
    return fenced;
end
$$;

-- The flags are a step of their own, before the tables are locked: an application that first locks an administration's
-- row (FOR SHARE, FOR UPDATE) and then writes would otherwise hold the row while it waits for us, and we for its row.
create function control.flag_administrations(
    schema_name text, out administrations text[], out administration_count integer
) language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    perform control.mute_triggers();
    execute format(
        'with flagged as (update %1$I.administration set read_only = true where not read_only returning id::text as id) '
        'select coalesce(array_agg(id order by id), ''{}''), (select count(*) from %1$I.administration) from flagged',
        schema_name) into administrations, administration_count;
    -- ALTER TABLE refuses a table with deferred work pending, which a foreign trigger may have left.
    set constraints all immediate;
    perform control.unmute_triggers();
end
$$;

-- Hold a schema's writers; null when all are held. Otherwise the table that somebody else keeps, and nobody is held.
-- A writer that locks tables in another order than we do waits for us while we wait for it, and it is we who give in:
-- against many such writers a fixed order never wins. So what was in the way last time is locked first the next time.
create function control.hold_writers(schema_name text, first_of_all oid[]) returns oid language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    target record;
begin
    for target in
        select relation, quoted from control.fenceable_tables(schema_name)
        order by array_position(first_of_all, relation) nulls last, relation
    loop
        execute format('lock table only %s in share row exclusive mode', target.quoted);
    end loop;
    return null;
exception when lock_not_available then
    return target.relation;
end
$$;

-- The next freeze may have raised the fence again since somebody saw it lifted: look under the lock that a freeze needs.
create function control.drop_lifted_fence(target oid) returns boolean language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    quoted text;
begin
    select format('%I.%I', n.nspname, c.relname) into quoted
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = target;
    if quoted is null then
        return false;
    end if;
    execute format('lock table only %s in access exclusive mode', quoted);
    if exists (select from pg_trigger t
               where t.tgrelid = target and t.tgname = 'sb_transfer_fence' and t.tgenabled = 'D') then
        execute format('drop trigger sb_transfer_fence on %s', quoted);
        return true;
    end if;
    return false;
end
$$;

-- Disabling needs no more than SHARE ROW EXCLUSIVE, so a long report cannot keep an environment shut; dropping the
-- trigger would need to wait for readers and is done afterwards, table by table.
create function control.lift_fence(schema_name text, administrations text[]) returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    target text;
    lifted integer := 0;
begin
    for target in
        select f.quoted
        from control.fenceable_tables(schema_name) f join pg_trigger t on t.tgrelid = f.relation and t.tgname = 'sb_transfer_fence'
        order by f.relation
    loop
        execute format('alter table only %s disable trigger sb_transfer_fence', target);
        lifted := lifted + 1;
    end loop;
    for target in select control.refusals_in(schema_name) loop
        execute format('drop function %s', target);
    end loop;
    perform control.mute_triggers();
    execute format('update %I.administration set read_only = false where read_only and id::text = any ($1)', schema_name)
        using administrations;
    set constraints all immediate;
    perform control.unmute_triggers();
    return lifted;
end
$$;

-- The right to draw numbers is taken from everybody, the owner too, for whom functions run. Rights that were handed on go
-- with those that they were given by; all are given back in their order, by whom they were given.
create function control.take_sequence_grants(schema_name text) returns jsonb language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    me constant name := current_user;
    target record;
    found jsonb;
begin
    select coalesce(jsonb_agg(jsonb_build_object(
        'sequence', c.relname, 'grantor', pg_get_userbyid(a.grantor),
        'grantee', case when a.grantee <> 0 then pg_get_userbyid(a.grantee) end,
        'privilege', a.privilege_type, 'grantable', a.is_grantable) order by c.oid, a.place), '[]') into found
    from control.relations_in(schema_name, 'S') c
    cross join lateral aclexplode(coalesce(c.relacl, acldefault('s', c.relowner)))
        with ordinality a (grantor, grantee, privilege_type, is_grantable, place);
    for target in
        select c.relname, pg_get_userbyid(c.relowner) as owner, g.grantees
        from control.relations_in(schema_name, 'S') c
        cross join lateral (
            select string_agg(distinct coalesce(quote_ident(pg_get_userbyid(nullif(a.grantee, 0))), 'public'), ', ') as grantees
            from aclexplode(coalesce(c.relacl, acldefault('s', c.relowner))) a
            where a.privilege_type in ('USAGE', 'UPDATE') and a.grantor = c.relowner) g
        where g.grantees is not null
    loop
        execute format('set local role %I', target.owner);
        execute format('revoke usage, update on sequence %I.%I from %s cascade', schema_name, target.relname, target.grantees);
    end loop;
    execute format('set local role %I', me);
    return found;
end
$$;

create function control.give_sequence_grants(schema_name text, grants jsonb) returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    me constant name := current_user;
    target record;
    restored integer := 0;
begin
    for target in
        select c.relname, pg_get_userbyid(c.relowner) as owner,
               (select string_agg(distinct coalesce(quote_ident(pg_get_userbyid(nullif(a.grantee, 0))), 'public'), ', ')
                from aclexplode(coalesce(c.relacl, acldefault('s', c.relowner))) a) as grantees
        from control.relations_in(schema_name, 'S') c
        where c.relname in (select g ->> 'sequence' from jsonb_array_elements(grants) g)
    loop
        execute format('set local role %I', target.owner);
        execute format('revoke all on sequence %I.%I from public, %s cascade', schema_name, target.relname,
                       coalesce(target.grantees, quote_ident(target.owner)));
    end loop;
    for target in
        select g.sequence, g.grantee, g.privilege, g.grantable, coalesce(r.rolname, pg_get_userbyid(c.relowner)) as grantor
        from rows from (jsonb_to_recordset(grants)
                        as (sequence text, grantor text, grantee text, privilege text, grantable boolean))
            with ordinality g (sequence, grantor, grantee, privilege, grantable, place)
        join control.relations_in(schema_name, 'S') c on c.relname = g.sequence
        -- In another database of another server a role may be missing.
        left join pg_roles r on r.rolname = g.grantor
        where g.grantee is null or exists (select from pg_roles r where r.rolname = g.grantee)
        order by g.place
    loop
        execute format('set local role %I', target.grantor);
        execute format('grant %s on sequence %I.%I to %s%s', target.privilege, schema_name, target.sequence,
                       coalesce(quote_ident(target.grantee), 'public'),
                       case when target.grantable then ' with grant option' else '' end);
        restored := restored + 1;
    end loop;
    execute format('set local role %I', me);
    return restored;
end
$$;

create function control.flags_left(schema_name text, administrations text[], opened xid) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
-- How many of these administrations are still read-only as the freeze left them: not written by the transaction that
-- opened the environment, nor since. A person who sets the flag afterwards writes a younger row.
declare
    found integer;
begin
    execute format('select count(*) from %I.administration where read_only and id::text = any ($1) and age(xmin) > age($2)',
                   schema_name) into found using administrations, opened;
    return found;
exception when undefined_table or undefined_column or invalid_schema_name then
    return 0;
end
$$;
comment on function control.flags_left(text, text[], xid) is
    'Administrations that stayed read-only when their fence was lifted; opened is the transaction that lifted it.';

create function control.lower_flags(schema_name text, administrations text[], opened xid) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Make writable what `control.flags_left` counts, without waking triggers of others.
declare
    lowered integer;
begin
    perform control.mute_triggers();
    execute format('update %I.administration set read_only = false '
                   'where read_only and id::text = any ($1) and age(xmin) > age($2)', schema_name)
        using administrations, opened;
    get diagnostics lowered = row_count;
    set constraints all immediate;
    perform control.unmute_triggers();
    return lowered;
end
$$;

create function control.take_schema_grants(schema_name text) returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- Let nobody but the owner into a schema; what `apply_schema_grants` gives comes when it is opened.
declare
    entry record;
    taken integer := 0;
begin
    for entry in
        select distinct a.grantee, case when a.grantee <> 0 then pg_get_userbyid(a.grantee) end as name
        from pg_namespace n, aclexplode(n.nspacl) a
        where n.nspname = schema_name and a.grantee <> n.nspowner
    loop
        execute format('revoke all on schema %I from %s', schema_name, coalesce(quote_ident(entry.name), 'public'));
        taken := taken + 1;
    end loop;
    return taken;
end
$$;
