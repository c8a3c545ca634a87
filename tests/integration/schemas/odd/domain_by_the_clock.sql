create domain fresh as timestamptz check (value > clock_timestamp() - interval '1 second');
create table df (f fresh);
insert into df values (clock_timestamp());
select pg_sleep(1.2);
