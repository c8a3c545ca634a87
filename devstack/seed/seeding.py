"""Believable books from a seed value: the same value always gives the same rows, at any size."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from time import perf_counter
from typing import Any
from uuid import UUID

from pydantic import Field

from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.database import database
from adapters.postgres.migrations import migrate_environment
from adapters.postgres.statements import load
from adapters.settings import Settings
from devstack.seed import documents as papers
from devstack.seed import people as cast
from devstack.seed.chart_of_accounts import bank_ledger_account, chart_of_accounts
from devstack.seed.environments import ENVIRONMENTS, LICENCES, SeedEnvironment, licence_of
from devstack.seed.iban import BANK_CODES
from domain.errors import Refused
from domain.messages import Message
from domain.naming import default_url_part, mailbox_address_of, schema_name_of, url_of
from domain.vocabulary import LicenceKind

# Fixed, not "until today": the same seed value must give the same books tomorrow.
FIRST_DAY = date(2023, 1, 1)
LAST_DAY = date(2026, 3, 31)
QUARTERS = 13
MIN_LINES_PER_ADMINISTRATION = 200
# Opening, depreciation and VAT settlement at their largest, and enough left over for payments through the bank.
_LINES_BESIDE_CYCLES = 160
_LINES_PER_CYCLE = 10
_PARALLEL_ENVIRONMENTS = 2


class OtherBooks(Refused):
    """The environments are there with the books of another value. Give that value, or seed an empty database."""

    dutch = "De omgevingen zijn er al, met de boeken van een andere waarde. Geef die waarde, of vul een lege database."


class SeededEnvironment(Message):
    """What a seed found or made of one environment."""

    environment_id: UUID
    name: str
    licence_number: str
    url: str
    schema_name: str
    administrations: int
    created: bool = Field(description="false when it was there already, and was left as it is")
    rows: dict[str, int] = Field(default={}, description="rows per table, for a created one")


class SeedReport(Message):
    """What a seed did."""

    environments: list[SeededEnvironment]
    seconds: float

    @property
    def rows(self) -> int:
        """Return the number of rows that were made."""
        return sum(sum(environment.rows.values()) for environment in self.environments)


@dataclass(frozen=True, slots=True)
class _Administration:
    """One administration while it is being written."""

    id: UUID
    position: int
    salt: int
    lines: int
    debtors: int
    creditors: int
    banks: int


async def seed(pool: Pool, *, value: int = 1, journal_lines: int = 20_000, base_domain: str) -> SeedReport:
    """Make firms, entrepreneurs and their environments with books; leave what exists as it is.

    Each environment is one transaction, so a seed that is killed can be run again. The content depends on `value` and
    `journal_lines` only.

    Args:
        pool: Connections as `sb_owner`, to a database that `setup` has migrated; two are used at once.
        value: Another value gives other ids, amounts and names of the same environments.
        journal_lines: The journal lines of the largest environment, spread over its 12 administrations; exact. The
            others get a fixed share of it, about as many together. No administration gets fewer than 200.
        base_domain: Environments live at `https://<host>.<base_domain>/`.

    Raises:
        OtherBooks: There are environments of these names with the books of another value; nothing was made.
        Unavailable: The database does not answer; run it again.
    """
    started = perf_counter()
    async with _patient(pool) as connection:
        await _require_value(connection, value, base_domain)
        await connection.executemany(
            load(__name__)["register_licence"],
            [
                (one.licence_number, one.holder_name, one.kind, one.host, one.contact_email, one.language)
                for one in LICENCES
            ],
        )
    turn = asyncio.Semaphore(_PARALLEL_ENVIRONMENTS)

    async def in_turn(environment: SeedEnvironment) -> SeededEnvironment:
        async with turn, _patient(pool) as connection:
            return await _Seeding(connection, environment, value, journal_lines, base_domain).run()

    # The largest comes first in the catalogue, so that the small ones fill the other connection meanwhile.
    seeded = await asyncio.gather(*map(in_turn, ENVIRONMENTS))
    return SeedReport(environments=seeded, seconds=perf_counter() - started)


@asynccontextmanager
async def _patient(pool: Pool) -> AsyncIterator[Connection]:
    """Run a block in one transaction that waits as long as it takes for another seed at the same books."""
    async with transaction(pool) as connection:
        await connection.execute("set local lock_timeout to 0")
        yield connection


async def _require_value(connection: Connection, value: int, base_domain: str) -> None:
    for one in ENVIRONMENTS:
        expected = one.id_for(value)
        url = url_of(host=licence_of(one).host, base_domain=base_domain, url_part=default_url_part(one.name))
        found = await connection.fetchrow(
            load(__name__)["find_environment"], expected, url, one.licence_number, one.name
        )
        if found is not None and found["environment_id"] != expected:
            raise OtherBooks(
                f"{one.licence_number}/{one.name} is there with other books than those of the value {value}. "
                "Give the value that it was made with, or seed an empty database.",
                dutch=f"{one.licence_number}/{one.name} is er al, met andere boeken dan die van de waarde {value}. "
                "Geef de waarde waarmee die is gemaakt, of vul een lege database.",
            )


async def make_books(settings: Settings, *, value: int = 1, journal_lines: int = 20_000) -> SeedReport:
    """Seed the database that the settings name; see `seed`."""
    async with database(settings.database_url) as pool:
        return await seed(pool, value=value, journal_lines=journal_lines, base_domain=settings.base_domain)


class _Seeding:
    """One environment's seed, within the caller's transaction."""

    def __init__(
        self, connection: Connection, environment: SeedEnvironment, value: int, journal_lines: int, base_domain: str
    ) -> None:
        self._connection = connection
        self._environment = environment
        self._value = value
        self._lines = int(journal_lines * environment.share)
        self._licence = licence_of(environment)
        self._id = environment.id_for(value)
        self._schema = schema_name_of(self._id)
        self._url_part = default_url_part(environment.name)
        self._url = url_of(host=self._licence.host, base_domain=base_domain, url_part=self._url_part)
        self._mailbox = mailbox_address_of(host=self._licence.host, base_domain=base_domain, url_part=self._url_part)
        self._sql = load(__name__)

    async def run(self) -> SeededEnvironment:
        """Claim the environment and write it, or tell of the one that is there."""
        connection, environment = self._connection, self._environment
        claimed = await connection.fetchval(
            self._sql["register_environment"],
            self._id,
            environment.licence_number,
            environment.name,
            self._url_part,
            self._url,
            self._schema,
            self._mailbox,
        )
        if claimed is None:
            return await self._found()
        await connection.execute(self._sql["route_mailbox"], self._mailbox, self._id)
        await connection.execute(await connection.fetchval(self._sql["create_schema"], self._schema))
        version = await migrate_environment(connection, self._schema)
        await connection.execute(self._sql["note_schema_version"], self._id, version)
        await connection.execute(await connection.fetchval(self._sql["set_search_path"], self._schema))
        await self._write()
        rows = {
            row["table_name"]: await connection.fetchval(row["statement"])
            for row in await connection.fetch(self._sql["count_rows"])
        }
        await connection.execute("reset search_path")
        return self._told(self._id, self._schema, self._url, rows)

    async def _found(self) -> SeededEnvironment:
        row = await self._connection.fetchrow(
            self._sql["find_environment"],
            self._id,
            self._url,
            self._environment.licence_number,
            self._environment.name,
        )
        if row is None:  # another environment has its mailbox address only
            return self._told(self._id, self._schema, self._url, None)
        return self._told(row["environment_id"], row["schema_name"], row["url"], None)

    def _told(self, environment_id: UUID, schema: str, url: str, rows: dict[str, int] | None) -> SeededEnvironment:
        return SeededEnvironment(
            environment_id=environment_id,
            name=self._environment.name,
            licence_number=self._environment.licence_number,
            url=url,
            schema_name=schema,
            administrations=len(self._environment.administrations),
            created=rows is not None,
            rows=rows or {},
        )

    async def _write(self) -> None:
        connection = self._connection
        pairs = await connection.fetch(self._sql["loads_without"])
        for pair in pairs:
            await connection.execute(pair["take_off"])
        await connection.execute(self._sql["make_cycle_table"])
        for administration in self._administrations():
            await self._write_administration(administration)
        await self._write_environment()
        # Before the joins below: without statistics the planner takes the new tables for empty and joins row by row.
        await self._analyze()
        for pair in pairs:
            await connection.execute(pair["put_back"])
        await connection.execute(self._sql["make_bank_transactions"])
        await connection.execute(self._sql["note_bank_balances"])
        await connection.execute(self._sql["note_cash_balances"])
        await connection.execute(self._sql["move_sequences"])
        await connection.execute("analyze bank_transaction")

    async def _analyze(self) -> None:
        for row in await self._connection.fetch(self._sql["analyze_tables"]):
            await self._connection.execute(row[0])

    def _administrations(self) -> Iterable[_Administration]:
        count = len(self._environment.administrations)
        for position in range(count):
            lines = self._lines // count + (1 if position < self._lines % count else 0)
            lines = max(lines, MIN_LINES_PER_ADMINISTRATION)
            yield _Administration(
                id=self._environment.administration_id_for(self._value, position),
                position=position,
                salt=self._environment.administration_id_for(self._value, position).int >> 66,
                lines=lines,
                debtors=min(40 + lines // 100, 1000),
                creditors=min(15 + lines // 400, 300),
                # One administration of each environment banks everywhere, the others at Rabobank and one more.
                banks=len(BANK_CODES) if position == 0 else 2,
            )

    async def _write_administration(self, one: _Administration) -> None:
        await self._write_master_data(one)
        await self._write_ledger(one)

    async def _write_master_data(self, one: _Administration) -> None:
        dice = cast.dice_of(self._value, self._environment.name, one.position)
        own_banks = cast.bank_accounts(dice, one.banks)
        is_firm = self._licence.kind is LicenceKind.FIRM
        name = self._environment.administrations[one.position]
        await self._copy(
            "administration",
            [
                {
                    "id": one.id,
                    "name": name,
                    "legal_name": name,
                    "chamber_of_commerce_number": f"{dice.randrange(10**7, 10**8)}",
                    "vat_number": f"NL{dice.randrange(10**9):09d}B01",
                    "becon_number": self._licence.becon_number,
                    "tax_contact_kind": "intermediary" if is_firm else "entrepreneur",
                    "created_at": _noon(FIRST_DAY),
                }
            ],
        )
        await self._copy(
            "ledger_account",
            ({"id": int(a.code), **asdict(a)} for a in chart_of_accounts([b.bank.title for b in own_banks])),
            one.id,
        )
        await self._copy("relation", cast.relations(dice, one.debtors, one.creditors), one.id)
        await self._copy("sales_product", cast.products(dice), one.id)
        await self._copy("fixed_asset", cast.assets(dice, FIRST_DAY), one.id)
        await self._copy("quote", cast.quotes(dice, salt=str(one.id), debtors=one.debtors, last_day=LAST_DAY), one.id)
        await self._copy("cash_account", [{"id": 1, "name": "Kas", "ledger_account_id": 1000}], one.id)
        await self._copy(
            "bank_account",
            (
                {
                    "id": position + 1,
                    "name": f"{account.bank.title} zakelijk",
                    "iban": account.iban,
                    "bic": account.bank.bic,
                    "ledger_account_id": bank_ledger_account(position),
                }
                for position, account in enumerate(own_banks)
            ),
            one.id,
        )
        await self._copy(
            "bank_connection",
            (
                {
                    "id": position + 1,
                    "bank_account_id": position + 1,
                    "bank": account.bank.bank,
                    "iban": account.iban,
                    "consent_reference": account.consent_reference,
                    "status": "active",
                    "activated_at": _noon(FIRST_DAY),
                }
                for position, account in enumerate(own_banks)
            ),
            one.id,
        )

    async def _write_ledger(self, one: _Administration) -> None:
        cycles = max((one.lines - _LINES_BESIDE_CYCLES) // _LINES_PER_CYCLE, 1)
        entry, line = 4 * cycles + 1, _LINES_PER_CYCLE * cycles + 1
        run, sql = self._run, self._sql
        await run("clear_cycles")
        await run("throw_cycles", one.salt, cycles, one.debtors, one.creditors, one.banks, FIRST_DAY, LAST_DAY)
        await run("book_cycle_entries", one.id)
        made = await run("book_cycle_lines", one.id)
        made += await run("book_opening", one.id, entry, line, FIRST_DAY, one.salt)
        entry, line = entry + 1, line + 20
        made += await run("book_depreciation", one.id, entry, line, FIRST_DAY, QUARTERS)
        await run("note_depreciation", one.id, QUARTERS)
        entry, line = entry + QUARTERS, line + 4 * QUARTERS
        await run("make_vat_returns", one.id, FIRST_DAY, QUARTERS)
        made += await run("settle_vat", one.id, entry, line)
        entry, line = entry + 2 * QUARTERS, line + 6 * QUARTERS
        missing = one.lines - made
        if missing % 2:
            await run("book_correction", one.id, entry, line, LAST_DAY)
            entry, line, missing = entry + 1, line + 3, missing - 3
        payments = missing // 2
        unprocessed = min(payments // 4, 12)
        await self._connection.execute(
            sql["book_other_bank_lines"],
            one.id,
            entry,
            line,
            payments,
            one.salt,
            FIRST_DAY,
            LAST_DAY,
            unprocessed,
            one.banks,
        )
        await run("make_sales_invoices", one.id)
        await run("make_open_items", one.id)
        dice = cast.dice_of(self._value, self._environment.name, one.position, "invoices")
        await self._copy(
            "sales_invoice",
            cast.invoices_to_send(dice, first_id=cycles + 1, debtors=one.debtors, last_day=LAST_DAY),
            one.id,
        )

    async def _write_environment(self) -> None:
        dice = cast.dice_of(self._value, self._environment.name, "environment")
        count = len(self._environment.administrations)
        await self._copy(
            "mailbox_message",
            ({"id": n, **asdict(mail)} for n, mail in enumerate(papers.mails(dice, 5 + count, self._mailbox), start=1)),
        )
        await self._copy(
            "scanbox_document",
            ({"id": n, **asdict(scan)} for n, scan in enumerate(papers.scans(dice, 4 + count), start=1)),
        )
        await self._copy("app_connection", cast.app_connections(_noon(FIRST_DAY)))
        await self._copy("app_user", cast.users(dice, domain=f"{self._url_part}.example"))

    async def _run(self, statement: str, *arguments: Any) -> int:
        """Execute a statement and return how many rows it made; 0 for one that makes none."""
        status = await self._connection.execute(self._sql[statement], *arguments)
        last = status.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def _copy(self, table: str, rows: Iterable[Mapping[str, Any]], administration_id: UUID | None = None) -> None:
        """Load rows that all have the same columns."""
        prefix: dict[str, Any] = {} if administration_id is None else {"administration_id": administration_id}
        records = [prefix | dict(row) for row in rows]
        if records:
            await self._connection.copy_records_to_table(
                table, schema_name=self._schema, columns=list(records[0]), records=[tuple(r.values()) for r in records]
            )


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)
