-- The seed's books, made by the server in sets. Every statement here runs with search_path = <environment>, pg_catalog.
-- A trading cycle is one sale with its receipt and one purchase with its payment: at most four entries and ten lines.
-- Ids are slots: cycle c owns entries 4c-3 to 4c and lines 10c-9 to 10c; what a cycle does not use stays a gap.
-- Dice are hashes of a number under a salt, so the same seed value always makes the same books.

-- name: set_search_path
-- Give the statement that makes names resolve in one environment until the end of the transaction.
select format('set local search_path to %I, pg_catalog', $1::text)

-- name: create_schema
-- Give the statement that makes an environment's schema.
select format('create schema %I', $1::text)

-- name: register_licence
-- Make a licence unless there is one with its number.
insert into control.licence (licence_number, holder_name, kind, host, contact_email, language)
values ($1, $2, $3, $4, $5, $6)
on conflict do nothing

-- name: register_environment
-- Claim an environment's id, name, url and mailbox; no row when any of them is taken. A second seed at the same
-- moment waits here for the first to commit.
insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, status,
                                 mailbox_address, schema_version)
values ($1, $2, $3, $4, $5, $6, 'active', $7, 0)
on conflict do nothing
returning environment_id

-- name: find_environment
-- The environment that already holds this id, url, or name under the licence.
select environment_id, schema_name, url
from control.environment
where environment_id = $1 or url = $2 or (licence_number = $3 and lower(name) = lower($4))
order by environment_id = $1 desc
limit 1

-- name: note_schema_version
-- Record which environment migration the schema has.
update control.environment set schema_version = $2 where environment_id = $1

-- name: route_mailbox
-- Let mail for the environment's address arrive there.
insert into control.mailbox_route (address, environment_id) values ($1, $2) on conflict do nothing

-- name: loads_without
-- What is taken off before a load and put back after it: checking a million references and keeping indexes row by row
-- costs more than doing both once at the end. Unique and primary keys stay.
select format('alter table %I drop constraint %I', t.relname, c.conname) as take_off,
       format('alter table %I add constraint %I %s', t.relname, c.conname, pg_get_constraintdef(c.oid)) as put_back
from pg_constraint c
join pg_class t on t.oid = c.conrelid
where c.contype = 'f' and t.relnamespace = current_schema()::regnamespace
union all
select format('drop index %I', i.relname), pg_get_indexdef(i.oid)
from pg_index x
join pg_class i on i.oid = x.indexrelid
where i.relnamespace = current_schema()::regnamespace and not x.indisunique

-- name: make_cycle_table
-- Where one administration's trading cycles are thrown before they are booked.
create temporary table seed_cycle (
    c bigint, sold_on date, debtor_id bigint, in_cash boolean, sale_tariff text, sale_net numeric, sale_vat numeric,
    received_on date, received numeric, bank integer, bought_on date, creditor_id bigint, cost_account integer,
    purchase_tariff text, purchase_net numeric, purchase_vat numeric, paid_on date, paid numeric
) on commit drop

-- name: clear_cycles
-- Make room for the next administration.
truncate seed_cycle

-- name: throw_cycles
-- Throw $2 cycles under salt $1, spread over the days from $6 to $7, among $3 debtors, $4 creditors and $5 banks.
-- One sale in 25 is in cash and small. What would be paid after the last day is open; so is one sale in 400, for good,
-- and of one in 300 only half came in.
with thrown as (
    select c,
           $6::date + ((c - 1) * ($7::date - $6::date + 1) / $2::bigint)::integer as day,
           hashint8extended(c, $1::bigint) & 9223372036854775807 as a,
           hashint8extended(c, $1::bigint + 1) & 9223372036854775807 as b
    from generate_series(1, $2::bigint) as c
), sided as (
    select c, a, b, day as sold_on,
           1 + (a >> 3) % $3::bigint as debtor_id,
           a % 25 = 0 and c <= $2::bigint - 4 as in_cash,
           case when (a >> 7) % 10 < 7 then 'high' when (a >> 7) % 10 < 9 then 'low' else 'zero' end as sale_tariff,
           case when a % 25 = 0 then 500 + (a >> 11) % 5000 else 4000 + (a >> 11) % 250000 end::numeric / 100 as sale_net,
           day + 5 + ((a >> 29) % 40)::integer as received_on,
           (b % $5::bigint)::integer as bank,
           least(day + ((b >> 5) % 6)::integer, $7::date) as bought_on,
           $3::bigint + 1 + (b >> 9) % $4::bigint as creditor_id,
           (array[7000, 7000, 7000, 7010, 4100, 4110, 4200, 4210, 4300, 4310, 4320, 4400, 4410, 4500])
               [1 + (b >> 15) % 14] as cost_account,
           case when (b >> 21) % 10 < 8 then 'high' when (b >> 21) % 10 < 9 then 'low' else 'zero' end as purchase_tariff,
           (2000 + (b >> 25) % 190000)::numeric / 100 as purchase_net
    from thrown
), taxed as (
    select *,
           round(sale_net * case sale_tariff when 'high' then 0.21 when 'low' then 0.09 else 0 end, 2) as sale_vat,
           round(purchase_net * case purchase_tariff when 'high' then 0.21 when 'low' then 0.09 else 0 end, 2)
               as purchase_vat,
           bought_on + 7 + ((b >> 44) % 30)::integer as paid_on
    from sided
)
insert into seed_cycle (c, sold_on, debtor_id, in_cash, sale_tariff, sale_net, sale_vat, received_on, received, bank,
                        bought_on, creditor_id, cost_account, purchase_tariff, purchase_net, purchase_vat, paid_on, paid)
