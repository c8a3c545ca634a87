-- The clone's own books, and the statements that carry rows and positions.

-- name: open_run
-- Begin a new attempt: from its commit on, every older attempt is barred.
insert into control.clone_run (target_schema, source_schema, transfer_id, attempt)
values ($1, $2, $3, 1)
on conflict (target_schema) do update set attempt = control.clone_run.attempt + 1
where not control.clone_run.closed
returning attempt

-- name: begin_unit
-- FOR SHARE until the unit commits: a newer attempt or a drop has to wait, and is seen by the next unit. A unit's commit
-- does not wait for the disk: its line is in the same log, and the end of the clone waits for all of it. Units wait for each
-- other as long as that takes; what others may have locked is the source (copy_ranges).
select r.attempt = $2 and not r.closed and t.state = 'cloning',
       set_config('application_name', $3, true), set_config('synchronous_commit', 'off', true),
       set_config('lock_timeout', '0', true)
from control.clone_run r join control.transfer t using (transfer_id)
where r.target_schema = $1 for share of r

-- name: hold_copy
-- One after the other, what makes a copy that has code of somebody's: its rights and owners change on the way.
select pg_advisory_xact_lock(hashtextextended('control.let_in ' || $1::text, 0))

-- name: hold_run
-- How many units are done, while this attempt may write.
select (select count(*) from control.clone_unit u where u.target_schema = r.target_schema)
from control.clone_run r join control.transfer t using (transfer_id)
where r.target_schema = $1 and r.attempt = $2 and not r.closed and t.state = 'cloning' for share of r

-- name: begin_cloning
-- The transfer is being cloned from now on.
update control.transfer set state = 'cloning', begun_at = clock_timestamp() where transfer_id = $1 and state = 'scheduled'

-- name: seconds_needed
-- How long this transfer ($1) may need from the beginning of its clone until everything is proved: by its bytes, after what
-- the last moves took (those of this evening, since $2, as soon as there are five); before there are any, $3 times what it took
-- to read it once. Null when nothing is known. `more`: how much longer such moves take now and then.
with moved as materialized (
    select size_bytes::double precision as bytes, extract(epoch from ready_at - begun_at)::double precision as seconds,
           begun_at >= $2 as tonight
    from control.transfer where ready_at is not null and begun_at is not null and size_bytes is not null
    order by ready_at desc limit 100
), known as (
    select count(*) as moves, max(seconds) as longest, max(bytes) as largest, regr_slope(seconds, bytes) as slope,
           regr_intercept(seconds, bytes) as anyhow,
           coalesce(stddev_samp(seconds) * sqrt(1 - regr_r2(seconds, bytes)), 0) as varies
    from moved where tonight or (select count(*) from moved where tonight) < 5
)
select case when k.moves = 0 then t.hash_seconds * $3::double precision
            when k.slope > 0 then greatest(k.anyhow + k.slope * t.size_bytes, 0)
            else k.longest * greatest(1, t.size_bytes / greatest(k.largest, 1)) end as seconds,
       case when k.slope > 0 then 2 * k.varies else 0 end as more
from control.transfer t, known k where t.transfer_id = $1

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

-- name: copy_ranges
-- Copy ranges of pages; inside the server, so the worker's memory does not see the rows.
select control.copy_ranges($1, $2, $3, $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[],
                           $10::bigint[], $11::boolean[])

-- name: range_queries
-- What reads each range of pages in the source ($1) of another database, in their order.
select case when r.columns = '' then format('select from only %I.%I where ctid >= %L and ctid < %L', $1::text, r.name,
                                            format('(%s,0)', r.first), format('(%s,0)', r.last))
       else format('select %s from only %I.%I where ctid >= %L and ctid < %L', r.columns, $1::text, r.name,
                   format('(%s,0)', r.first), format('(%s,0)', r.last)) end as query
from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) with ordinality as r (name, columns, first, last, place)
order by r.place

-- name: rewritten
-- A table of the source whose rows lie in another file than when the ranges were drawn; no row when there is none.
select f.name from unnest($2::text[], $3::bigint[]) as f (name, file)
where pg_relation_filenode(format('%I.%I', $1::text, f.name)::regclass) <> f.file::oid limit 1

