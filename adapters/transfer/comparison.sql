-- The comparison's figures. Each check's statement runs once per side, with unqualified names meaning that side's
-- tables, and gives one row per thing compared: whose it is (administration_id), which it is (item, for a person; and
-- id, its key), its amount, and everything that must be equal about it (figures, as text).

-- name: same_words
-- What values look like as text, so that two databases say the same of the same.
select set_config(s.name, s.value, true)
from (values ('timezone', 'UTC'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'iso_8601'), ('extra_float_digits', '3'),
             ('bytea_output', 'hex'), ('xmloption', 'content')) as s (name, value)

-- name: administrations
-- The administrations of one side.
select id, name from administration order by name, id

-- name: bank_balance
-- Per bank account: the balance it states and the balance of its ledger account.
select a.administration_id, a.id::text as id, a.iban as item, a.balance as amount,
       row(a.iban, a.balance, coalesce(l.balance, 0))::text as figures
from bank_account a
left join (select administration_id, ledger_account_id, sum(debit - credit) as balance from journal_line
           where (administration_id, ledger_account_id) in (select administration_id, ledger_account_id from bank_account)
           group by administration_id, ledger_account_id) l
    on l.administration_id = a.administration_id and l.ledger_account_id = a.ledger_account_id

-- name: trial_balance
-- Per ledger account: what was debited, what was credited, in how many lines. The amount shown is the debit side.
select a.administration_id, a.code as id, a.code || ' ' || a.name as item, coalesce(l.debit, 0) as amount,
       row(a.code, a.name, a.kind, l.debit, l.credit, l.lines)::text as figures
from ledger_account a
left join (select administration_id, ledger_account_id, sum(debit) as debit, sum(credit) as credit, count(*) as lines
           from journal_line group by administration_id, ledger_account_id) l
    on l.administration_id = a.administration_id and l.ledger_account_id = a.id

-- name: relations
-- Customers and suppliers, with all that is kept of them.
select r.administration_id, r.id::text as id, r.number || ' ' || r.name as item, null::numeric as amount,
       row(r.*)::text as figures
from relation r

-- name: sales_products
-- Products, with all that is kept of them.
select p.administration_id, p.id::text as id, p.code || ' ' || p.name as item, p.unit_price as amount,
       row(p.*)::text as figures
from sales_product p

-- name: open_items_debtor
-- What customers still have to pay.
select o.administration_id, o.id::text as id, o.number as item, o.amount, row(o.*)::text as figures
from open_item o where o.kind = 'debtor'

-- name: open_items_creditor
-- What is still to be paid to suppliers.
select o.administration_id, o.id::text as id, o.number as item, o.amount, row(o.*)::text as figures
from open_item o where o.kind = 'creditor'

-- name: vat_returns
-- VAT returns, with every box.
select v.administration_id, v.id::text as id, v.year || '-Q' || v.quarter as item, v.amount, row(v.*)::text as figures
from vat_return v

-- name: fixed_assets
-- Fixed assets; the amount is their book value.
select f.administration_id, f.id::text as id, f.code || ' ' || f.name as item, f.purchase_value - f.depreciated as amount,
       row(f.*)::text as figures
from fixed_asset f

-- name: bank_and_cash_accounts
-- Bank accounts without their balance, which is a check of its own, and cash accounts with it.
select b.administration_id, 'bank ' || b.id as id, b.iban || ' ' || b.name as item, null::numeric as amount,
       (to_jsonb(b) - 'balance')::text as figures
from bank_account b
union all
select c.administration_id, 'cash ' || c.id, c.name, c.balance, to_jsonb(c)::text
from cash_account c

-- name: bank_transactions
-- Bank transactions, with all that is kept of them.
select t.administration_id, t.id::text as id, t.booked_on || ' ' || t.bank_reference as item, t.amount,
       row(t.*)::text as figures
from bank_transaction t

-- name: invoices_to_send
-- Invoices that wait to be sent.
select i.administration_id, i.id::text as id, i.number as item, i.total as amount, row(i.*)::text as figures
from sales_invoice i where i.status = 'to_send'

-- name: bank_connections
-- Connections with banks. Their status is compared by the rule of the move, not for equality.
select b.administration_id, b.id, b.bank, b.iban, b.consent_reference, b.status, (to_jsonb(b) - 'status')::text as figures
from bank_connection b order by b.administration_id, b.id

-- name: summarise
-- One check on one side, per administration. The detail is one of the statements above. Two 64-bit sums: the order of rows
-- does not matter, and since a hash covers a whole row, figures cannot change places unseen.
select administration_id, count(*) as items, sum(amount) as amount,
       sum(hashtextextended(id || ' ' || figures, 0)) || '/' || sum(hashtextextended(id || ' ' || figures, 1)) as fingerprint
from ({detail}) as detail
group by administration_id

-- name: make_detail_table
-- Where the rows behind an unequal check are put beside each other.
create temporary table if not exists sb_comparison_detail (
    side text, administration_id uuid, id text, item text, amount numeric, figures text
) on commit drop

-- name: clear_detail
-- Make room for the next unequal check.
truncate sb_comparison_detail

-- name: keep_detail
-- Put down one side of an unequal check. The detail is one of the statements above.
insert into sb_comparison_detail (side, administration_id, id, item, amount, figures)
select $1, administration_id, id, item, amount, figures from ({detail}) as detail

-- name: carry_detail
-- One side of an unequal check, to be put down in another database.
select $1::text, administration_id, id, item, amount::numeric, figures from ({detail}) as detail

-- name: differences
-- The first differing rows of one administration, at most $2.
select coalesce(o.item, n.item) as item, o.id is null as only_new, n.id is null as only_old,
       o.amount as old_amount, n.amount as new_amount
from (select * from sb_comparison_detail where side = 'old' and administration_id = $1) o
full join (select * from sb_comparison_detail where side = 'new' and administration_id = $1) n on n.id = o.id
where o.figures is distinct from n.figures
order by coalesce(o.id, n.id)
limit $2
