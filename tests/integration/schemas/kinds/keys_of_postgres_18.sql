-- PostgreSQL 18
create table k18 (id int, d daterange, n int constraint k18_pos check (n > 0) not enforced, v int generated always as (n * 2) virtual, constraint k18_nn not null id);
create table k18_p (id int primary key); create table k18_c (id int constraint k18_fk references k18_p not enforced); insert into k18_c values (5);

alter table k18_c add constraint k18_later not null id not valid; insert into k18 (id, n) values (1, -1);
comment on constraint k18_nn on k18 is 'named';
create table k8_lease (id int4range, during daterange, primary key (id, during without overlaps)); create table k8_stay (id int4range, during daterange, n int, foreign key (id, period during) references k8_lease);
insert into k8_lease values ('[1,2)', '[2024-01-01,2024-06-01)'), ('[1,2)', '[2024-06-01,2025-01-01)'); insert into k8_stay values ('[1,2)', '[2024-02-01,2024-09-01)'), (null, '[2024-02-01,2024-09-01)'), ('[7,8)', null);
