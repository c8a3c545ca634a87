-- What an inspection looks up inside environments. Runs with search_path = pg_catalog, so every name is qualified.

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
