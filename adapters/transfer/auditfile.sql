-- What an auditfile holds of one administration, $1; where a statement takes a fiscal year, it begins on $2 and ends before
-- $3. Everything is in an order that both sides share. `{env}` is the environment's schema.

-- name: forget
-- Make room for another auditfile of the same books.
delete from control.auditfile
where transfer_id = $1 and old_side = $2 and administration_id = $3 and year = $4

-- name: keep
-- Keep a part of an auditfile, compressed.
insert into control.auditfile (transfer_id, old_side, administration_id, year, part, content)
values ($1, $2, $3, $4, $5, $6)

-- name: sides
-- Where the two environments of a transfer are that people may look at.
select o.cell as old_cell, o.schema_name as old_schema, n.cell as new_cell, n.schema_name as new_schema
from control.transfer t
join control.environment o on o.environment_id = t.environment_id
join control.environment n on n.environment_id = t.new_environment_id
where t.transfer_id = $1 and t.state in ('awaiting_release', 'released')

-- name: years
-- The years with bookings, of every administration, and how many lines each has.
select a.id as administration_id, a.name as administration, extract(year from e.entry_date)::integer as year,
       count(*)::integer as lines
from {env}.administration a
join {env}.journal_entry e on e.administration_id = a.id
join {env}.journal_line l on l.administration_id = e.administration_id and l.journal_entry_id = e.id
where e.entry_date between '0001-01-01' and '9998-12-31'
group by a.id, a.name, extract(year from e.entry_date)
order by a.name, a.id, 3

-- name: company
-- Whose books they are.
select id, name, legal_name, chamber_of_commerce_number, vat_number from {env}.administration where id = $1

-- name: relations
-- Customers and suppliers.
select id::bigint as id, number, kind, name, email, street, postal_code, city, country, iban, vat_number
from {env}.relation where administration_id = $1

-- name: accounts
-- The ledger accounts.
select code, name, kind, rgs_code from {env}.ledger_account where administration_id = $1 order by code collate "C"

-- name: vat_accounts
-- By VAT code the account that its lines of sales are booked on, and that of its lines of purchases: the most used one.
select l.vat_code, mode() within group (order by a.code) filter (where e.journal in ('sales', 'cash')) as to_pay,
       mode() within group (order by a.code) filter (where e.journal = 'purchase') as to_claim
from {env}.journal_line l
join {env}.journal_entry e on e.administration_id = l.administration_id and e.id = l.journal_entry_id
join {env}.ledger_account a on a.administration_id = l.administration_id and a.id = l.ledger_account_id
where l.administration_id = $1 and l.vat_code is not null
group by l.vat_code order by l.vat_code

-- name: opening
-- What the balance sheet came to before the year; what profit and loss came to is one line, without an account.
select case a.kind when 'balance_sheet' then a.code end as code, sum(l.debit - l.credit) as amount
from {env}.journal_line l
join {env}.journal_entry e on e.administration_id = l.administration_id and e.id = l.journal_entry_id
join {env}.ledger_account a on a.administration_id = l.administration_id and a.id = l.ledger_account_id
where l.administration_id = $1 and e.entry_date < $2
group by 1 having sum(l.debit - l.credit) <> 0
order by 1 nulls last

-- name: totals
-- What the year's lines come to.
select count(*)::integer as lines, coalesce(sum(l.debit), 0.00) as debit, coalesce(sum(l.credit), 0.00) as credit
from {env}.journal_line l
join {env}.journal_entry e on e.administration_id = l.administration_id and e.id = l.journal_entry_id
where l.administration_id = $1 and e.entry_date >= $2 and e.entry_date < $3

-- name: lines
-- The year's lines.
select e.journal::text as journal, e.id::bigint as entry_id, e.number, e.entry_date::date as entry_date,
       e.description as entry_description, l.id::bigint as id, a.code,
       l.debit, l.credit, l.description, l.relation_id, l.vat_code
from {env}.journal_entry e
join {env}.journal_line l on l.administration_id = e.administration_id and l.journal_entry_id = e.id
join {env}.ledger_account a on a.administration_id = l.administration_id and a.id = l.ledger_account_id
where e.administration_id = $1 and e.entry_date >= $2 and e.entry_date < $3
