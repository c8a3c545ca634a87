-- In the manner of Tryton and of LedgerSMB: selections as checks on varchar, sequences by name, plpgsql by unqualified names, security
-- definer functions with a search_path of their own, triggers that call functions, composite types, aggregates, rules, domains.
create sequence party_party_id_seq;
create table party_party (
    id integer default nextval('party_party_id_seq'::regclass) not null primary key,
    code varchar not null, name varchar, active boolean default true, lang integer,
    create_date timestamp(6) without time zone, write_date timestamp(6) without time zone,
    constraint party_party_code_uniq unique (code)
);
comment on column party_party.active is 'Active';
alter sequence party_party_id_seq owned by party_party.id;
create table account_move (
    id serial primary key, number varchar, state varchar not null, date date not null, post_number varchar,
    constraint account_move_state_required check (state is not null),
    constraint account_move_state_selection check (state in ('draft', 'posted'))
);
create table account_move_line (
    id serial primary key, move integer not null, party integer, debit numeric, credit numeric, state varchar not null,
    maturity_date date, amount_second_currency numeric,
    constraint account_move_line_credit_debit check (credit * debit = 0.0),
    constraint account_move_line_state_selection check (state in ('draft', 'valid')),
    constraint second_currency_sign check (coalesce(amount_second_currency, 0) * coalesce(debit - credit, 0) >= 0),
    constraint account_move_line_move_fkey foreign key (move) references account_move (id) on delete cascade,
    constraint account_move_line_party_fkey foreign key (party) references party_party (id) on delete restrict
);
create index account_move_line_move_index on account_move_line (move);
create index account_move_line_open on account_move_line (party, maturity_date) where state = 'valid' and coalesce(debit, 0) <> coalesce(credit, 0);

create domain money_amount as numeric constraint not_huge check (abs(value) < 1e12);
create type payment_line as (party integer, amount money_amount, memo text);
create type balance_row as (account varchar, debit numeric, credit numeric);
create table defaults (setting_key text primary key, value text);
create table transactions (id bigserial primary key, table_name text, locked_by integer, approved boolean default false not null, kind varchar(2) check (kind in ('gl', 'ar', 'ap')));
create table ar (id bigint primary key default nextval('transactions_id_seq'), invnumber text unique, amount_bc money_amount, approved boolean default true, lines payment_line[]);
create table audittrail (trans_id bigint, tablename text, reference text, formname text, action text, transdate timestamp default now(), person text default session_user);

create function lsmb__is_allowed(in_right text) returns boolean language sql stable security definer set search_path from current
    as $$ select exists (select 1 from defaults where setting_key = 'right_' || in_right) or in_right = 'read' $$;
create function setting__get(in_key text) returns text language sql stable as $$ select value from defaults where setting_key = in_key $$;
create function setting__increment(in_key text) returns text language plpgsql security definer as $$
declare found_value text;
begin
    update defaults set value = (value::int + 1)::text where setting_key = in_key returning value into found_value;
    return found_value;
end $$;
create function track_global_sequence() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into transactions (id, table_name, approved) values (new.id, tg_table_name, new.approved);
    elsif tg_op = 'UPDATE' then
        if new.id <> old.id then update transactions set id = new.id where id = old.id; end if;
    else
        delete from transactions where id = old.id;
    end if;
    return null;
end $$;
create trigger ar_track_global_sequence after insert or update or delete on ar for each row execute function track_global_sequence();
create function gl_audit_trail_append() returns trigger language plpgsql security definer as $$
begin
    insert into audittrail (trans_id, tablename, reference, action) values (coalesce(new.id, old.id), tg_relname, setting__get('prefix'), tg_op);
    return new;
end $$;
create trigger ar_audit_trail after insert or update on ar for each row when (new.approved) execute function gl_audit_trail_append();
create function compound_array_add(state anyarray, one anyarray) returns anyarray language sql immutable as $$ select array_cat(state, one) $$;
create aggregate compound_array(anyarray) (sfunc = compound_array_add, stype = anyarray, initcond = '{}');
create function concat_colon(a text, b text) returns text language sql immutable as $$ select case when a = '' then b else a || ':' || b end $$;
create aggregate concat_colon(text) (sfunc = concat_colon, stype = text, initcond = '');
create function trial_balance(in_from date default null, in_to date default current_date) returns setof balance_row language plpgsql stable as $$
begin
    return query select coalesce(p.code, '-')::varchar, sum(l.debit), sum(l.credit) from account_move_line l left join party_party p on p.id = l.party
        join account_move m on m.id = l.move where (in_from is null or m.date >= in_from) and m.date <= in_to group by 1 order by 1;
end $$;
create view overdue as select l.*, row_number() over (partition by l.party order by l.maturity_date) as nth
    from account_move_line l where l.state in ('valid') and l.maturity_date < date '2026-06-01';
create view account_headings as with recursive h as (select 1 as id, '1'::text as path union all select id + 1, path || '.' || (id + 1) from h where id < 4) select * from h;
create rule no_delete as on delete to defaults do instead nothing;
create table transactions_history (like transactions including defaults);
create rule keep_history as on update to transactions where old.approved do also insert into transactions_history values (old.*);

insert into defaults values ('prefix', 'F'), ('sinumber', '100'), ('right_write', '1');
insert into party_party (code, name, create_date) select 'P' || i, 'Partij ' || i, '2026-01-01' from generate_series(1, 150) i;
insert into account_move (number, state, date) select 'M' || i, case when i % 4 = 0 then 'draft' else 'posted' end, date '2025-12-31' + i from generate_series(1, 300) i;
insert into account_move_line (move, party, debit, credit, state, maturity_date)
select m.id, 1 + m.id % 150, case when s = 1 then m.id * 1.10 else 0 end, case when s = 2 then m.id * 1.10 else 0 end, 'valid', m.date + 30 from account_move m, generate_series(1, 2) s;
insert into ar (invnumber, amount_bc, lines) select 'INV' || i, i, array[row(i, i * 1.0, 'a,b "c"')::payment_line] from generate_series(1, 80) i;
update transactions set kind = 'ar';
