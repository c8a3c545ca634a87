create table numbers (id int primary key);
create function any_alike(anyelement, anyelement) returns boolean language sql immutable as 'select true';
create operator ### (leftarg = anyelement, rightarg = anyelement, function = any_alike);
-- Bound to the operator for everything; the same text, read after the next operator is there, is bound to that one.
create view alike as select 1 ### 2 as x from numbers;
create function int_alike(int, int) returns boolean language sql immutable as 'select false';
create operator ### (leftarg = int, rightarg = int, function = int_alike);
