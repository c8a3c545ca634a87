-- The comparison's figures. Each check's statement runs once per side, `{env}` being that side's schema,
-- for the administrations $1. It gives one row per thing compared: whose it is (administration_id), which it is
-- (id, which orders; item, for a person), the values that are shown (facts, by the names of domain/comparison.py), and
-- everything that must be equal about it (figures, as text).

-- name: same_words
-- What values look like as text, so that two databases say the same of the same; and the day $1 that ages are counted to.
select set_config(s.name, s.value, true)
from (values ('timezone', 'UTC'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'iso_8601'), ('extra_float_digits', '3'),
             ('bytea_output', 'hex'), ('xmloption', 'content'), ('sb_transfer.as_of', $1::text)) as s (name, value)

-- name: administrations
-- The administrations of one side, and what tells two of one name apart.
select id, name, coalesce(chamber_of_commerce_number, '') as number from {env}.administration order by name, id

-- name: bank_balance
-- Per bank account: the balance it states and the balance of its ledger account.
select b.administration_id, lpad(b.id::text, 20, '0') as id, b.iban as item,
       jsonb_build_object('name', b.name, 'ledger_account', a.code, 'balance', b.balance,
                          'ledger_balance', coalesce(l.balance, 0.00)) as facts,
       row(b.iban, b.balance, coalesce(l.balance, 0.00))::text as figures
from {env}.bank_account b
left join {env}.ledger_account a on a.administration_id = b.administration_id and a.id = b.ledger_account_id
left join (select administration_id, ledger_account_id, sum(debit - credit) as balance from {env}.journal_line
           where administration_id = any ($1::uuid[])
             and (administration_id, ledger_account_id) in (select administration_id, ledger_account_id from {env}.bank_account)
           group by administration_id, ledger_account_id) l
    on l.administration_id = b.administration_id and l.ledger_account_id = b.ledger_account_id
where b.administration_id = any ($1::uuid[])

-- name: trial_balance
-- Per ledger account, in the newest year with bookings: what it began with, what was debited and credited, and its balance.
-- Profit and loss begins at nothing each year; what earlier years came to is a row of its own, so that the columns add up.
-- The figures are those of every year.
with moved as (
    select l.administration_id, l.ledger_account_id, extract(year from e.entry_date)::integer as year,
           sum(l.debit) as debit, sum(l.credit) as credit, count(*) as lines
    from {env}.journal_line l
    join {env}.journal_entry e on e.administration_id = l.administration_id and e.id = l.journal_entry_id
    where l.administration_id = any ($1::uuid[])
    group by l.administration_id, l.ledger_account_id, extract(year from e.entry_date)
), placed as (
    select moved.*, max(year) over (partition by administration_id) as newest from moved
), account as (
    select a.administration_id, a.code, a.name, a.kind, max(p.newest) over (partition by a.administration_id) as year,
           coalesce(p.earlier, 0.00) as earlier, coalesce(p.debit, 0.00) as debit, coalesce(p.credit, 0.00) as credit, p.years
    from {env}.ledger_account a
    left join (select administration_id, ledger_account_id, newest,
                      sum(debit - credit) filter (where year < newest) as earlier,
                      sum(debit) filter (where year = newest) as debit,
                      sum(credit) filter (where year = newest) as credit,
                      string_agg(row(year, debit, credit, lines)::text, '' order by year) as years
               from placed group by administration_id, ledger_account_id, newest) p
        on p.administration_id = a.administration_id and p.ledger_account_id = a.id
    where a.administration_id = any ($1::uuid[])
), opened as (
    select administration_id, code, name, year, debit, credit, row(code, name, kind, years)::text as figures,
           case kind when 'balance_sheet' then earlier else 0.00 end as opening
    from account
    union all
    select administration_id, null, null, year, 0.00, 0.00, sum(earlier)::text, sum(earlier)
    from account where kind = 'profit_and_loss' group by administration_id, year having sum(earlier) <> 0
)
select administration_id, coalesce(code, 'result') as id, coalesce(code || ' ' || name, 'result_of_earlier_years') as item,
       jsonb_build_object('year', year::text, 'opening', opening, 'debit', debit, 'credit', credit,
                          'balance', opening + debit - credit) as facts, figures
from opened

-- name: relations
-- Customers and suppliers, with all that is kept of them.
select r.administration_id, lpad(r.id::text, 20, '0') as id, r.number || ' ' || r.name as item,
       jsonb_build_object('kind', r.kind, 'city', r.city, 'email', r.email, 'iban', r.iban, 'vat_number', r.vat_number,
                          'payment_days', r.payment_days) as facts, row(r.*)::text as figures
from {env}.relation r where r.administration_id = any ($1::uuid[])

-- name: sales_products
-- Products, with all that is kept of them.
select p.administration_id, lpad(p.id::text, 20, '0') as id, p.code || ' ' || p.name as item,
       jsonb_build_object('unit', p.unit, 'unit_price', p.unit_price, 'vat_code', p.vat_code, 'ledger_account', a.code)
           as facts, row(p.*)::text as figures
from {env}.sales_product p
left join {env}.ledger_account a on a.administration_id = p.administration_id and a.id = p.ledger_account_id
where p.administration_id = any ($1::uuid[])

-- name: vat_returns
-- VAT returns, with every box.
select v.administration_id, v.year || '-Q' || v.quarter as id, v.year || '-Q' || v.quarter as item,
       jsonb_build_object('status', v.status, 'filed_on', (v.filed_at at time zone 'Europe/Amsterdam')::date,
                          'turnover_high', v.turnover_high, 'vat_high', v.vat_high, 'turnover_low', v.turnover_low,
                          'vat_low', v.vat_low, 'turnover_zero', v.turnover_zero, 'input_vat', v.input_vat,
                          'amount', v.amount) as facts, row(v.*)::text as figures
