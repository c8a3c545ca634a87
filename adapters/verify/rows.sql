-- What is read of rows, for the proof and for naming what differs. Braces are filled with expressions made of names that
-- the server quoted.

-- name: hash_rows
-- Rows as a count and two sums of hashes, in whatever order they lie. OFFSET 0 keeps the server from making the bytes
-- once for each hash.
select {place} as place, count(*) as rows, coalesce(sum({first}), 0) as first, coalesce(sum({second}), 0) as second
from (select {read} from only {table} t {bounds} offset 0) x

-- name: hash_of_bytes
-- Since PostgreSQL 18.
hashbyteaextended({bytes}, {seed})

-- name: hash_of_row
-- The same number on every server: a row's hash is its only value's.
hash_record_extended(row({bytes}), {seed})

-- name: hashed_keys
-- A table's rows by key, each with two hashes of all that is compared.
(select x.key, hash_record_extended(row(x.sent), 1) as first, hash_record_extended(row(x.sent), 2) as second
 from (select record_send(row({key})) as key, record_send(row({row})) as sent from only {table} t offset 0) x)

-- name: differing_keys
-- Keys whose rows differ, or are on one side only.
select coalesce(o.key, n.key) as key
from {old} o full join {new} n on n.key = o.key
where o.key is null or n.key is null or o.first <> n.first or o.second <> n.second
order by 1 limit {most}

-- name: compared
-- The hashes of one side, to be put beside another database's.
select * from {hashed} x

-- name: make_compared_keys
-- Where the hashes of another database's rows are put.
create temporary table sb_compared_keys (key bytea, first bigint, second bigint) on commit drop

-- name: make_compared_rows
-- The same for rows without a key.
create temporary table sb_compared_rows (first bigint, second bigint) on commit drop

-- name: keyed_rows
-- The rows of a few keys: what a person recognises them by, and each column's hash.
select x.key, x.shown, x.columns
from (select record_send(row({key})) as key, array[{shown}]::text[] as shown, array[{columns}]::bigint[] as columns
      from only {table} t) x
where x.key = any (array[{keys}]::bytea[])

-- name: column_hash
-- One column of keyed_rows.
hash_record_extended(row(record_send(row({value}))), 1)

-- name: elements
-- The elements of an array or multirange. In FROM, unnest would spread a composite element over columns.
(select array_agg(record_send(row({element}))) from (select unnest({value}) as x offset 0) {alias})

-- name: hashed_rows
-- A table's rows, each as two hashes.
(select hash_record_extended(row(s.sent), 1) as first, hash_record_extended(row(s.sent), 2) as second
 from (select record_send(row({row})) as sent from only {table} t) s)

-- name: differing_rows
-- Whole rows of which one side has more than the other, by their hashes; surplus is positive on the old side.
select x.first, x.second, sum(x.side)::bigint as surplus
from (select o.first, o.second, 1 as side from {old} o union all select n.first, n.second, -1 from {new} n) x
group by 1, 2 having sum(x.side) <> 0
order by 1, 2 limit {most}

-- name: shown_rows
-- The beginning of the text of a few rows, by their hashes.
select distinct on (x.first, x.second) x.first, x.second, left(x.shown, 160) as shown
from (select hash_record_extended(row(s.sent), 1) as first, hash_record_extended(row(s.sent), 2) as second, s.shown
      from (select record_send(row({row})) as sent, row({plain})::text as shown from only {table} t) s) x
where x.first = any (array[{firsts}]::bigint[])
order by x.first, x.second
