-- name: record
-- Write down who is about to see what, before it is answered.
insert into control.history_reading (subject, name, roles, action, payloads, namespace)
values ($1, $2, $3, $4, $5, $6)
