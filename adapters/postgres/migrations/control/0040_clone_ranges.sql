-- A unit of rows in one round trip.

create function control.copy_ranges(
    source text, target text, past_triggers boolean, names text[], targets text[], files bigint[], columns text[],
    expressions text[], starts bigint[], ends bigint[]
) returns bigint language plpgsql as $$
-- Ranges of pages of some tables, the end not included, each into its target; returns the number of rows. The caller sets search_path to the
-- target, which casts to its own types and expressions of generated columns need. `past_triggers`: the foreign keys are
-- declared already; the source enforces them, and the proof of equality carries that over.
declare
    copied bigint;
    total  bigint := 0;
begin
    if past_triggers then
        perform set_config('session_replication_role', 'replica', true);
    end if;
    for i in 1 .. coalesce(array_length(names, 1), 0) loop
        execute case when columns[i] = '' then
                format('insert into %I.%I select from only %I.%I where ctid >= $1 and ctid < $2',
                       target, targets[i], source, names[i])
            else
                format('insert into %I.%I (%s) overriding system value select %s from only %I.%I '
                       'where ctid >= $1 and ctid < $2', target, targets[i], columns[i], expressions[i], source, names[i])
            end
            using format('(%s,0)', starts[i])::tid, format('(%s,0)', ends[i])::tid;
        get diagnostics copied = row_count;
        total := total + copied;
        -- Asked while the table is locked by the reading, so it cannot be rewritten after the answer.
        if pg_relation_filenode(format('%I.%I', source, names[i])::regclass) <> files[i]::oid then
            raise exception 'Table % was rewritten while it was copied.', names[i] using errcode = 'object_in_use';
        end if;
    end loop;
    if past_triggers then
        perform set_config('session_replication_role', 'origin', true);
    end if;
    return total;
end
$$;
revoke execute on function control.copy_ranges(text, text, boolean, text[], text[], bigint[], text[], text[], bigint[], bigint[])
    from public;
