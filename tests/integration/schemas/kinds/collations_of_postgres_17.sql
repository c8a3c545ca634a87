-- PostgreSQL 17
create collation cb (provider = builtin, locale = 'C.UTF-8');
create table cb_t (id int primary key, a text collate cb);
create index cb_i on cb_t (a collate cb desc nulls last);
create view cb_v as select a collate cb as a from cb_t order by 1;
comment on collation cb is 'builtin';
insert into cb_t values (1, 'é');
