create table person (id int primary key, born date check (born <= current_date), seen timestamptz default now() check (seen <= now()),
    left_at timestamp, check (left_at is null or left_at <= localtimestamp));
insert into person values (1, '1980-01-01', '2020-01-01', null), (2, '1990-01-01', '2021-01-01', '2022-01-01');
create table rate (code text primary key, percentage numeric not null);
insert into rate values ('high', 21), ('low', 9);
create function known(c text) returns boolean language sql stable as 'select exists (select from rate where code = c)';
create table invoice (id int primary key, rate text check (known(rate)));
insert into invoice values (1, 'high'), (2, 'low');
create function half(n numeric) returns numeric language sql immutable as 'select n / 2';
create table line (id int primary key, "Amount" numeric, "Half" numeric(10, 2) generated always as (half("Amount")) stored);
insert into line values (1, 10), (2, 0.01);
create unique index line_by_half on line (half("Amount")) where half("Amount") > 0;
create domain even as int check (half(value) = floor(half(value)));
create type pair as (a even, b even[]);
create table even_numbers (id int primary key, n even, p pair);
insert into even_numbers values (1, 2, row(4, array[6, 8])::pair);