from {env}.vat_return v where v.administration_id = any ($1::uuid[])

-- name: fixed_assets
-- Fixed assets, with their book value.
select f.administration_id, lpad(f.id::text, 20, '0') as id, f.code || ' ' || f.name as item,
       jsonb_build_object('purchased_on', f.purchased_on, 'purchase_value', f.purchase_value, 'depreciated', f.depreciated,
                          'residual_value', f.residual_value, 'book_value', f.purchase_value - f.depreciated) as facts,
       row(f.*)::text as figures
from {env}.fixed_asset f where f.administration_id = any ($1::uuid[])

-- name: bank_and_cash_accounts
-- Bank accounts and cash accounts, each with its balance.
select b.administration_id, 'bank ' || lpad(b.id::text, 20, '0') as id, b.iban || ' ' || b.name as item,
       jsonb_build_object('kind', 'bank', 'ledger_account', a.code, 'bic', b.bic, 'balance', b.balance) as facts,
       row(b.*)::text as figures
from {env}.bank_account b
left join {env}.ledger_account a on a.administration_id = b.administration_id and a.id = b.ledger_account_id
where b.administration_id = any ($1::uuid[])
union all
select c.administration_id, 'cash ' || lpad(c.id::text, 20, '0'), c.name,
       jsonb_build_object('kind', 'cash', 'ledger_account', a.code, 'bic', null, 'balance', c.balance), row(c.*)::text
from {env}.cash_account c
left join {env}.ledger_account a on a.administration_id = c.administration_id and a.id = c.ledger_account_id
where c.administration_id = any ($1::uuid[])

-- name: bank_connections
-- Connections with banks. Their status is compared by the rule of the move, which reads the consent; nobody is shown that.
select b.administration_id, lpad(b.id::text, 20, '0') as id, b.iban as item,
       jsonb_build_object('bank', b.bank, 'status', b.status, 'consent_reference', b.consent_reference) as facts,
       (to_jsonb(b) - 'status')::text as figures
from {env}.bank_connection b where b.administration_id = any ($1::uuid[])

-- name: bank_transactions
-- Bank transactions per account and month; the hashes are of all that is kept of each.
select t.administration_id, lpad(t.bank_account_id::text, 20, '0') || to_char(t.booked_on, ' YYYY-MM') as id,
       coalesce(min(b.iban), '') || to_char(t.booked_on, ' YYYY-MM') as item,
       jsonb_build_object('transactions', count(*), 'unprocessed', count(*) filter (where t.status = 'open'),
                          'money_in', coalesce(sum(t.amount) filter (where t.amount > 0), 0.00),
                          'money_out', coalesce(-sum(t.amount) filter (where t.amount < 0), 0.00)) as facts,
       count(*) || ' ' || sum(hashtextextended(row(t.*)::text, 0)) || ' ' || sum(hashtextextended(row(t.*)::text, 1)) as figures
from {env}.bank_transaction t
left join {env}.bank_account b on b.administration_id = t.administration_id and b.id = t.bank_account_id
where t.administration_id = any ($1::uuid[])
group by t.administration_id, t.bank_account_id, to_char(t.booked_on, ' YYYY-MM')

-- name: invoices_to_send
-- Invoices that wait to be sent.
select i.administration_id, lpad(i.id::text, 20, '0') as id, i.number as item,
       jsonb_build_object('customer', r.name, 'invoice_date', i.invoice_date, 'due_date', i.due_date, 'amount', i.amount,
                          'vat_amount', i.vat_amount, 'total', i.total) as facts, row(i.*)::text as figures
from {env}.sales_invoice i
left join {env}.relation r on r.administration_id = i.administration_id and r.id = i.relation_id
where i.administration_id = any ($1::uuid[]) and i.status = 'to_send'

-- name: open_items
-- Open items of one kind per relation, aged to the day of `same_words`.
select o.administration_id, lpad(o.relation_id::text, 20, '0') as id, min(r.number || ' ' || r.name) as item,
       jsonb_build_object(
           'items', count(*), 'amount', sum(o.amount),
           'not_due', coalesce(sum(o.amount) filter (where late <= 0), 0.00),
           'days_1_to_30', coalesce(sum(o.amount) filter (where late between 1 and 30), 0.00),
           'days_31_to_60', coalesce(sum(o.amount) filter (where late between 31 and 60), 0.00),
           'days_61_to_90', coalesce(sum(o.amount) filter (where late between 61 and 90), 0.00),
           'days_over_90', coalesce(sum(o.amount) filter (where late > 90), 0.00)) as facts,
       count(*) || ' ' || sum(hashtextextended(row(o.*)::text, 0)) || ' ' || sum(hashtextextended(row(o.*)::text, 1)) as figures
from {env}.open_item o
cross join lateral (select current_setting('sb_transfer.as_of')::date - o.due_date as late) as age
left join {env}.relation r on r.administration_id = o.administration_id and r.id = o.relation_id
where o.administration_id = any ($1::uuid[]) and o.kind = '{kind}'
group by o.administration_id, o.relation_id

-- name: rows_of_one
-- The rows of one check on one side; {place} is that check's among those that are asked together.
select {place} as place, administration_id::uuid as administration_id, id::text collate "C" as id, item::text as item, facts,
       figures::text as figures
from ({detail}) as detail

-- name: forget_rows
-- Make room for another comparison of the transfer $1.
delete from control.compared_rows where transfer_id = $1

-- name: keep_rows
-- Keep rows behind a check, for those who look at the comparison and may not look at the books.
insert into control.compared_rows (transfer_id, administration_id, check_kind, equal, part, rows)
values ($1, $2, $3, $4, $5, $6::jsonb)
