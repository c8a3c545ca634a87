create table cp_1 (a int, b int); create table cp_2 (b int, c int); create table cp_3 (z int, c int, a int) inherits (cp_1, cp_2);
alter table cp_2 add d int; alter table cp_1 add d int; alter table cp_1 add e int; insert into cp_3 values (1, 2, 3, 4); create table cp_4 () inherits (cp_3);
alter table cp_3 add f int; alter table cp_4 add g int; alter table cp_1 add h int; insert into cp_4 select 1, 2, 3, 4, 5, 6, 7, 8, 9;
create table cp_5 (x int); create table cp_6 (y int); create table cp_7 () inherits (cp_5, cp_6); alter table cp_6 add d int; alter table cp_6 add e int; alter table cp_5 add e int;
create table cp_8 (k int, e int, d int, x int); alter table cp_8 inherit cp_5;
