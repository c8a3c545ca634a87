-- The clone's own books, and the statements that carry rows and positions.

-- name: open_run
-- Begin a new attempt: from its commit on, every older attempt is barred.
insert into control.clone_run (target_schema, source_schema, transfer_id, attempt)
values ($1, $2, $3, 1)
on conflict (target_schema) do update set attempt = control.clone_run.attempt + 1
where not control.clone_run.closed
returning attempt

-- name: hold_run
-- FOR SHARE until the unit commits: a newer attempt or a drop has to wait, and is seen by the next unit.
select r.attempt = $2 and not r.closed and t.state = 'cloning'
from control.clone_run r join control.transfer t using (transfer_id)
where r.target_schema = $1 for share of r

-- name: begin_cloning
-- The transfer is being cloned from now on.
update control.transfer set state = 'cloning' where transfer_id = $1 and state = 'scheduled'

-- name: done_units
-- What earlier attempts have finished.
select unit, rows, bytes from control.clone_unit where target_schema = $1

-- name: finish_unit
-- Commits together with the work it stands for.
insert into control.clone_unit (target_schema, unit, rows, bytes) values ($1, $2, $3, $4)

-- name: create_schema
-- The empty target, as a statement.
select format('create schema %I', $1::text)

-- name: comment_schema
-- The comment on the target, as a statement.
select format('comment on schema %I is %L', $1::text, $2::text)

-- name: copy_rows
-- Copy ranges of pages; inside the server, so the worker's memory does not see the rows.
select control.copy_rows($1, $2, $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])

-- name: rewritten
-- Of the tables just read (and so locked), one whose rows have been moved by a rewrite since they were divided.
select t.name from unnest($2::text[], $3::bigint[]) as t (name, filenode)
where pg_relation_filenode(format('%I.%I', $1::text, t.name)::regclass) <> t.filenode::oid limit 1

-- name: index_settings
-- One process per build, with memory for the sort.
select set_config('max_parallel_maintenance_workers', '0', true), set_config('maintenance_work_mem', '256MB', true)

-- name: is_superuser
-- Whether this role may do everything.
select rolsuper from pg_roles where rolname = current_user

-- name: replica_role_allowed
-- Whether rows may be loaded without firing foreign key checks (since PostgreSQL 15 the right can be granted); the source
-- enforces them and the proof carries them over.
select has_parameter_privilege('session_replication_role', 'set')

-- name: analyze
-- Statistics for some tables, as a statement.
select 'analyze ' || string_agg(format('%I.%I', $1::text, name), ', ') from unnest($2::text[]) name

-- name: keep_plan
-- The first attempt's plan stays; returns what counts.
update control.clone_run set plan = coalesce(plan, $3::jsonb) where target_schema = $1 and attempt = $2 and not closed
returning plan::text

-- name: clone_result
-- What an earlier attempt has finished.
select clone_result::text from control.transfer where transfer_id = $1

-- name: add_seconds
-- Working time, summed over attempts.
update control.clone_run set seconds = seconds + $2 where target_schema = $1 returning seconds

-- name: finish_run
-- The clone is whole: its result, once.
update control.transfer set clone_result = jsonb_build_object('tables', $2::bigint, 'rows', $3::bigint, 'bytes', $4::bigint, 'seconds', $5::double precision)
where transfer_id = $1

-- name: close_run
-- Bar every attempt for good, and tell which schema it was.
update control.clone_run set closed = true where transfer_id = $1 returning target_schema

-- name: reserved_schema
-- The schema of the reserved environment, for a drop before any attempt began.
select e.schema_name from control.transfer t join control.environment e on e.environment_id = t.new_environment_id
where t.transfer_id = $1

-- name: end_leftovers
-- End what an attempt left running in the server; closing the run comes right after, or waits for none.
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = $1 and pid <> pg_backend_pid() and usename = current_user

-- name: drop_tables
-- Some tables at a time, as many as the server can lock; says how many.
select control.drop_clone_tables($1, $2, $3)

-- name: drop_schema
-- Refuses a released environment by itself.
select control.drop_clone_schema($1, $2)

-- name: forget_run
-- The units go with it.
delete from control.clone_run where transfer_id = $1
