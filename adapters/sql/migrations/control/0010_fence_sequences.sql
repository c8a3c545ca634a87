-- What the fence under load needs: sequences that nobody can be half-way through, and fences that are dropped only
-- while they are lifted. Runs with search_path = pg_catalog, so every name is qualified.

-- A transaction that has drawn a number holds ROW EXCLUSIVE on the sequence, and a prepared statement in it never looks
-- at the rights again: what `take_sequence_grants` takes would not stop it. So wait until nobody is half-way. LOCK TABLE
-- takes no sequences; ALTER SEQUENCE takes SHARE ROW EXCLUSIVE until commit, and this one changes nothing.
create function control.lock_sequences(schema_name text) returns integer language plpgsql as $$
declare
    target record;
    locked integer := 0;
begin
    for target in
        select format('%I.%I', n.nspname, c.relname) as quoted, s.seqcache
        from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_sequence s on s.seqrelid = c.oid
        where n.nspname = schema_name and c.relkind = 'S'
        order by c.oid
    loop
        execute format('alter sequence %s cache %s', target.quoted, target.seqcache);
        locked := locked + 1;
    end loop;
    return locked;
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
