-- PostgreSQL 15
create table ky (a int, b int, c text, primary key (b, a), unique nulls not distinct (c), unique (a, c) deferrable initially deferred);
create table ky_r (a int, b int, c text, foreign key (b, a) references ky match full on delete set null (a) on update cascade deferrable initially deferred, foreign key (c) references ky (c) not valid);
create table ky_x (id int primary key, up int references ky_x on delete cascade); create table ky_1 (id int primary key, o int); create table ky_2 (id int primary key, o int references ky_1); alter table ky_1 add foreign key (o) references ky_2 deferrable;
create table ky_nv (id int, n int); insert into ky_nv values (1, -1); alter table ky_nv add constraint ky_pos check (n > 0) not valid; alter table ky_nv add constraint ky_nn check (id is not null) no inherit;
create unique index ky_u on ky_nv (id); create table ky_i (id int references ky_nv (id)); alter table ky replica identity using index ky_pkey; alter table ky_nv replica identity full; cluster ky using ky_pkey;
insert into ky values (1, 2, 'x'); insert into ky_r values (1, 2, 'x'); insert into ky_x values (1, 1), (2, 1); insert into ky_i values (1);
