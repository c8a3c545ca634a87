-- name: known
-- The payload keys that programs encrypt histories with (or have), and those that are only announced.
select key_id, encrypts_since is not null as encrypts from control.payload_key order by known_since, key_id

-- name: register
-- A ring ($1, newest first) as the one that all programs have: its newest key encrypts, the others are known.
insert into control.payload_key as known (key_id, encrypts_since)
select r.key_id, case when r.place = 1 then clock_timestamp() end
from unnest($1::text[]) with ordinality as r (key_id, place)
on conflict (key_id) do update set encrypts_since = coalesce(known.encrypts_since, excluded.encrypts_since)

-- name: forget
-- A key that nothing needs any more.
delete from control.payload_key where key_id = $1
