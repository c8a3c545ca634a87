-- name: forget
-- Answers that nobody will ask for again.
delete from control.api_request where (subject, key) in (
    select subject, key from control.api_request where began_at < clock_timestamp() - $1::interval
    order by began_at limit 100 for update skip locked)

-- name: begin
-- Take a key, unless somebody has it. One whose work has gone quiet (a killed server) is taken over.
insert into control.api_request as known (subject, key, request_digest, attempt) values ($1, $2, $3, $4)
on conflict (subject, key) do update
set attempt = excluded.attempt, began_at = clock_timestamp()
where known.status is null and known.request_digest = excluded.request_digest
  and known.began_at < clock_timestamp() - $5::interval

-- name: answer_of
-- What became of the request with this key.
select request_digest, status, headers, body from control.api_request where subject = $1 and key = $2

-- name: finish
-- Keep the answer.
update control.api_request set status = $4, headers = $5::jsonb, body = $6
where subject = $1 and key = $2 and attempt = $3

-- name: abandon
-- Nothing was done, so the same key may try again.
delete from control.api_request where subject = $1 and key = $2 and attempt = $3 and status is null