-- name: past_triggers
-- Load rows past the checks of foreign keys, or not any more: the source enforces them, the proof carries them over.
select set_config('session_replication_role', $1, true)

-- name: time_zone
-- Read and write times as in another zone.
select set_config('timezone', $1, true)

-- name: show_rows
-- Let a materialised view of the source ($1, $2; columns $3, expressions $4) be read by the role that can do nothing.
select control.show_rows($1, $2, $3, $4, 'true')

-- name: drop_rows
-- Not any more.
drop view pg_temp.sb_rows

-- name: write_view_rows
-- Put the rows of a query ($4) in the place of those of a materialised view ($1, $2; columns $3).
select control.write_view_rows($1, $2, $3, $4)

-- name: place_rows
-- Put the rows of a query ($4) into a table ($1, $2; columns $3) as the role that can do nothing.
select control.place_rows($1, $2, $3, $4)

-- name: view_query
-- What reads a materialised view of the source in another database.
select format('select %s from %I.%I', $3::text, $1::text, $2::text)

-- name: stage
-- Make a table for rows of a table or view ($1, $2; columns $3) on their way from another database; how they are read there.
select control.stage($1, $2, $3::text[])

-- name: drop_staging
-- Take it away again.
drop table pg_temp.sb_staging

-- name: index_settings
-- How many processes help with a build, and memory for the sort: runs that stay near the processor are sorted and merged
-- in two thirds of the time that one large sort takes, and with this much a merge takes a hundred runs at once.
select set_config('max_parallel_maintenance_workers', $1, true), set_config('maintenance_work_mem', '32MB', true)

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

-- name: copy_statistics
-- Since PostgreSQL 18: what the planner knows of some tables of the source ($1) holds for the target's ($2), row for row.
-- Returns the tables of which it knows everything; statistics over several columns can only be gathered.
with known as (
    select c.oid, c.relname::text as name, c.reltuples
    from pg_class c
    where c.relnamespace = $1::text::regnamespace and c.relkind = 'r' and c.relname = any ($3::text[])
      and c.reltuples >= 0 and not exists (select from pg_statistic_ext e where e.stxrelid = c.oid)
), holder as (
    select name as table_name, name from known
    union all
    select k.name, i.relname::text from known k join pg_index x on x.indrelid = k.oid join pg_class i on i.oid = x.indexrelid
), told as (
    select h.table_name, bool_and(pg_restore_attribute_stats(
        'schemaname', $2::text, 'relname', h.name, 'attname', s.attname::text, 'inherited', s.inherited,
        'null_frac', s.null_frac, 'avg_width', s.avg_width, 'n_distinct', s.n_distinct,
        'most_common_vals', s.most_common_vals::text, 'most_common_freqs', s.most_common_freqs,
        'histogram_bounds', s.histogram_bounds::text, 'correlation', s.correlation,
        'most_common_elems', s.most_common_elems::text, 'most_common_elem_freqs', s.most_common_elem_freqs,
        'elem_count_histogram', s.elem_count_histogram, 'range_length_histogram', s.range_length_histogram::text,
        'range_empty_frac', s.range_empty_frac, 'range_bounds_histogram', s.range_bounds_histogram::text)) as whole
    from holder h join pg_stats s on s.schemaname = $1::text and s.tablename = h.name
    group by 1
)
select k.name from known k join told t on t.table_name = k.name
where t.whole and pg_restore_relation_stats('schemaname', $2::text, 'relname', k.name, 'reltuples', k.reltuples,
    'relpages', (pg_relation_size(format('%I.%I', $2::text, k.name)::regclass)
                 / current_setting('block_size')::integer)::integer)

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

-- name: terminate_sessions
-- End what an attempt left running in the server; closing the run comes right after, or waits for none.
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = $1 and pid <> pg_backend_pid() and usename = current_user

-- name: drop_some
-- Some tables or other objects at a time, as many as the server can lock; says how many.
select control.drop_clone_objects($1, $2, $3)

-- name: drop_schema
-- Refuses a released environment by itself.
select control.drop_clone_schema($1, $2)

-- name: forget_run
-- The units go with it.
delete from control.clone_run where transfer_id = $1
