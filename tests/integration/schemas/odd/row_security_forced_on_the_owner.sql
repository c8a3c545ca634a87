create table rf (id int);
alter table rf enable row level security;
alter table rf force row level security;
create policy p on rf using (id > 0);
