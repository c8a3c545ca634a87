create table re (id int);
revoke all on re from sb_owner;
