create table rt (id int);
revoke all on rt from sb_owner;
grant select, insert on rt to sb_owner;
