do $$ begin execute format('alter default privileges in schema %I grant select on tables to sb_app', current_schema()); execute format('alter default privileges in schema %I grant execute on functions to pg_monitor', current_schema()); end $$;
create table dp (id int); create function dp_f() returns int language sql as 'select 1';
