-- PostgreSQL 18
create table k18 (id int, d daterange, n int constraint k18_pos check (n > 0) not enforced, v int generated always as (n * 2) virtual, constraint k18_nn not null id);
create table k18_p (id int primary key); create table k18_c (id int constraint k18_fk references k18_p not enforced); insert into k18_c values (5);

alter table k18_c add constraint k18_later not null id not valid; insert into k18 (id, n) values (1, -1);
comment on constraint k18_nn on k18 is 'named';