select c, sold_on, debtor_id, in_cash, sale_tariff, sale_net, sale_vat, received_on,
       case when in_cash or received_on > $7::date or a % 400 = 1 or c > $2::bigint - 4 then 0
            when a % 300 = 2 then round((sale_net + sale_vat) / 2, 2)
            else sale_net + sale_vat end,
       bank, bought_on, creditor_id, cost_account, purchase_tariff, purchase_net, purchase_vat, paid_on,
       case when paid_on > $7::date or c > $2::bigint - 4 then 0 else purchase_net + purchase_vat end
from taxed

-- name: book_cycle_entries
-- Make the cycles' entries in administration $1.
insert into journal_entry (administration_id, id, journal, number, entry_date, description, created_at)
select $1::uuid, 4 * c - 4 + slot, journal, mark || to_char(booked, 'YYYY') || '-' || lpad(c::text, 7, '0'), booked, said,
       booked + time '17:00' at time zone 'UTC'
from seed_cycle
cross join lateral (values
    (1, case when in_cash then 'cash' else 'sales' end, case when in_cash then 'KA' else 'VK' end, sold_on,
        case when in_cash then 'Contante verkoop' else 'Verkoopfactuur' end, true),
    (2, 'bank', 'BO', received_on, 'Ontvangst van klant', received > 0),
    (3, 'purchase', 'IK', bought_on, 'Inkoopfactuur', true),
    (4, 'bank', 'BB', paid_on, 'Betaling aan leverancier', paid > 0)
) as entry (slot, journal, mark, booked, said, happened)
where happened

-- name: book_cycle_lines
-- Make the cycles' lines in administration $1; per entry the debits equal the credits.
insert into journal_line (administration_id, id, journal_entry_id, ledger_account_id, relation_id, debit, credit, vat_code,
                          description)
select $1::uuid, 10 * c - 10 + slot, 4 * c - 4 + entry, account, relation, debit, credit, vat, said
from seed_cycle
cross join lateral (values
    (1, 1, case when in_cash then 1000 else 1300 end, case when in_cash then null else debtor_id end,
        sale_net + sale_vat, 0, null, 'Verkoop'),
    (2, 1, case sale_tariff when 'high' then 8000 when 'low' then 8010 else 8020 end, null, 0, sale_net, null, 'Omzet'),
    (3, 1, case sale_tariff when 'high' then 1510 else 1511 end, null, 0, sale_vat, sale_tariff, 'Btw over verkoop'),
    (4, 2, 1100 + 10 * bank, null, received, 0, null, 'Ontvangst'),
    (5, 2, 1300, debtor_id, 0, received, null, 'Ontvangst'),
    (6, 3, cost_account, null, purchase_net, 0, null, 'Inkoop'),
    (7, 3, 1520, null, purchase_vat, 0, purchase_tariff, 'Voorbelasting'),
    (8, 3, 1600, creditor_id, 0, purchase_net + purchase_vat, null, 'Inkoop'),
    (9, 4, 1600, creditor_id, paid, 0, null, 'Betaling'),
    (10, 4, 1100 + 10 * bank, null, 0, paid, null, 'Betaling')
) as line (slot, entry, account, relation, debit, credit, vat, said)
where debit + credit > 0

