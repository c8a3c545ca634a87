create function day_of(t timestamptz) returns date language sql immutable as 'select t::date';
set timezone = 'Asia/Tokyo';
create table gz (t timestamptz, d date generated always as (day_of(t)) stored);
insert into gz values ('2026-01-01 20:00+00');
reset timezone;
