-- An ERP: five hundred tables with keys, references in a chain and back, indexes, sequences and comments.
do $$ begin
    for i in 1 .. 500 loop
        execute format('create table module_%s (id bigserial primary key, code varchar(20) not null unique, parent_id bigint, '
                       'amount numeric(18, 4) not null default %s check (amount > -1e9), at timestamptz default %L, notes text)',
                       i, i, '2024-01-01');
        execute format('insert into module_%s (code, parent_id, amount) select %L || j, 1 + j %% 5, j / 3.0 from generate_series(1, %s) j',
                       i, 'K', 5 + i % 40);
        execute format('create index on module_%s (parent_id, at desc) where amount > 0', i);
        execute format('comment on table module_%s is %L', i, 'module ' || i);
    end loop;
    for i in 1 .. 500 loop
        execute format('alter table module_%s add foreign key (parent_id) references module_%s', i, 1 + i % 500);
    end loop;
    for i in 1 .. 50 loop
        execute format('create view report_%s as select a.code, b.amount from module_%s a join module_%s b on b.id = a.parent_id',
                       i, i, i + 50);
    end loop;
end $$;
