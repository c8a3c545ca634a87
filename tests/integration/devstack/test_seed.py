"""Seeded books hang together as real ones do, and are the same every time."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.migrations import migrate_environment
from devstack.seed import SHOW_MOVES, SeedReport, seed
from devstack.seed.environments import ENVIRONMENTS, LICENCES
from devstack.seed.iban import is_valid_iban
from devstack.seed.seeding import MIN_LINES_PER_ADMINISTRATION, OtherBooks
from domain.naming import schema_name_of
from domain.scenario import scenario_of
from domain.vocabulary import Language, LicenceKind
from tests.integration.conftest import SEED_LINES
from tests.integration.seeded_books import in_every_schema, schemas

BASE_DOMAIN = "sb.example"


@pytest.fixture
async def empty(dsn: str) -> AsyncIterator[Pool]:
    """A migrated database without any environment."""
    pool = await connect_pool(dsn, application_name="seed test")
    yield pool
    await pool.close()


@pytest.fixture
def seeded_books(seeded: Pool) -> Pool:
    """Seeded environments of the test's own."""
    return seeded


async def fingerprints(pool: Pool) -> dict[str, str]:
    """Return a digest of every table of every environment, by schema and table."""
    digests = {}
    for schema in await schemas(pool):
        tables = await pool.fetch(
            "select relname from pg_class where relnamespace = $1::text::regnamespace and relkind = 'r'", schema
        )
        for (table,) in tables:
            digests[f"{schema}.{table}"] = await pool.fetchval(
                f"select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {schema}.{table} t"
            )
    return digests


async def seed_once(pool: Pool, *, value: int = 1, journal_lines: int = SEED_LINES) -> SeedReport:
    return await seed(pool, value=value, journal_lines=journal_lines, base_domain=BASE_DOMAIN)


async def test_the_same_value_gives_the_same_rows(books: Pool, empty: Pool) -> None:
    """Makes the same rows from the same value."""
    report = await seed_once(empty)
    assert await fingerprints(empty) == await fingerprints(books)
    assert all(environment.created for environment in report.environments)
    assert report.rows == sum(
        [await empty.fetchval(f"select count(*) from {table}") for table in await fingerprints(empty)]
    )


async def test_another_value_gives_other_rows(books: Pool, empty: Pool) -> None:
    """Makes other rows from another value."""
    await seed_once(empty, value=2)
    ours, theirs = await fingerprints(empty), await fingerprints(books)
    assert not ours.keys() & theirs.keys()
    assert set(ours.values()) & set(theirs.values()) <= {await empty.fetchval("select md5('')")} | {
        digest for name, digest in theirs.items() if name.endswith((".app_connection",))
    }


async def test_a_second_seed_finds_everything_and_changes_nothing(seeded_books: Pool) -> None:
    """Changes nothing the second time."""
    await seeded_books.execute(f"update {(await schemas(seeded_books))[0]}.app_user set full_name = 'changed'")
    before = await fingerprints(seeded_books)
    report = await seed_once(seeded_books, journal_lines=9000)
    assert report.rows == 0
    assert not any(environment.created for environment in report.environments)
    assert sorted(environment.schema_name for environment in report.environments) == sorted(await schemas(seeded_books))
    assert await fingerprints(seeded_books) == before


async def test_another_value_is_refused_where_there_are_books(seeded_books: Pool) -> None:
    """`seed --value 2` would say that it is done and leave the books of another value."""
    before = await fingerprints(seeded_books)
    with pytest.raises(OtherBooks, match="10001/"):
        await seed_once(seeded_books, value=2)
    assert await fingerprints(seeded_books) == before


async def test_two_seeds_at_once_do_the_work_of_one(empty: Pool) -> None:
    """Seeds once when two seeds run together."""
    reports = await asyncio.gather(seed_once(empty), seed_once(empty))
    created = [[environment.created for environment in report.environments] for report in reports]
    assert [sum(pair) for pair in zip(*created, strict=True)] == [1] * len(ENVIRONMENTS)


