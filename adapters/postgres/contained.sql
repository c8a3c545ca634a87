-- Statements that may run an environment's own code.

-- name: missing
-- Whether a role ($1) is not there, or not as it has to be.
select not exists (
    select from pg_roles r where r.rolname = $1 and pg_has_role(r.oid, 'usage')
      and has_database_privilege(r.oid, current_database(), 'temporary'))

-- name: ask
-- Put the answers to a question ($2) into a temporary table ($4); its functions are called as a role ($1), with a schema ($3) and
-- public in the search_path.
select control.ask_contained($1, $2, quote_ident($3::text) || ', public', $4)

-- name: prepare
-- Make a table for the answers to a question, and nothing else.
select control.prepare_answers($1, $2)

-- name: let_in
-- Let a role find what a schema ($2) holds, and read all tables there; or write them too ($3). Returns what takes that back.
select control.let_in($1, $2, $3)

-- name: write
-- Change tables ($2) of an environment ($1) by statements ($3): see `control.write_each`.
select unnest(control.write_each($1, $2, $3)) as told
