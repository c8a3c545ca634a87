create table kp_to (a int primary key); insert into kp_to values (4);
create table kp (a int, b int, constraint kp_f foreign key (b) references kp_to) partition by range (a);
create table kp_1 (b int, a int, constraint kp_taken_in foreign key (b) references kp_to); alter table kp attach partition kp_1 for values from (1) to (10);
create table kp_2 partition of kp for values from (10) to (20) partition by list (b); create table kp_21 partition of kp_2 for values in (4);
alter table kp_1 add constraint kp_its_own foreign key (b) references kp_to; alter table kp_21 add constraint kp_its_own foreign key (b) references kp_to;
alter table kp_2 add constraint kp_in_the_middle foreign key (b) references kp_to on delete cascade; insert into kp values (1, 4), (11, 4);