async def test_every_journal_entry_balances(books: Pool) -> None:
    """Balances every journal entry."""
    assert (
        await in_every_schema(
            books,
            "select journal_entry_id from journal_line group by administration_id, journal_entry_id "
            "having sum(debit) <> sum(credit)",
        )
        == []
    )
    assert (
        await in_every_schema(
            books,
            "select id from journal_entry e where (select count(*) from journal_line l where "
            "l.administration_id = e.administration_id and l.journal_entry_id = e.id) < 2",
        )
        == []
    )


async def test_the_largest_environment_has_exactly_the_lines_asked_for(books: Pool, empty: Pool) -> None:
    """Gives the largest environment exactly the lines asked for."""
    schema = await books.fetchval("select schema_name from control.environment where name = 'Hofman Groep'")
    assert await books.fetchval(f"select count(*) from {schema}.journal_line") == SEED_LINES
    report = await seed_once(empty, journal_lines=4321)
    assert report.environments[0].rows["journal_line"] == 4321
    least = min(environment.rows["journal_line"] / environment.administrations for environment in report.environments)
    assert least >= MIN_LINES_PER_ADMINISTRATION


@pytest.mark.parametrize("control", ["debtor", "creditor"])
async def test_open_items_agree_with_the_ledger(books: Pool, control: str) -> None:
    """Makes open items that add up to the ledger's control accounts."""
    sign = 1 if control == "debtor" else -1
    rows = await in_every_schema(
        books,
        f"""select a.id, (select coalesce(sum(amount), 0) from open_item o
                          where o.administration_id = a.id and o.kind = '{control}') as open,
                   {sign} * (select sum(debit - credit) from journal_line l join ledger_account g
                             on g.administration_id = l.administration_id and g.id = l.ledger_account_id
                             where l.administration_id = a.id and g.control = '{control}') as ledger
            from administration a""",
    )
    assert len(rows) == 25
    assert all(row["open"] == row["ledger"] > 0 for row in rows)


async def test_open_items_agree_with_each_relations_own_lines(books: Pool) -> None:
    """Makes open items that add up to each relation's lines."""
    rows = await in_every_schema(
        books,
        """select o.administration_id, o.relation_id, o.open, l.ledger
           from (select administration_id, relation_id,
                        sum(case kind when 'debtor' then amount else -amount end) as open
                 from open_item group by 1, 2) o
           full join (select administration_id, relation_id, sum(debit - credit) as ledger from journal_line
                      where relation_id is not null group by 1, 2 having sum(debit - credit) <> 0) l
               using (administration_id, relation_id)
           where o.open is distinct from l.ledger""",
    )
    assert rows == []


async def test_vat_returns_agree_with_the_ledger(books: Pool) -> None:
    """Makes VAT returns that agree with the ledger."""
    rows = await in_every_schema(
        books,
        """select v.*, l.*
           from vat_return v
           join lateral (
               select coalesce(sum(credit) filter (where account = 1510 and vat_code is not null), 0) as due_high,
                      coalesce(sum(credit) filter (where account = 1511 and vat_code is not null), 0) as due_low,
                      coalesce(sum(debit) filter (where account = 1520 and vat_code is not null), 0) as input,
                      coalesce(sum(credit) filter (where account = 8000), 0) as net_high,
                      coalesce(sum(credit) filter (where account = 8010), 0) as net_low,
                      coalesce(sum(credit) filter (where account = 8020), 0) as net_zero
               from (select *, ledger_account_id as account from journal_line) b join journal_entry e
                   on e.administration_id = b.administration_id and e.id = b.journal_entry_id
               where b.administration_id = v.administration_id
                   and extract(year from e.entry_date) = v.year and extract(quarter from e.entry_date) = v.quarter
           ) l on true""",
    )
    assert len(rows) == 25 * 13
    for row in rows:
        assert (row["vat_high"], row["vat_low"], row["input_vat"]) == (row["due_high"], row["due_low"], row["input"])
        assert (row["turnover_high"], row["turnover_low"]) == (row["net_high"], row["net_low"])
        assert row["turnover_zero"] == row["net_zero"]
    assert {row["status"] for row in rows} == {"concept", "filed", "confirmed"}


