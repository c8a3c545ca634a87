"""Each check of the comparison sees what it is about, and nothing else does."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from adapters.transfer.comparison import MAX_DIFFERENCES, comparison_report
from adapters.transfer.target_setup import PostgresTargetSetup
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.vocabulary import CheckKind
from tests.integration.conftest import CopiedEnvironment, copied, seeded_database

MADE_AT = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
# In the first administration, by name, of the new environment: what goes wrong, and the one check that must see it.
ONE = "administration_id = (select min(id::text)::uuid from administration)"
FIRST_OPEN = (
    "(administration_id, id) in (select administration_id, id from open_item where kind = '{}' order by 1, 2 limit 1)"
)
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
            return await comparison_report(connection, copy.old_schema, copy.new_schema, made_at=MADE_AT)
        finally:
            await attempt.rollback()


async def test_a_faithful_copy_is_equal_on_every_check(moved: CopiedEnvironment) -> None:
    """People would lose their trust in a report that cries wolf, or overlook a check that was never made."""
    report = await compared(moved)
    assert report.made_at == MADE_AT
    assert [check.check for check in report.checks] == list(CheckKind) * 3
    assert all(check.equal and check.differences == [] for check in report.checks)
    assert all(
        check.old == check.new and check.old[0].isdigit()
        for check in report.checks
        if check.check is not CheckKind.BANK_CONNECTIONS
    )
    first = {check.check: check for check in report.checks[: len(CheckKind)]}
    assert first[CheckKind.RELATIONS].administration == "Enyoi B.V."
    assert first[CheckKind.BANK_CONNECTIONS].old == "5 connections: 5 active"
    assert first[CheckKind.BANK_CONNECTIONS].new == "5 connections: 1 active, 4 needs_reactivation"


@pytest.mark.parametrize(("check", "fault"), FAULTS)
async def test_one_fault_makes_one_check_unequal(moved: CopiedEnvironment, check: CheckKind, fault: str) -> None:
    """A difference would pass unseen, or point people at figures that are right."""
    report = await compared(moved, fault)
    unequal = [made for made in report.checks if not made.equal]
    assert [made.check for made in unequal] == [check]
    assert 1 <= len(unequal[0].differences) <= MAX_DIFFERENCES


async def test_a_difference_is_named_with_both_amounts(moved: CopiedEnvironment) -> None:
    """People would have to look for the row themselves."""
    report = await compared(moved, f"update vat_return set amount = 1, vat_high = 1 + input_vat - vat_low where {ONE}")
    (check,) = [made for made in report.checks if not made.equal]
    assert check.check is CheckKind.VAT_RETURNS
    assert len(check.differences) == MAX_DIFFERENCES
    assert all(text.endswith(", 1.00 in the new one") for text in check.differences)
    assert check.new == "13 returns, 13.00"


async def test_a_lost_row_is_named(moved: CopiedEnvironment) -> None:
    """A product that did not come along must be named, not only counted."""
    report = await compared(moved, f"delete from sales_product where {ONE} and id = 2")
    (check,) = [made for made in report.checks if not made.equal]
    assert check.differences == ["ART-002 Onderhoudsabonnement: only in the old environment"]
    assert (check.old.split(",")[0], check.new.split(",")[0]) == ("12 products", "11 products")


async def test_a_lost_administration_fails_each_of_its_checks(moved: CopiedEnvironment) -> None:
    """A whole set of books could be missing while every check that was made is equal."""
    report = await compared(moved, "delete from administration where name = 'Enyoi Webshop B.V.'")
    unequal = [made for made in report.checks if not made.equal]
    assert [made.check for made in unequal] == list(CheckKind)
    assert {(made.administration, made.new) for made in unequal} == {("Enyoi Webshop B.V.", "missing")}
    assert unequal[0].differences == ["the new environment does not have this administration"]


async def test_a_comparison_leaves_nothing_behind(moved: CopiedEnvironment) -> None:
    """The connection goes back to the pool: the next user must find it as it was."""
    async with moved.pool.acquire() as connection:
        before = await connection.fetchval("show search_path")
        for _ in range(2):
            report = await comparison_report(connection, moved.old_schema, moved.new_schema, made_at=MADE_AT)
            assert sum(not check.equal for check in report.checks) == 0
        assert await connection.fetchval("show search_path") == before
        assert await connection.fetchval("select to_regclass('pg_temp.sb_comparison_detail')") is None
