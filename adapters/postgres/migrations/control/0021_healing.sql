-- What healing puts right inside environments. Runs with search_path = pg_catalog, so every name is qualified.

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
