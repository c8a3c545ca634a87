create table io_p (id int, t text); create table io_c (own int, t text, id int); alter table io_c inherit io_p; alter table io_p add column late date; alter table io_c add column mine int;
insert into io_c (own, t, id, late) values (1, 'a', 2, '2026-01-01'); create table io_h (old io_c); insert into io_h select io_c from io_c;
