-- name: unguarded
-- What of definitions nobody guards here: events without the trigger of superuser.sql, or all when triggers on events are off.
select w.event
from (values ('ddl_command_end'), ('sql_drop')) w (event)
where coalesce(current_setting('event_triggers', true), 'on') = 'off' or not exists (
    select from pg_event_trigger e
    where e.evtevent = w.event and e.evtenabled = 'A' and e.evttags is null
      and e.evtfoid = to_regprocedure('control.refuse_definition()'))
