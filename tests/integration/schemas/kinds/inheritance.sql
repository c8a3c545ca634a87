create table ih_a (id int not null, a text default 'a', check (id > 0)); create table ih_b (id int, b text, n numeric default 1.10);
create table ih_c (c int check (c > 1) no inherit, id int) inherits (ih_a, ih_b);
alter table ih_c alter column a set default 'other'; alter table ih_c alter column b set not null; alter table ih_a add constraint ih_late check (a <> 'bad');
create table ih_d () inherits (ih_c); create index ih_i on ih_d (id); alter table ih_a alter column a set statistics 50;
insert into ih_a values (1); insert into ih_c (id, b, c) values (2, 'x', 3); insert into ih_d (id, b) values (4, 'y');
