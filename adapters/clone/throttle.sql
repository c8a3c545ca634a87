-- What a clone looks at between two units, so that it does not get in others' way.

-- name: neighbours
-- Other roles' sessions that are at work, and of those that receive the log the one that is furthest behind: by what it
-- has applied, or, if it only keeps the log, by what it has written. A base backup receives no log here, and is left out.
-- Without the right to see them, other roles' sessions look idle: may_see says whether the figures mean anything.
select current_user::text as role, pg_has_role('pg_read_all_stats', 'usage') as may_see,
       (select count(*) from pg_stat_activity
        where backend_type = 'client backend' and state = 'active' and usename <> current_user
          and coalesce(wait_event_type, '') not in ('Lock', 'Client', 'Timeout')) as active,
       r.receiver, r.lag
from (select 1) as always
left join (select coalesce(nullif(application_name, ''), 'a standby') as receiver,
                  pg_wal_lsn_diff(pg_current_wal_insert_lsn(),
                                  coalesce(replay_lsn, flush_lsn, write_lsn, sent_lsn))::bigint as lag
           from pg_stat_replication where state in ('catchup', 'streaming')
           order by lag desc nulls last limit 1) as r on true
