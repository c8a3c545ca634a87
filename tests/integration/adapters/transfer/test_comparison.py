"""Each check of the comparison sees what it is about, and nothing else does."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from adapters.transfer.comparison import MAX_DIFFERENCES, EnvironmentPair, compared_rows, comparison_report
from adapters.transfer.target_setup import PostgresTargetSetup
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.comparison import CONTENTS
from domain.vocabulary import CheckKind
from tests.integration.conftest import CopiedEnvironment, copied, seeded_database

MADE_AT = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
# In the first administration, by name, of the new environment: what goes wrong, and the one check that must see it.
ONE = "administration_id = (select min(id::text)::uuid from administration)"
FIRST_OPEN = (
    "(administration_id, id) in (select administration_id, id from open_item where kind = '{}' order by 1, 2 limit 1)"
)
OPEN_ITEMS = """select administration_id, count(distinct relation_id) as rows, count(*) as items, sum(amount) as amount,
    sum(case when due_date >= '2026-3-31' then amount else 0 end) as not_due,
    sum(case when due_date between '2026-3-1' and '2026-3-30' then amount else 0 end) as days_1_to_30,
    sum(case when due_date between '2026-1-30' and '2026-2-28' then amount else 0 end) as days_31_to_60,
    sum(case when due_date between '2025-12-31' and '2026-1-29' then amount else 0 end) as days_61_to_90,
    sum(case when due_date < '2025-12-31' then amount else 0 end) as days_over_90
    from open_item where kind = '{}' group by 1"""
FAULTS = [
    (CheckKind.BANK_BALANCE, f"update bank_account set balance = balance + 0.01 where {ONE} and id = 1"),
    (
        CheckKind.TRIAL_BALANCE,
        f"""update journal_line set debit = debit + 0.01
            where {ONE} and id = (select min(id) from journal_line where {ONE} and ledger_account_id = 7000)""",
    ),
    (
        CheckKind.TRIAL_BALANCE,
        f"""update journal_line set ledger_account_id = case ledger_account_id when 4600 then 4510 else 4600 end
            where {ONE} and ledger_account_id in (4600, 4510)""",
    ),
    (CheckKind.TRIAL_BALANCE, f"update ledger_account set name = 'Anders' where {ONE} and code = '4600'"),
    (CheckKind.RELATIONS, f"update relation set iban = null where {ONE} and id = 3"),
    (CheckKind.RELATIONS, f"update relation set email = street, street = email where {ONE} and id = 3"),
    (CheckKind.SALES_PRODUCTS, f"update sales_product set unit_price = unit_price + 1 where {ONE} and id = 2"),
    (CheckKind.SALES_PRODUCTS, f"delete from sales_product where {ONE} and id = 2"),
    (CheckKind.OPEN_ITEMS_DEBTOR, f"delete from open_item where {FIRST_OPEN.format('debtor')}"),
    (CheckKind.OPEN_ITEMS_DEBTOR, f"update open_item set amount = 0.01 where {FIRST_OPEN.format('debtor')}"),
    (
        CheckKind.OPEN_ITEMS_CREDITOR,
        f"update open_item set due_date = '2030-1-1' where {FIRST_OPEN.format('creditor')}",
    ),
    (CheckKind.VAT_RETURNS, f"update vat_return set turnover_low = turnover_low + 1 where {ONE} and id = 5"),
    (CheckKind.FIXED_ASSETS, f"update fixed_asset set life_months = life_months + 1 where {ONE} and id = 1"),
    (CheckKind.BANK_AND_CASH_ACCOUNTS, f"update cash_account set balance = balance - 1 where {ONE}"),
    (CheckKind.BANK_AND_CASH_ACCOUNTS, f"update bank_account set bic = null where {ONE} and id = 1"),
    (CheckKind.BANK_CONNECTIONS, f"update bank_connection set consent_reference = 'x' where {ONE} and id = 1"),
    (CheckKind.BANK_CONNECTIONS, f"update bank_connection set status = 'active' where {ONE} and bank = 'knab'"),
    (
        CheckKind.BANK_CONNECTIONS,
        f"update bank_connection set status = 'needs_reactivation' where {ONE} and bank = 'rabobank'",
    ),
    (CheckKind.BANK_CONNECTIONS, f"delete from bank_connection where {ONE} and bank = 'knab'"),
    (
        CheckKind.BANK_TRANSACTIONS,
        f"""with pair as (select id, row_number() over (order by id) as place, amount
                          from bank_transaction where {ONE} order by id limit 2)
            update bank_transaction t set amount = other.amount
            from pair self join pair other on other.place <> self.place where t.{ONE} and t.id = self.id""",
    ),
    (
        CheckKind.BANK_TRANSACTIONS,
        f"""insert into bank_transaction
            select (jsonb_populate_record(b, '{{"id": 999999, "bank_reference": "x"}}')).*
            from bank_transaction b where {ONE} limit 1""",
    ),
    (CheckKind.INVOICES_TO_SEND, f"update sales_invoice set status = 'sent' where {ONE} and status = 'to_send'"),
]


# Two of the manual's lists hold the balance of a bank account.
ALSO = {CheckKind.BANK_BALANCE: [CheckKind.BANK_AND_CASH_ACCOUNTS]}
# Per administration, written without a look at the comparison's own statements.
INDEPENDENT = {
    CheckKind.BANK_BALANCE: """select administration_id, count(*) as rows, sum(balance) as balance,
        (select sum(debit) - sum(credit) from journal_line l where l.administration_id = b.administration_id
         and l.ledger_account_id in (select ledger_account_id from bank_account)) as ledger_balance
        from bank_account b group by 1""",
    CheckKind.RELATIONS: "select administration_id, count(*) as rows from relation group by 1",
    CheckKind.SALES_PRODUCTS: "select administration_id, count(*) as rows from sales_product group by 1",
    CheckKind.OPEN_ITEMS_DEBTOR: OPEN_ITEMS.format("debtor"),
    CheckKind.OPEN_ITEMS_CREDITOR: OPEN_ITEMS.format("creditor"),
    CheckKind.VAT_RETURNS: """select administration_id, count(*) as rows, sum(turnover_high) as turnover_high,
        sum(vat_high) as vat_high, sum(turnover_low) as turnover_low, sum(vat_low) as vat_low,
        sum(turnover_zero) as turnover_zero, sum(input_vat) as input_vat, sum(amount) as amount
        from vat_return group by 1""",
    CheckKind.FIXED_ASSETS: """select administration_id, count(*) as rows,
        sum(purchase_value) - sum(depreciated) as book_value from fixed_asset group by 1""",
    CheckKind.BANK_AND_CASH_ACCOUNTS: """select administration_id, count(*) as rows, sum(balance) as balance
        from (select administration_id, balance from bank_account union all
              select administration_id, balance from cash_account) accounts group by 1""",
    CheckKind.BANK_TRANSACTIONS: """select administration_id,
        count(distinct (bank_account_id, date_trunc('month', booked_on))) as rows, count(*) as transactions,
        sum(greatest(amount, 0)) as money_in, -sum(least(amount, 0)) as money_out
        from bank_transaction group by 1""",
    CheckKind.INVOICES_TO_SEND: """select administration_id, count(*) as rows, sum(amount) as amount,
        sum(vat_amount) as vat_amount, sum(total) as total from sales_invoice where status = 'to_send' group by 1""",
}


@pytest.fixture(scope="module")
async def moved(postgres: EmbeddedPostgres, seeded_template: str) -> AsyncIterator[CopiedEnvironment]:
    """`enyoi` as it stands before the comparison; tests take back what they change."""
    async with seeded_database(postgres, seeded_template) as pool:
        copy = await copied(pool, "enyoi", new_licence="10002", scenario="switch")
        await PostgresTargetSetup(pool).reconnect_banks(m.ReconnectBanks(transfer_id=copy.transfer_id))
        yield copy


async def compared(copy: CopiedEnvironment, fault: str | None = None) -> m.ComparisonReport:
    """Compare the copy with one fault made in its new environment, and take the fault back."""
    async with copy.pool.acquire() as connection:
        attempt = connection.transaction()
        await attempt.start()
        try:
            if fault is not None:
                await connection.execute("set local session_replication_role = replica")
                await connection.execute(f"set local search_path to {copy.new_schema}")
                assert not (await connection.execute(fault)).endswith(" 0"), "the fault hits no row"
            return await comparison_report(
                EnvironmentPair(connection, copy.old_schema, connection, copy.new_schema), made_at=MADE_AT
            )
        finally:
            await attempt.rollback()


async def rows_behind(copy: CopiedEnvironment, check: m.Check) -> list[m.ComparedRow]:
    """Return every row behind one check."""
    async with copy.pool.acquire() as connection:
        sides = EnvironmentPair(connection, copy.old_schema, connection, copy.new_schema)
        rows = compared_rows(sides, check.check, check.administration_id, as_of=MADE_AT.date())
        return [row async for row in rows]


async def test_a_faithful_copy_is_equal_on_every_check(moved: CopiedEnvironment) -> None:
    """Calls a faithful copy equal on every check."""
    report = await compared(moved)
    assert report.made_at == MADE_AT
    assert [check.check for check in report.checks] == list(CheckKind) * 3
    assert all(check.equal and check.differences == [] for check in report.checks)
    assert all(check.old == check.new for check in report.checks if check.check is not CheckKind.BANK_CONNECTIONS)
    first = {check.check: check for check in report.checks[: len(CheckKind)]}
    assert first[CheckKind.RELATIONS].administration == "Enyoi B.V."
    connections = first[CheckKind.BANK_CONNECTIONS]
    assert connections.old == m.Figures(rows=5, tally={"active": 5})
    assert connections.new == m.Figures(rows=5, tally={"active": 1, "needs_reactivation": 4})


@pytest.mark.parametrize(("check", "counted"), INDEPENDENT.items())
async def test_figures_are_those_of_plain_sql(moved: CopiedEnvironment, check: CheckKind, counted: str) -> None:
    """An accountant would sign for figures that are not in the books."""
    report = await compared(moved)
    async with moved.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"set local search_path to {moved.new_schema}")
        expected = {row["administration_id"]: dict(row) for row in await connection.fetch(counted)}
    made = [one for one in report.checks if one.check is check]
    assert len(made) == 3
    for one in made:
        assert one.new is not None
        found = {"administration_id": one.administration_id, "rows": one.new.rows, **one.new.totals}
        wanted = expected[one.administration_id]
        assert {name: found[name] for name in wanted} == wanted


async def test_the_trial_balance_adds_up_and_opens_with_the_balance_sheet(moved: CopiedEnvironment) -> None:
    """Columns that do not come to nothing, or a year's result that holds last year's, are signed by nobody."""
    report = await compared(moved)
    (one, *_) = [made for made in report.checks if made.check is CheckKind.TRIAL_BALANCE]
    rows = await rows_behind(moved, one)
    for column in ("opening", "balance"):
        assert sum(Decimal(str(row.new[column])) for row in rows if row.new) == 0
    async with moved.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"set local search_path to {moved.new_schema}")
        expected = {
            f"{row['code']} {row['name']}": (row["opening"], row["debit"], row["credit"])
            for row in await connection.fetch(
                """select code, name,
                          coalesce((select sum(l.debit) - sum(l.credit) from journal_line l, journal_entry e
                           where (l.administration_id, l.journal_entry_id) = (e.administration_id, e.id)
                           and (l.administration_id, l.ledger_account_id) = (a.administration_id, a.id)
                           and e.entry_date < '2026-1-1' and kind = 'balance_sheet'), 0) as opening,
                          coalesce((select sum(l.debit) from journal_line l, journal_entry e
                           where (l.administration_id, l.journal_entry_id) = (e.administration_id, e.id)
                           and (l.administration_id, l.ledger_account_id) = (a.administration_id, a.id)
                           and e.entry_date >= '2026-1-1'), 0) as debit,
                          coalesce((select sum(l.credit) from journal_line l, journal_entry e
                           where (l.administration_id, l.journal_entry_id) = (e.administration_id, e.id)
                           and (l.administration_id, l.ledger_account_id) = (a.administration_id, a.id)
                           and e.entry_date >= '2026-1-1'), 0) as credit
                   from ledger_account a where administration_id = $1""",
                one.administration_id,
            )
        }
    found = {row.item: row.new for row in rows if row.new is not None}
    result = found.pop("result_of_earlier_years")
    assert {
        name: tuple(Decimal(str(new[key])) for key in ("opening", "debit", "credit")) for name, new in found.items()
    } == (expected)
    assert Decimal(str(result["opening"])) == -sum(opening for opening, _, _ in expected.values())


async def test_every_row_is_there_on_both_sides(moved: CopiedEnvironment) -> None:
    """Behind a line there would be other rows than it counts."""
    report = await compared(moved)
    for check in report.checks[: len(CheckKind)]:
        rows = await rows_behind(moved, check)
        assert check.old is not None
        assert len(rows) == check.old.rows > 0
        assert all(row.equal and row.old is not None and row.new is not None for row in rows)
        columns = CONTENTS[check.check].columns
        assert all(row.old.keys() == {column.name for column in columns} for row in rows if row.old is not None)


async def test_a_bank_connection_says_what_to_do(moved: CopiedEnvironment) -> None:
    """People would activate Rabobank again, or leave ING as it is; and a consent is nobody's to read."""
    report = await compared(moved)
    (one, *_) = [made for made in report.checks if made.check is CheckKind.BANK_CONNECTIONS]
    told = {
        row.new["bank"]: (row.old["to_do"], row.new["to_do"])
        for row in await rows_behind(moved, one)
        if row.new and row.old
    }
    assert told.pop("rabobank") == ("nothing", "nothing")
    assert set(told.values()) == {("nothing", "activate")}


