-- name: in_the_way
-- Who holds a lock on what a schema ($1) holds: prepared transactions first, for they never end by themselves. Those who only
-- read ($2) are in the way of a drop. Who waits for a table of his own (LOCK TABLE, ALTER TABLE) lets nobody pass either, and is
-- named with those whom he waits for.
select format('%s (%s)%s%s', who, string_agg(distinct what, ', ' order by what), since,
              ', which waits for ' || string_agg(distinct behind, ', ')) as blocker
from (
    select coalesce(c.relname, 'definitions') as what, p.gid is null as has_session,
           case when p.gid is null
                then format('session %s of %s', l.pid, coalesce(a.usename, 'another role'))
                else format('prepared transaction %L of %s since %s, to be ended by COMMIT PREPARED or ROLLBACK PREPARED',
                            regexp_replace(left(p.gid, 100), '[^[:print:]]', '?', 'g'), p.owner,
                            to_char(p.prepared at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'))
           end as who,
           case when a.query_start is not null
                then format(', application %L, its last statement begun at %s',
                            regexp_replace(left(a.application_name, 100), '[^[:print:]]', '?', 'g'),
                            to_char(a.query_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')) end as since,
           case when not l.granted then (
               select string_agg(case when b.pid = 0 then 'a prepared transaction'
                                      else format('session %s of %s', b.pid, coalesce(h.usename, 'another role')) end, ', ')
               from unnest(pg_blocking_pids(l.pid)) as b (pid) left join pg_stat_activity h on h.pid = b.pid) end as behind
    from pg_namespace n
    cross join pg_locks l
    left join pg_class c on l.locktype = 'relation' and c.oid = l.relation and c.relkind in ('r', 'p', 'm', 'S')
        and c.relnamespace = n.oid
    -- A prepared transaction has no process; it is known by the lock on its own number.
    left join pg_locks own on l.pid is null and own.pid is null and own.virtualtransaction = l.virtualtransaction
        and own.locktype = 'transactionid' and own.granted and own.mode = 'ExclusiveLock'
    left join pg_prepared_xacts p on p.transaction = own.transactionid
    left join pg_stat_activity a on a.pid = l.pid
    where n.nspname = $1 and l.pid is distinct from pg_backend_pid()
      and (l.granted or l.locktype = 'relation' and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                                                               'AccessExclusiveLock'))
      and l.database = (select oid from pg_database where datname = current_database())
      and coalesce(a.application_name, '') not like 'sb-transfer %'
      -- What holds a row of the administrations is in the way of their flag.
      and (c.oid is not null and ($2 or l.mode not in ('AccessShareLock', 'RowShareLock')
                                  or (l.mode = 'RowShareLock' and c.relname = 'administration'))
           -- Somebody changes what the schema holds: control.refuse_if_frozen.
           or l.locktype = 'advisory' and l.classid = x'73627464'::int and l.objid = n.oid and l.objsubid = 2)
) holders
group by who, since, has_session
order by has_session, who
limit 5