async def test_money_and_possessions_agree_with_the_ledger(books: Pool) -> None:
    """Makes bank, cash and fixed assets that agree with the ledger."""
    query = """
        select s.kind, s.amount,
               (select coalesce(sum(debit - credit), 0) from journal_line l
                where l.administration_id = s.administration_id and l.ledger_account_id = s.account) as ledger
        from (select 'bank' as kind, administration_id, ledger_account_id as account, balance as amount
                        from bank_account
              union all select 'cash', administration_id, ledger_account_id, balance from cash_account
              union all select 'bought', administration_id, ledger_account_id, sum(purchase_value)
                        from fixed_asset group by 1, 2, 3
              union all select 'written off', administration_id, depreciation_account_id, -sum(depreciated)
                        from fixed_asset group by 1, 2, 3) s"""
    rows = await in_every_schema(books, query)
    assert {row["kind"] for row in rows} == {"bank", "cash", "bought", "written off"}
    assert all(row["amount"] == row["ledger"] for row in rows)
    assert all(row["amount"] != 0 for row in rows)


async def test_bank_transactions_explain_the_bank_balance(books: Pool) -> None:
    """Makes bank transactions that add up to the balance."""
    rows = await in_every_schema(
        books,
        """select a.iban, a.balance, (select sum(debit) from journal_line l
                   where l.administration_id = a.administration_id and l.ledger_account_id = a.ledger_account_id
                       and l.description = 'Beginbalans') as opening,
                  (select coalesce(sum(amount), 0) from bank_transaction t
                   where t.administration_id = a.administration_id and t.bank_account_id = a.id) as moved
           from bank_account a""",
    )
    assert rows
    assert all(row["balance"] == row["opening"] + row["moved"] for row in rows)
    statuses = await in_every_schema(books, "select distinct status from bank_transaction")
    assert {row["status"] for row in statuses} == {"open", "processed"}


async def test_every_iban_is_valid_and_every_bank_is_there(books: Pool) -> None:
    """Makes valid IBANs, and connections of every bank that the manual names."""
    ibans = await in_every_schema(
        books,
        "select iban from relation union all select iban from bank_account union all select iban from bank_connection "
        "union all select counterparty_iban from bank_transaction where counterparty_iban is not null",
    )
    assert len(ibans) > 1000
    assert all(is_valid_iban(row["iban"]) for row in ibans)
    banks = await in_every_schema(books, "select array_agg(distinct bank order by bank) as banks from bank_connection")
    assert [row["banks"] for row in banks] == [["abn_amro", "bunq", "ing", "knab", "rabobank"]] * len(ENVIRONMENTS)


async def test_there_is_something_for_every_consequence(books: Pool) -> None:
    """Makes something for every consequence to happen to."""
    for query in (
        "select portal_token from quote where status = 'open' and portal_token is not null",
        "select 1 from sales_invoice where status = 'to_send'",
        "select 1 from app_connection where status = 'active'",
        "select 1 from app_user where mobile_link_status = 'linked' and invitation_status = 'accepted'",
        "select 1 from mailbox_message where status = 'open'",
        "select 1 from scanbox_document where status = 'open'",
    ):
        assert len(await in_every_schema(books, query)) >= len(ENVIRONMENTS), query


async def test_seeding_leaves_the_schema_as_the_migrations_make_it(books: Pool) -> None:
    """Leaves every index, key and trigger in place."""
    definitions = """
        select c.relname || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
        from pg_constraint k join pg_class c on c.oid = k.conrelid where c.relnamespace = $1::text::regnamespace
        union all
        select replace(pg_get_indexdef(x.indexrelid), $1 || '.', '')
        from pg_index x join pg_class c on c.oid = x.indrelid
        where c.relnamespace = $1::text::regnamespace
        order by 1"""
    async with books.acquire() as connection:
        attempt = connection.transaction()
        await attempt.start()
        await connection.execute("create schema plain")
        await migrate_environment(connection, "plain")
        found = []
        for schema in ("plain", (await schemas(books))[0]):
            await connection.execute(f"set local search_path to {schema}, pg_catalog")
            found.append([row[0] for row in await connection.fetch(definitions, schema)])
        await attempt.rollback()
    assert len(found[0]) > 100
    assert found[0] == found[1]


