create table nv_p (id int primary key); create table nv_c (id int, p int, s text); insert into nv_c values (1, 99, ''); alter table nv_c add constraint nv_fk foreign key (p) references nv_p not valid; alter table nv_c add constraint nv_ck check (s <> '') not valid;
create table nv_part (id int, p int) partition by range (id); create table nv_part1 partition of nv_part for values from (0) to (10); insert into nv_part values (1, 5); alter table nv_part add constraint nv_pck check (p > 100) not valid; 
create domain nv_d as text; create table nv_dt (a nv_d, b nv_d[]); insert into nv_dt values ('x', array['y', null]); alter domain nv_d add constraint nv_dc check (value = 'never') not valid;
create domain nv_d2 as nv_d; create table nv_dt2 (a nv_d2); 
create type nv_comp as (d nv_d); create table nv_ct (c nv_comp, cs nv_comp[]); 
create table nv_inh (n int); create table nv_inh_c () inherits (nv_inh); insert into nv_inh_c values (1); insert into nv_inh values (2); alter table nv_inh add constraint nv_ic check (n > 10) not valid;
create table nv_self (id int primary key, up int); insert into nv_self values (1, 77); alter table nv_self add foreign key (up) references nv_self not valid;
