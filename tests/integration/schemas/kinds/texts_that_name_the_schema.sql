create table tn (id int primary key, n text); create sequence tn_s;
do $$ begin
 execute format('create function tn_f() returns bigint language sql as %L', format('select count(*) from %I.tn', current_schema()));
 execute format('create function tn_g() returns text language plpgsql security definer set search_path to %I, pg_temp as %L', current_schema(), 'declare r text; begin execute ''select n from ' || current_schema() || '.tn limit 1'' into r; return r; end');
 execute format('create view tn_v as select %L::text as here, nextval(%L) as n', current_schema(), current_schema() || '.tn_s');
 execute format('alter table tn add column s text default %L', current_schema());
 execute format('alter table tn add constraint tn_c check (n <> %L)', current_schema() || '.x');
 execute format('comment on table tn is %L', 'lives in ' || current_schema());
 execute format('insert into tn values (1, %L)', 'in ' || current_schema());
end $$;