async def test_two_administrations_of_one_name_are_two(moved: CopiedEnvironment) -> None:
    """The figures of two companies would be read as those of one."""
    async with moved.pool.acquire() as connection:
        attempt = connection.transaction()
        await attempt.start()
        await connection.execute("set local session_replication_role = replica")
        for schema in (moved.old_schema, moved.new_schema):
            await connection.execute(f"update {schema}.administration set name = 'Enyoi B.V.'")
        sides = EnvironmentPair(connection, moved.old_schema, connection, moved.new_schema)
        report = await comparison_report(sides, made_at=MADE_AT)
        await attempt.rollback()
    names = {check.administration_id: check.administration for check in report.checks}
    assert len(set(names.values())) == 3
    assert all(name.startswith("Enyoi B.V. (KvK ") for name in names.values())


async def test_an_environment_is_no_different_from_itself(moved: CopiedEnvironment) -> None:
    """`compare A A` would tell of connections to be activated again where nothing has moved."""
    async with moved.pool.acquire() as connection:
        sides = EnvironmentPair(connection, moved.old_schema, connection, moved.old_schema, moved=False)
        report = await comparison_report(sides, made_at=MADE_AT)
    assert all(check.equal for check in report.checks)


@pytest.mark.parametrize(("check", "fault"), FAULTS)
async def test_one_fault_makes_one_check_unequal(moved: CopiedEnvironment, check: CheckKind, fault: str) -> None:
    """Calls exactly the affected check unequal."""
    report = await compared(moved, fault)
    unequal = [made for made in report.checks if not made.equal]
    assert {made.check for made in unequal} == {check, *ALSO.get(check, ())}
    assert 1 <= len(unequal[0].differences) <= MAX_DIFFERENCES


