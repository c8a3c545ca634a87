-- What the fence under load needs. Runs with search_path = pg_catalog, so every name is qualified.

-- The flags are a step of their own, before the tables are locked: an application that first locks an administration's
-- row (FOR SHARE, FOR UPDATE) and then writes would otherwise hold the row while it waits for us, and we for its row.
drop function control.freeze_schema(text);
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