-- name: book_opening
-- Book what was there on the first day, $4: assets, money, and the owner's equity as the balance.
with entry as (
    insert into journal_entry (administration_id, id, journal, number, entry_date, description, created_at)
    values ($1::uuid, $2::bigint, 'memorial', 'OB' || to_char($4::date, 'YYYY') || '-0000001', $4::date, 'Beginbalans',
            $4::date + time '08:00' at time zone 'UTC')
), owned as (
    select ledger_account_id as account, sum(purchase_value) as amount
    from fixed_asset where administration_id = $1::uuid group by ledger_account_id
    union all
    select ledger_account_id, 15000 + ((hashint8extended(id, $5::bigint) & 9223372036854775807) % 2500000)::numeric / 100
    from bank_account where administration_id = $1::uuid
    union all
    select 1000, 250
), balanced as (
    select account, amount as debit, 0 as credit from owned
    union all
    select 500, 0, sum(amount) from owned
)
insert into journal_line (administration_id, id, journal_entry_id, ledger_account_id, debit, credit, description)
select $1::uuid, $3::bigint - 1 + row_number() over (order by account), $2::bigint, account, debit, credit, 'Beginbalans'
from balanced

-- name: book_depreciation
-- Book each quarter's straight-line depreciation, an entry per quarter with one debit and a credit per account.
with quarter as (
    select q, ($4::date + (q * interval '3 months') - interval '1 day')::date as day
    from generate_series(1, $5::integer) as q
), written_off as (
    select q, day, depreciation_account_id as account,
           sum(least(purchase_value - residual_value, round((purchase_value - residual_value) * 3 * q / life_months, 2))
             - least(purchase_value - residual_value, round((purchase_value - residual_value) * 3 * (q - 1) / life_months, 2)))
               as amount
    from quarter cross join fixed_asset
    where administration_id = $1::uuid
    group by q, day, depreciation_account_id
), entry as (
    insert into journal_entry (administration_id, id, journal, number, entry_date, description, created_at)
    select $1::uuid, $2::bigint - 1 + q, 'memorial', 'AF' || to_char(day, 'YYYY') || '-' || lpad(q::text, 7, '0'), day,
           'Afschrijving', day + time '18:00' at time zone 'UTC'
    from written_off group by q, day having sum(amount) > 0
), balanced as (
    select q, account, 0 as debit, amount as credit from written_off where amount > 0
    union all
    select q, 4900, sum(amount), 0 from written_off group by q having sum(amount) > 0
)
insert into journal_line (administration_id, id, journal_entry_id, ledger_account_id, debit, credit, description)
select $1::uuid, $3::bigint - 1 + row_number() over (order by q, account), $2::bigint - 1 + q, account, debit, credit,
       'Afschrijving'
from balanced

-- name: note_depreciation
-- Bring each asset's own figure to the end of quarter $2, by the same rule as the bookings.
update fixed_asset
set depreciated = least(purchase_value - residual_value,
                        round((purchase_value - residual_value) * 3 * $2::integer / life_months, 2))
where administration_id = $1::uuid

-- name: make_vat_returns
-- Add up the VAT returns of $3 quarters from $2 on; all are filed but the last.
with quarter as (
    select q, ($2::date + ((q - 1) * interval '3 months'))::date as first_day,
           ($2::date + (q * interval '3 months'))::date as next_day
    from generate_series(1, $3::integer) as q
), moved as (
    select sold_on as day, sale_tariff as tariff, sale_net as net, sale_vat as due, 0 as input from seed_cycle
    union all
    select bought_on, null, 0, 0, purchase_vat from seed_cycle
), added as (
    select q, first_day, next_day,
           coalesce(sum(net) filter (where tariff = 'high'), 0) as net_high,
           coalesce(sum(due) filter (where tariff = 'high'), 0) as due_high,
           coalesce(sum(net) filter (where tariff = 'low'), 0) as net_low,
           coalesce(sum(due) filter (where tariff = 'low'), 0) as due_low,
           coalesce(sum(net) filter (where tariff = 'zero'), 0) as net_zero,
           coalesce(sum(input), 0) as input
    from quarter left join moved on day >= first_day and day < next_day
    group by q, first_day, next_day
)
insert into vat_return (administration_id, id, year, quarter, turnover_high, vat_high, turnover_low, vat_low, turnover_zero,
                        input_vat, amount, status, filed_at)
select $1::uuid, q, extract(year from first_day)::integer, extract(quarter from first_day)::integer,
       net_high, due_high, net_low, due_low, net_zero, input, due_high + due_low - input,
       case when q = $3::integer then 'concept' when q >= $3::integer - 2 then 'filed' else 'confirmed' end,
       case when q < $3::integer then next_day + 24 + time '10:00' at time zone 'UTC' end
from added

