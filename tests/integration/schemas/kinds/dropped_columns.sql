create table dc (a int, b text, c int, d text); insert into dc values (1, 'b', 3, 'd'); alter table dc drop column b; alter table dc add column e int default 9; insert into dc values (2, 4, 'dd', 8);
create table dc_h (r dc); insert into dc_h select dc from dc; create view dc_v as select * from dc; create index dc_i on dc (d, (c + 1));
create table dc_p (k int, x int, v text) partition by list (k); create table dc_p1 (v text, gone int, k int, x int); alter table dc_p1 drop column gone; alter table dc_p attach partition dc_p1 for values in (1, null);
insert into dc_p values (1, 2, 'x'), (null, 3, 'y'); alter table dc_p drop column x;