async def test_the_application_can_go_on_numbering(seeded_books: Pool) -> None:
    """Leaves sequences behind the seeded rows."""
    schema = (await schemas(seeded_books))[0]
    async with seeded_books.acquire() as connection:
        await connection.execute(f"set search_path to {schema}")
        administration = await connection.fetchval("select id from administration order by id limit 1")
        await connection.execute("set role sb_app")
        entry = await connection.fetchval(
            "insert into journal_entry (administration_id, journal, number, entry_date) "
            "values ($1, 'memorial', 'NEW-1', '2026-04-01') returning id",
            administration,
        )
        await connection.execute(
            "insert into journal_line (administration_id, journal_entry_id, ledger_account_id, debit) "
            "values ($1, $2, 4600, 1)",
            administration,
            entry,
        )
        await connection.execute("insert into app_connection (name, status) values ('New', 'active')")
        await connection.execute("reset role")


async def test_the_application_may_write_rows_and_nothing_more(books: Pool) -> None:
    """Grants the application rows, and neither TRUNCATE nor triggers."""
    schema = (await schemas(books))[0]
    async with books.acquire() as connection:
        for statement in (
            f"truncate {schema}.app_connection",
            f"create table {schema}.extra (id integer)",
            f"alter table {schema}.quote add column extra integer",
            f"drop table {schema}.quote",
            f"create trigger t before update on {schema}.quote execute function suppress_redundant_updates_trigger()",
            f"select setval('{schema}.quote_id_seq', 1)",
        ):
            attempt = connection.transaction()
            await attempt.start()
            await connection.execute("set local role sb_app")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
            await attempt.rollback()


async def test_what_is_registered_is_what_the_contract_says(books: Pool) -> None:
    """Registers licences, environments and routes as the contract says."""
    rows = {row["name"]: row for row in await books.fetch("select * from control.environment")}
    enyoi = rows["enyoi"]
    assert enyoi["url"] == "https://devries.sb.example/enyoi"
    assert enyoi["mailbox_address"] == "enyoi@devries.mailbox.sb.example"
    assert enyoi["schema_name"] == schema_name_of(enyoi["environment_id"])
    assert {row["status"] for row in rows.values()} == {"active"}
    assert {row["schema_version"] for row in rows.values()} == {1}
    routes = await books.fetch("select address, environment_id, valid_until from control.mailbox_route")
    assert {(row["address"], row["environment_id"]) for row in routes} == {
        (row["mailbox_address"], row["environment_id"]) for row in rows.values()
    }
    assert {row["valid_until"] for row in routes} == {None}
    assert {len(environment.administrations) for environment in ENVIRONMENTS} >= {1, 2, 3, 5, 12}
    assert {licence.language for licence in LICENCES} == set(Language)


def test_every_scenario_can_be_shown() -> None:
    """Has licences of both kinds for each scenario of the demo."""
    kinds = {licence.licence_number: licence.kind for licence in LICENCES}
    names = {(environment.licence_number, environment.name) for environment in ENVIRONMENTS}
    for move in SHOW_MOVES:
        assert (move.old_licence, move.environment) in names
        assert (move.new_licence, move.new_name) not in names
        assert (kinds[move.new_licence] is LicenceKind.SELF_MANAGED) == (move.login_email is not None)
        assert move.scenario is scenario_of(
            old_licence=move.old_licence,
            old_kind=kinds[move.old_licence],
            new_licence=move.new_licence,
            new_kind=kinds[move.new_licence],
        )
