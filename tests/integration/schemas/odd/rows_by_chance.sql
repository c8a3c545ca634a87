create table rb (id int);
insert into rb values (1);
create materialized view rm as select id, random() as r from rb;