-- name: settle_vat
-- Book every filed return: the VAT accounts are emptied into one account, and that is paid to the tax authority.
with filed as (
    select id as q, vat_high, vat_low, input_vat, amount, (filed_at at time zone 'UTC')::date as paid_on,
           (make_date(year, 3 * quarter, 1) + interval '1 month' - interval '1 day')::date as closed_on
    from vat_return
    where administration_id = $1::uuid and status <> 'concept'
), balanced as (
    select q, slot, 2 * q - 2 + part as entry, account, debit, credit
    from filed cross join lateral (values
        (1, 0, 1510, vat_high, 0), (2, 0, 1511, vat_low, 0), (3, 0, 1520, 0, input_vat),
        (4, 0, 1530, greatest(-amount, 0), greatest(amount, 0)),
        (5, 1, 1530, greatest(amount, 0), greatest(-amount, 0)), (6, 1, 1100, greatest(-amount, 0), greatest(amount, 0))
    ) as line (slot, part, account, debit, credit)
    where debit + credit > 0
), entry as (
    insert into journal_entry (administration_id, id, journal, number, entry_date, description, created_at)
    select $1::uuid, $2::bigint + 2 * q - 2 + part, journal, mark || to_char(day, 'YYYY') || '-' || lpad(q::text, 7, '0'),
           day, said, day + time '12:00' at time zone 'UTC'
    from filed cross join lateral (values
        (0, 'memorial', 'BT', closed_on, 'Btw-aangifte'), (1, 'bank', 'BX', paid_on, 'Btw-aangifte betaald')
    ) as entry (part, journal, mark, day, said)
    where exists (select from balanced where balanced.q = filed.q and balanced.entry = 2 * filed.q - 2 + part)
)
insert into journal_line (administration_id, id, journal_entry_id, ledger_account_id, debit, credit, description)
select $1::uuid, $3::bigint + 6 * (q - 1) + slot - 1, $2::bigint + entry, account, debit, credit, 'Btw-aangifte'
from balanced

-- name: book_other_bank_lines
-- Book $4 more payments through the bank: wages, bank costs, insurance. The last $8 are not processed yet: their other
-- side is the suspense account, where a bank line waits for a person.
with thrown as (
    select f, f > $4::bigint - $8::bigint as unprocessed,
           hashint8extended(f, $5::bigint + 2) & 9223372036854775807 as h
    from generate_series(1, $4::bigint) as f
), paid as (
    select f, unprocessed,
           case when unprocessed then $7::date - (h % 10)::integer
                else $6::date + ((f - 1) * ($7::date - $6::date + 1) / $4::bigint)::integer end as day,
           case when unprocessed then 2200 when h % 10 < 2 then 4000 when h % 10 < 7 then 4600 else 4510 end as account,
           case when unprocessed or h % 10 >= 7 then 2500 + (h >> 9) % 60000 when h % 10 < 2 then 150000 + (h >> 9) % 150000
                else 95 + (h >> 9) % 2500 end::numeric / 100 as amount,
           1100 + 10 * ((h >> 5) % $9::bigint)::integer as bank,
           unprocessed and (h >> 17) % 2 = 0 as came_in
    from thrown
), entry as (
    insert into journal_entry (administration_id, id, journal, number, entry_date, description, created_at)
    select $1::uuid, $2::bigint - 1 + f, 'bank', 'BM' || to_char(day, 'YYYY') || '-' || lpad(f::text, 7, '0'), day,
           case account when 2200 then 'Nog te verwerken' when 4000 then 'Lonen' when 4600 then 'Bankkosten'
                else 'Verzekering' end,
           day + time '06:00' at time zone 'UTC'
    from paid
)
insert into journal_line (administration_id, id, journal_entry_id, ledger_account_id, debit, credit, description)
select $1::uuid, $3::bigint + 2 * f - 2 + side, $2::bigint - 1 + f,
       case when side = 0 then account else bank end,
       case when (side = 0) <> came_in then amount else 0 end,
       case when (side = 0) <> came_in then 0 else amount end,
       'Bankmutatie'
from paid cross join generate_series(0, 1) as side

-- name: book_correction
-- Book one memorial entry of three lines, for an administration whose number of lines is odd.
with entry as (
    insert into journal_entry (administration_id, id, journal, number, entry_date, description, created_at)
    values ($1::uuid, $2::bigint, 'memorial', 'ME' || to_char($4::date, 'YYYY') || '-0000001', $4::date, 'Correctie huur',
            $4::date + time '12:00' at time zone 'UTC')
)
insert into journal_line (administration_id, id, journal_entry_id, ledger_account_id, debit, credit, description)
values ($1::uuid, $3::bigint, $2::bigint, 4300, 120.00, 0, 'Correctie huur'),
       ($1::uuid, $3::bigint + 1, $2::bigint, 4110, 80.50, 0, 'Correctie huur'),
       ($1::uuid, $3::bigint + 2, $2::bigint, 4100, 0, 200.50, 'Correctie huur')