async def test_a_difference_is_named_with_both_amounts(moved: CopiedEnvironment) -> None:
    """Names a difference with both amounts."""
    report = await compared(moved, f"update vat_return set amount = 1, vat_high = 1 + input_vat - vat_low where {ONE}")
    (check,) = [made for made in report.checks if not made.equal]
    assert check.check is CheckKind.VAT_RETURNS
    assert len(check.differences) == MAX_DIFFERENCES
    assert all(row.new is not None and row.new["amount"] == "1.00" for row in check.differences)
    assert check.new is not None
    assert check.new.totals["amount"] == Decimal("13.00")


async def test_a_lost_row_is_named(moved: CopiedEnvironment) -> None:
    """Names a missing row."""
    report = await compared(moved, f"delete from sales_product where {ONE} and id = 2")
    (check,) = [made for made in report.checks if not made.equal]
    (row,) = check.differences
    assert (row.item, row.new) == ("ART-002 Onderhoudsabonnement", None)
    assert check.old is not None
    assert check.new is not None
    assert (check.old.rows, check.new.rows) == (12, 11)


async def test_a_lost_administration_fails_each_of_its_checks(moved: CopiedEnvironment) -> None:
    """Calls every check of a missing administration unequal."""
    report = await compared(moved, "delete from administration where name = 'Enyoi Webshop B.V.'")
    unequal = [made for made in report.checks if not made.equal]
    assert [made.check for made in unequal] == list(CheckKind)
    assert {(made.administration, made.new) for made in unequal} == {("Enyoi Webshop B.V.", None)}


async def test_a_comparison_leaves_nothing_behind(moved: CopiedEnvironment) -> None:
    """Leaves no setting on the connection."""
    async with moved.pool.acquire() as connection:
        before = await connection.fetchval("show search_path")
        for _ in range(2):
            report = await comparison_report(
                EnvironmentPair(connection, moved.old_schema, connection, moved.new_schema), made_at=MADE_AT
            )
            assert sum(not check.equal for check in report.checks) == 0
        assert await connection.fetchval("show search_path") == before
        assert await connection.fetchval("select to_regclass('pg_temp.sb_comparison_detail')") is None
