-- What only a superuser can do, once in the home database and in that of every cell; it may be repeated:
--
--     psql --dbname=sb --username=postgres --file=adapters/postgres/superuser.sql
--
-- Two event triggers have definitions guarded. `sb-transfer setup` puts the rule into their function: in an environment
-- that is frozen nothing is created, altered, refreshed or dropped. Without them such an environment's tables are fenced
-- and its definitions are not.
set search_path = pg_catalog, pg_temp;
create schema if not exists control authorization sb_owner;
do $$
declare
    wanted record;
begin
    if to_regprocedure('control.refuse_definition()') is null then
        create function control.refuse_definition() returns event_trigger language plpgsql as 'begin end';
        alter function control.refuse_definition() owner to sb_owner;
    end if;
    for wanted in
        select * from (values ('sb_transfer_definitions'::name, 'ddl_command_end'), ('sb_transfer_drops', 'sql_drop')) w (name, event)
    loop
        if not exists (select from pg_event_trigger where evtname = wanted.name) then
            execute format('create event trigger %I on %s execute function control.refuse_definition()', wanted.name, wanted.event);
        end if;
        -- Also for who passes triggers over, as a replica does.
        execute format('alter event trigger %I enable always', wanted.name);
    end loop;
end
$$;
reset search_path;
