create type ca as (n int);
create function ca_text(c ca) returns text language sql immutable as 'select (c).n::text';
create cast (ca as text) with function ca_text(ca) as assignment;
