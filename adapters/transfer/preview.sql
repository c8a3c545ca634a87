-- name: licence_of
-- Who holds the licence that an environment hangs under.
select l.holder_name, l.kind, l.contact_email from control.licence l
join control.environment e using (licence_number) where e.environment_id = $1

-- name: as_list
-- All rows of a statement as one value, in their order.
select '{name}' as list, coalesce(jsonb_agg(to_jsonb(one)), '[]') as rows from ({statement}
) one

-- name: administrations
-- The sets of books, by name.
select name, count(*) over () as of_all from {env}.administration order by name, id limit $1

-- name: open_quotes
-- Quotes that a move loses, with the customer's name.
select a.name as administration, q.number, r.name as customer, q.total, count(*) over () as of_all
from {env}.quote q join {env}.administration a on a.id = q.administration_id
join {env}.relation r on r.administration_id = q.administration_id and r.id = q.relation_id
where q.status = 'open' order by a.name, q.number limit $1

-- name: app_connections
-- Programs of others that are connected now.
select name, count(*) over () as of_all from {env}.app_connection where status = 'active' order by name limit $1

-- name: bank_connections
-- The connections that come along ($3), or those that do not: those of bank $2 do that are active by a consent.
select a.name as administration, b.bank, b.iban, count(*) over () as of_all
from {env}.bank_connection b join {env}.administration a on a.id = b.administration_id
where (b.bank = $2 and b.status = 'active' and coalesce(btrim(b.consent_reference), '') <> '') = $3 order by a.name, b.bank, b.iban limit $1

-- name: linked_users
-- Users whose telephone is linked now.
select email, count(*) over () as of_all from {env}.app_user where mobile_link_status = 'linked' order by lower(email) limit $1

-- name: odd_addresses
-- The first users' addresses that are not plain ASCII ones: some of them no mail reaches.
select email from {env}.app_user
where email !~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]+[.])+[A-Za-z]{2,63}$'
order by lower(email) limit 100

-- name: seconds
-- How long a move of so many bytes ($1) takes, after what the last hundred took: the clone and its verification, each with
-- what it costs anyhow and what a byte costs. Null where nothing was moved yet.
select case when count(*) > 0 then greatest(0, coalesce(
        case when regr_slope(seconds, bytes) > 0 then regr_intercept(seconds, bytes) + regr_slope(seconds, bytes) * $1::bigint end,
        max(seconds) * greatest(1, $1::bigint / greatest(max(bytes), 1)))) end
from (
    select (clone_result ->> 'bytes')::double precision as bytes,
           (clone_result ->> 'seconds')::double precision + coalesce((verification ->> 'seconds')::double precision, 0) as seconds
    from control.transfer where clone_result is not null order by created_at desc limit 100) moved

-- name: size_of_schema
-- Tables, rows as the server estimates them, and bytes with their indexes. A parent's rows are in its partitions.
select count(*)::integer as tables,
       coalesce(sum(case when c.reltuples >= 0 then c.reltuples else pg_stat_get_live_tuples(c.oid) end)
                filter (where c.relkind = 'r'), 0)::bigint as rows_estimate,
       coalesce(sum(pg_total_relation_size(c.oid)) filter (where c.relkind = 'r'), 0)::bigint as bytes_total
from (select array(select d.objid from pg_depend d
                   where d.refclassid = 'pg_namespace'::regclass and d.classid = 'pg_class'::regclass
                     and d.refobjid = (select oid from pg_namespace where nspname = $1)) as ids) own
join pg_class c on c.oid = any (own.ids)
where c.relkind in ('r', 'p')
