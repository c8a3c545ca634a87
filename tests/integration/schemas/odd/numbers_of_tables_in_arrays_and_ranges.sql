create domain rd as regclass;
create type rc as (a rd[], b int);
create domain rdd as rc;
create table rn (x rdd[]);
insert into rn values (null);
