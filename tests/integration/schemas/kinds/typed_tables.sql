create type ty_person as (id int, name text, born date);
create table ty_people of ty_person (id with options primary key, name with options not null default 'x', constraint ty_ck check (born > '1900-01-01'));
create table ty_more of ty_person; create index ty_i on ty_more (name); comment on column ty_people.name is 'the name';
create type ty_addr as (street text, owner ty_person, others ty_person[]);
create table ty_addrs of ty_addr (street with options default 'Dam 1' collate "C");
insert into ty_people values (1, 'a', '2000-01-01'); insert into ty_more values (2, 'b', null);
insert into ty_addrs values ('x', row(1, 'a', '2000-01-01'), array[row(2, 'b', null)::ty_person]);
create table ty_parts of ty_person partition by range (id); create table ty_parts1 partition of ty_parts for values from (0) to (100);
insert into ty_parts values (5, 'p', null); create view ty_v as select p from ty_people p;