-- name: make_sales_invoices
-- Make the invoice behind every sale that was not in cash.
insert into sales_invoice (administration_id, id, number, relation_id, status, invoice_date, due_date, amount, vat_amount, total,
                           description)
select $1::uuid, c, 'VF-' || to_char(sold_on, 'YYYY') || '-' || lpad(c::text, 7, '0'), debtor_id,
       case when received = sale_net + sale_vat then 'paid' else 'sent' end,
       sold_on, sold_on + 30, sale_net, sale_vat, sale_net + sale_vat, 'Levering'
from seed_cycle
where not in_cash

-- name: make_open_items
-- List what is still to be paid, on both sides.
insert into open_item (administration_id, id, kind, relation_id, journal_entry_id, number, invoice_date, due_date,
                       original_amount, amount)
select $1::uuid, row_number() over (order by day, entry), kind, relation, entry, number, day, day + 30, total, total - paid_off
from seed_cycle
cross join lateral (values
    ('debtor', debtor_id, 4 * c - 3, 'VF-' || to_char(sold_on, 'YYYY') || '-' || lpad(c::text, 7, '0'), sold_on,
        sale_net + sale_vat, received, not in_cash),
    ('creditor', creditor_id, 4 * c - 1, 'IK' || to_char(bought_on, 'YYYY') || '-' || lpad(c::text, 7, '0'), bought_on,
        purchase_net + purchase_vat, paid, true)
) as item (kind, relation, entry, number, day, total, paid_off, on_account)
where on_account and total > paid_off

-- name: make_bank_transactions
-- Read the bank's own list back from the ledger: one for every entry in a bank's journal, which has two lines.
insert into bank_transaction (administration_id, id, bank_account_id, journal_entry_id, booked_on, amount, counterparty_name,
                              counterparty_iban, description, bank_reference, status)
select e.administration_id, e.id, a.id, e.id, e.entry_date, b.debit - b.credit,
       coalesce(r.name, case o.ledger_account_id when 1530 then 'Belastingdienst' when 4000 then 'Salarissen'
                             when 4600 then 'Kosten betaalpakket' when 4510 then 'Verzekeraar Zuid' else 'Onbekend' end),
       r.iban, e.description, to_char(e.entry_date, 'YYYYMMDD') || lpad(e.id::text, 10, '0'),
       case o.ledger_account_id when 2200 then 'open' else 'processed' end
from journal_entry e
join journal_line b on b.administration_id = e.administration_id and b.journal_entry_id = e.id
join bank_account a on a.administration_id = b.administration_id and a.ledger_account_id = b.ledger_account_id
join journal_line o on o.administration_id = e.administration_id and o.journal_entry_id = e.id and o.id <> b.id
left join relation r on r.administration_id = o.administration_id and r.id = o.relation_id
where e.journal = 'bank'

-- name: note_bank_balances
-- Bring each bank account's balance to that of its ledger account.
update bank_account a
set balance = (select coalesce(sum(debit - credit), 0) from journal_line l
               where l.administration_id = a.administration_id and l.ledger_account_id = a.ledger_account_id)

-- name: note_cash_balances
-- Bring each cash account's balance to that of its ledger account.
update cash_account a
set balance = (select coalesce(sum(debit - credit), 0) from journal_line l
               where l.administration_id = a.administration_id and l.ledger_account_id = a.ledger_account_id)

-- name: move_sequences
-- Put every identity's sequence behind the ids that the seed gave out itself.
do $$
declare
    found record;
begin
    for found in
        select t.oid::regclass as in_table, a.attname as in_column,
               pg_get_serial_sequence(format('%I', t.relname), a.attname) as sequence
        from pg_class t join pg_attribute a on a.attrelid = t.oid
        where t.relnamespace = current_schema()::regnamespace and t.relkind = 'r' and a.attidentity <> ''
    loop
        execute format('select setval(%L, coalesce(max(%I), 0) + 1, false) from %s',
                       found.sequence, found.in_column, found.in_table);
    end loop;
end
$$

-- name: analyze_tables
-- Give the statements that let the planner, and a preview's estimates, know how many rows there are.
select format('analyze %I', relname) from pg_class
where relnamespace = current_schema()::regnamespace and relkind = 'r'

-- name: count_rows
-- Give one statement per table that counts it.
select relname as table_name, format('select count(*) from %I', relname) as statement from pg_class
where relnamespace = current_schema()::regnamespace and relkind = 'r'
order by relname
