create function recent(t timestamptz) returns boolean language sql immutable as 'select t > now()';
create table ic (t timestamptz);
create index on ic (t) where recent(t);
insert into ic values (now() + interval '1 second');
