-- The write fence: what shuts an environment to writers, what remembers how it was, and what opens it again.
-- Runs with search_path = pg_catalog, so every name is qualified.

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
    'what was taken from others than the owner: [{"sequence", "grantee" (null is everybody), "privilege", "grantable"}]';
comment on column control.fence.lifted_at is 'when an undo made the old environment writable again';

create function control.refuse_write() returns trigger language plpgsql as $$
begin
    if tg_argv[0] = 'awaiting_release' then
        raise exception using
            errcode = 'read_only_sql_transaction',
            message = 'Er is niets opgeslagen: deze omgeving is nog niet vrijgegeven en daarom alleen-lezen. / '
                      'Nothing was saved: this environment has not been released yet and is read-only until then.',
            detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
            hint = 'Controleer de omgeving en kies Vrijgeven. / Check the environment and release it.';
    end if;
    raise exception using
        errcode = 'read_only_sql_transaction',
        message = 'Er is niets opgeslagen: deze omgeving is alleen-lezen, want zij wordt of is overgedragen. / '
                  'Nothing was saved: this environment is read-only, because it is being or has been transferred.',
        detail = format('%s on %I.%I was refused.', tg_op, tg_table_schema, tg_table_name),
        hint = 'Werk verder in de nieuwe omgeving zodra die is vrijgegeven. / '
               'Continue in the new environment once it has been released.';
end
$$;
comment on function control.refuse_write() is
    'Refuses the statement that fires it. Argument: transferred (the old side) or awaiting_release (the new side).';

-- Triggers of others must not react to our flags: an audit row or an updated_at would be a change that an undo leaves
-- behind. Where the right is missing (PostgreSQL 14 grants it to superusers only) they do react.
create function control.mute_triggers() returns void language plpgsql as $$
begin
    perform set_config('session_replication_role', 'replica', true);
exception when insufficient_privilege then
    null;
end
$$;

create function control.unmute_triggers() returns void language plpgsql as $$
begin
    if current_setting('session_replication_role') <> 'origin' then
        perform set_config('session_replication_role', 'origin', true);
    end if;
end
$$;

-- Partitions as well as their parents: a statement that names a partition fires nothing on the parent. What depends on a
-- schema has an index, what is in one has none.
create function control.fenceable_tables(schema_name text) returns table (relation oid, quoted text)
language sql stable as $$
    select c.oid, format('%I.%I', n.nspname, c.relname)
    from pg_namespace n
    join pg_depend d on d.refclassid = 'pg_namespace'::regclass and d.refobjid = n.oid and d.classid = 'pg_class'::regclass
    join pg_class c on c.oid = d.objid
    where n.nspname = schema_name and c.relkind in ('r', 'p')
    order by c.oid
$$;

create function control.lock_tables(schema_name text, lock_mode text) returns integer language plpgsql as $$
declare
    tables text;
    locked integer;
begin
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

create function control.raise_fence(schema_name text, reason text) returns integer language plpgsql as $$
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
    return fenced;
end
$$;

-- The flags are a step of their own, before the tables are locked: an application that first locks an administration's
-- row (FOR SHARE, FOR UPDATE) and then writes would otherwise hold the row while it waits for us, and we for its row.
create function control.flag_administrations(
    schema_name text, out administrations text[], out administration_count integer
) language plpgsql as $$
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
create function control.hold_writers(schema_name text, first_of_all oid[]) returns oid language plpgsql as $$
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
create function control.drop_lifted_fence(target oid) returns boolean language plpgsql as $$
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
create function control.lift_fence(schema_name text, administrations text[]) returns integer language plpgsql as $$
declare
    target text;
    lifted integer := 0;
begin
    for target in
        select f.quoted
        from control.fenceable_tables(schema_name) f
        join pg_trigger t on t.tgrelid = f.relation and t.tgname = 'sb_transfer_fence'
        order by f.relation
    loop
        execute format('alter table only %s disable trigger sb_transfer_fence', target);
        lifted := lifted + 1;
    end loop;
    perform control.mute_triggers();
    execute format('update %I.administration set read_only = false where read_only and id::text = any ($1)', schema_name)
        using administrations;
    set constraints all immediate;
    perform control.unmute_triggers();
    return lifted;
end
$$;

-- nextval() is no statement on a table, so no trigger sees it: take the right to call it, and remember what was taken.
create function control.take_sequence_grants(schema_name text) returns jsonb language plpgsql as $$
declare
    taken record;
    found jsonb := '[]';
begin
    for taken in
        select c.relname, a.grantee, a.privilege_type, a.is_grantable,
               case when a.grantee <> 0 then pg_get_userbyid(a.grantee) end as grantee_name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
        where n.nspname = schema_name and c.relkind = 'S' and a.privilege_type in ('USAGE', 'UPDATE')
          and a.grantee <> c.relowner and a.grantor = c.relowner
        order by c.oid, a.grantee, a.privilege_type
    loop
        execute format('revoke %s on sequence %I.%I from %s', taken.privilege_type, schema_name, taken.relname,
                       coalesce(quote_ident(taken.grantee_name), 'public'));
        found := found || jsonb_build_object('sequence', taken.relname, 'grantee', taken.grantee_name,
                                             'privilege', taken.privilege_type, 'grantable', taken.is_grantable);
    end loop;
    return found;
end
$$;

create function control.give_sequence_grants(schema_name text, grants jsonb) returns integer language plpgsql as $$
declare
    given record;
    restored integer := 0;
begin
    for given in
        select g.sequence, g.grantee, g.privilege, g.grantable
        from jsonb_to_recordset(grants) as g (sequence text, grantee text, privilege text, grantable boolean)
        join pg_class c on c.relname = g.sequence and c.relkind = 'S'
        join pg_namespace n on n.oid = c.relnamespace and n.nspname = schema_name
        where g.privilege in ('USAGE', 'UPDATE')
          and (g.grantee is null or exists (select from pg_roles r where r.rolname = g.grantee))
    loop
        execute format('grant %s on sequence %I.%I to %s%s', given.privilege, schema_name, given.sequence,
                       coalesce(quote_ident(given.grantee), 'public'),
                       case when given.grantable then ' with grant option' else '' end);
        restored := restored + 1;
    end loop;
    return restored;
end
$$;

create function control.flags_left(schema_name text, administrations text[], opened xid) returns integer
language plpgsql stable as $$
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
language plpgsql as $$
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

create function control.take_schema_grants(schema_name text) returns integer language plpgsql as $$
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
