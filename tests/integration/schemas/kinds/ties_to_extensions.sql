create table te (id int); create function te_f() returns trigger language plpgsql as 'begin return new; end'; create procedure te_p() language sql as 'select 1';
create trigger te_t before insert on te for each row execute function te_f(); create index te_i on te (id); create materialized view te_m as select * from te;
alter function te_f() depends on extension plpgsql; alter procedure te_p() depends on extension plpgsql; alter trigger te_t on te depends on extension plpgsql;
alter index te_i depends on extension plpgsql; alter materialized view te_m depends on extension plpgsql;
