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

create function control.mute_triggers_in(a_schema text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- The same before an environment's tables are written that this service knows by name. Where one of them is a view with
-- INSTEAD OF triggers, those are how it is written: muted they would take each row and put it nowhere.
begin
    if not exists (
        select from pg_namespace n join pg_class c on c.relnamespace = n.oid join pg_trigger t on t.tgrelid = c.oid
        where n.nspname = a_schema and c.relkind = 'v' and t.tgtype & 64 <> 0
          and c.relname in ('administration', 'bank_connection', 'quote', 'app_connection', 'app_user', 'mailbox_message', 'scanbox_document')) then
        perform control.mute_triggers();
    end if;
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
declare
    told jsonb;
begin
    perform control.mute_triggers_in(schema_name);
    told := control.write(schema_name, 'administration', $sql$
        with flagged as (
            update {table} set read_only = true where not read_only returning id::text as id
        )
        {told} select pg_catalog.jsonb_build_object(
            'ids', coalesce(pg_catalog.jsonb_agg(id order by id), '[]'),
            'count', (select pg_catalog.count(*) from {table}))
        from flagged
    $sql$);
    administrations := array(select jsonb_array_elements_text(told -> 'ids'));
    administration_count := told -> 'count';
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
    perform control.mute_triggers_in(schema_name);
    perform control.write(schema_name, 'administration', format(
        'update {table} set read_only = false where read_only and id::text = any (%L)', administrations));
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

-- A server that crashes gives out numbers again from where its log says that it may have come to: up to 32 further on. A
-- sequence that is set says where it stands. Nobody draws any more: the rights were taken, and whoever had drawn has ended.
create function control.settle_sequences(schema_name text) returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    me constant name := current_user;
    target record;
    place record;
    settled integer := 0;
begin
    for target in
        select c.oid, c.relname, pg_get_userbyid(c.relowner) as owner from control.relations_in(schema_name, 'S') c
    loop
        execute format('select last_value, is_called, log_cnt from %I.%I', schema_name, target.relname) into place;
        continue when place.log_cnt = 0;
        execute format('set local role %I', target.owner);
        execute format('grant update on sequence %I.%I to %I', schema_name, target.relname, target.owner);
        perform setval(target.oid::regclass, place.last_value, place.is_called);
        execute format('revoke update on sequence %I.%I from %I', schema_name, target.relname, target.owner);
        execute format('set local role %I', me);
        settled := settled + 1;
    end loop;
    return settled;
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
language plpgsql
set search_path = pg_catalog, pg_temp as $$
-- How many of these administrations are still read-only as the freeze left them: not written by the transaction that
-- opened the environment, nor since. A person who sets the flag afterwards writes a younger row.
begin
    return control.write(schema_name, 'administration', format(
        '{told} select pg_catalog.to_jsonb(pg_catalog.count(*)) from {table} '
        'where read_only and id::text = any (%L) and pg_catalog.age(xmin) > pg_catalog.age(%L::xid)', administrations, opened))::integer;
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
    perform control.mute_triggers_in(schema_name);
    lowered := control.write(schema_name, 'administration', format(
        'with lowered as (update {table} set read_only = false where read_only and id::text = any (%L) '
        'and pg_catalog.age(xmin) > pg_catalog.age(%L::xid) returning 1) '
        '{told} select pg_catalog.to_jsonb(pg_catalog.count(*)) from lowered', administrations, opened))::integer;
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
