-- Whose a copy is while it is made.

-- name: lend
-- Let tables and materialised views ($2) of a copy ($1) be the role's that can do nothing.
select control.lend($1, $2::text[])

-- name: give_back
-- And this service's again.
select control.give_back($1, $2::text[])
