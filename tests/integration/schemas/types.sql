-- Values of every kind that a number of a type could be in.
create type mood as enum ('sad', 'glad');
create type place as (street text, number integer, feeling mood);
create domain euro as numeric(14, 2) check (value > -1000000);
create type moods as range (subtype = mood);
create table things (id integer generated always as identity primary key, feeling mood, feelings mood[], home place,
    homes place[], price euro, prices euro[], span moods, valid daterange, spans int4multirange, doc jsonb, raw json,
    words tsvector, blob bytea, at timestamptz, takes interval, ratio double precision, exact numeric, net inet,
    tags text[], twice numeric generated always as (exact * 2) stored);
insert into things (feeling, feelings, home, homes, price, prices, span, valid, spans, doc, raw, words, blob, at, takes,
    ratio, exact, net, tags)
select (array['sad', 'glad'])[1 + i % 2]::mood, array['sad', null, 'glad']::mood[], row('A "1", (x)', i, 'glad')::place,
    array[row(null, i, 'sad')::place, null], i, array[i, null]::euro[], moods('sad', 'glad', '[]'),
    daterange('2024-01-01', null), '{[1,3),[7,9)}', jsonb_build_object('a', i), '{"a":  1}', to_tsvector('simple', 'a b'),
    sha256(i::text::bytea), now(), interval '1 mon 2 days 03:04:05.6', 'NaN', case i % 3 when 0 then 'Infinity'
    when 1 then 1.00 else 1.0 end, '10.0.0.0/8', array['a,b', null, e'\\n\t'] from generate_series(1, 500) i;
create table plain (a integer, b text, c numeric);
insert into plain select i, e'tab\there \\ ' || i, i / 7.0 from generate_series(1, 500) i;
create table nothing (); insert into nothing default values; insert into nothing default values;
create sequence counter start 7 increment 3; select nextval('counter'), nextval('counter');
grant select on plain to sb_app; comment on table plain is 'no key';
create view glad as select t.id, t.price from things t where t.feeling = 'glad';
