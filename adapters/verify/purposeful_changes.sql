-- name: has_mapping
-- Whether an environment names tables of its own that a move changes on purpose.
select exists (select from pg_namespace n join pg_class c on c.relnamespace = n.oid
               where n.nspname = $1 and c.relname = 'sb_changed_on_purpose' and c.relkind = 'v')

-- name: mapping
-- Which of its tables and columns those are.
select table_name::text as name, column_name::text as part from {env}.sb_changed_on_purpose limit 1000
