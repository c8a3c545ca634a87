create table a (id int, y int, primary key (id, y)) partition by list (y);
create table a1 partition of a for values in (1);
create table b (id int, y int, foreign key (id, y) references a) partition by list (y);
create table b1 partition of b for values in (1);
insert into a values (1, 1);
insert into b values (1, 1);
