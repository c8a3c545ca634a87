create table av (id int primary key, a varchar, b varchar, c varchar(4), t text, check (a = any (array[b, c])), check (a in (b, c, 'x')), check (t = any (array[a, b])), check (a = any ('{p,q}'::varchar[])));
insert into av values (1, 'p', 'p', 'p', 'p');
