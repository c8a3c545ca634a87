"""The comparison that the manual tells people to make before they release, made for them: every figure, both sides.

It asks about figures that people know (balances, open items, VAT), where the verification of a clone asks about rows.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Connection, rows_of, unless_lost
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import enter_schema, leave_schema
from domain.consequences import bank_status_after_move
from domain.messages import Check, ComparisonReport
from domain.vocabulary import CheckKind

MAX_DIFFERENCES = 5
_MISSING = "missing"
_AT_ONCE = 1000
_SQL = load(__name__)
# What a check counts: one, several.
_NOUNS: Mapping[CheckKind, tuple[str, str]] = {
    CheckKind.BANK_BALANCE: ("account", "accounts"),
    CheckKind.TRIAL_BALANCE: ("account", "accounts"),
    CheckKind.RELATIONS: ("relation", "relations"),
    CheckKind.SALES_PRODUCTS: ("product", "products"),
    CheckKind.OPEN_ITEMS_DEBTOR: ("item", "items"),
    CheckKind.OPEN_ITEMS_CREDITOR: ("item", "items"),
    CheckKind.VAT_RETURNS: ("return", "returns"),
    CheckKind.FIXED_ASSETS: ("asset", "assets"),
    CheckKind.BANK_AND_CASH_ACCOUNTS: ("account", "accounts"),
    CheckKind.BANK_CONNECTIONS: ("connection", "connections"),
    CheckKind.BANK_TRANSACTIONS: ("transaction", "transactions"),
    CheckKind.INVOICES_TO_SEND: ("invoice", "invoices"),
}


@dataclass(frozen=True, slots=True)
class _Figures:
    """One check on one side of one administration."""

    items: int = 0
    amount: Decimal | None = None
    fingerprint: str = ""

    def shown(self, check: CheckKind) -> str:
        counted = _counted(self.items, check)
        return counted if self.amount is None else f"{counted}, {self.amount:.2f}"


async def comparison_report(
    connection: Connection,
    old_schema: str,
    new_schema: str,
    *,
    made_at: datetime,
    old: Connection | None = None,
) -> ComparisonReport:
    """Compare two environments: every check of `CheckKind` for every administration of either.

    A check is equal when all the rows behind it are, not only its total. Bank connections are compared by the rule of a
    move (`domain.consequences.bank_status_after_move`). Of what is unequal, the first five rows are named.

    Args:
        connection: As `sb_owner`; a transaction is opened in it, and nothing is left behind.
        old_schema: The schema of the old environment, which is only read.
        new_schema: The schema of the new environment, which is only read.
        made_at: An aware moment, for the report.
        old: Connected to the old environment's database, when that is another one.
    """
    old = old or connection
    async with connection.transaction(), nullcontext() if old is connection else old.transaction():
        sides = {"old": (old, old_schema), "new": (connection, new_schema)}
        for side, _ in sides.values():
            await side.execute(_SQL["same_words"])
        comparison = _Comparison(sides)
        checks = {check: await comparison.made(check) for check in CheckKind}
        # Per administration, as people work through it.
        ordered = [checks[check][administration] for administration in comparison.names for check in CheckKind]
        for side, _ in sides.values():
            await leave_schema(side)
    return ComparisonReport(made_at=made_at, checks=ordered)


class _Comparison:
    """One comparison, within a transaction."""

    def __init__(self, sides: Mapping[str, tuple[Connection, str]]) -> None:
        self._sides = sides
        self._known: dict[str, dict[UUID, str]] = {}

    @property
    def names(self) -> dict[UUID, str]:
        """Return the names of the administrations of both sides; where they differ, the old one's."""
        return self._known["new"] | self._known["old"]

    async def made(self, check: CheckKind) -> dict[UUID, Check]:
        """Make one check for every administration."""
        if not self._known:
            for side in self._sides:
                rows = await self._fetch(side, _SQL["administrations"])
                self._known[side] = {row["id"]: row["name"] for row in rows}
        if check is CheckKind.BANK_CONNECTIONS:
            return await self._bank_connections()
        detail = _SQL[check]
        old, new = [await self._figures(side, detail) for side in self._sides]
        none = _Figures()
        unequal = [a for a in self.names if old.get(a, none) != new.get(a, none)]
        named = await self._differences(detail, unequal) if unequal else {}
        return {
            a: self._check(a, check, old.get(a, none).shown(check), new.get(a, none).shown(check), named.get(a))
            for a in self.names
        }

    def _check(
        self, administration: UUID, check: CheckKind, old: str, new: str, differences: list[str] | None
    ) -> Check:
        absent = [side for side, known in self._known.items() if administration not in known]
        if absent:
            differences = [f"the {side} environment does not have this administration" for side in absent]
        return Check(
            administration_id=administration,
            administration=self.names[administration],
            check=check,
            old=_MISSING if "old" in absent else old,
            new=_MISSING if "new" in absent else new,
            equal=differences is None,
            differences=differences or [],
        )

    async def _figures(self, side: str, detail: str) -> dict[UUID, _Figures]:
        # One of this module's statements within another: no text from anywhere else is put into SQL.
        rows = await self._fetch(side, _SQL["summarise"].replace("{detail}", detail))
        return {row["administration_id"]: _Figures(row["items"], row["amount"], row["fingerprint"]) for row in rows}

    async def _differences(self, detail: str, administrations: list[UUID]) -> dict[UUID, list[str]]:
        connection, _ = self._sides["new"]
        await connection.execute(_SQL["make_detail_table"])
        await connection.execute(_SQL["clear_detail"])
        for name, (side, schema) in self._sides.items():
            await enter_schema(side, schema)
            if side is connection:
                await connection.execute(_SQL["keep_detail"].replace("{detail}", detail), name)
            else:
                carried = rows_of(side, _SQL["carry_detail"].replace("{detail}", detail), name, at_once=_AT_ONCE)
                async with unless_lost(connection):
                    await connection.copy_records_to_table(
                        "sb_comparison_detail", schema_name="pg_temp", records=carried
                    )
        named = {}
        for administration in administrations:
            rows = await connection.fetch(_SQL["differences"], administration, MAX_DIFFERENCES)
            named[administration] = [_difference(row) for row in rows]
        return named

    async def _bank_connections(self) -> dict[UUID, Check]:
        sides = {}
        for side in self._sides:
            rows = await self._fetch(side, _SQL["bank_connections"])
            sides[side] = {(row["administration_id"], row["id"]): row for row in rows}
        found: dict[UUID, list[str]] = {administration: [] for administration in self.names}
        for key in sorted(sides["old"].keys() | sides["new"].keys()):
            problem = _connection_problem(sides["old"].get(key), sides["new"].get(key))
            if problem is not None:
                found[key[0]].append(problem)
        checks = {}
        for administration in self.names:
            old, new = (
                _connections_shown([row for key, row in rows.items() if key[0] == administration])
                for rows in (sides["old"], sides["new"])
            )
            problems = found[administration][:MAX_DIFFERENCES]
            checks[administration] = self._check(administration, CheckKind.BANK_CONNECTIONS, old, new, problems or None)
        return checks

    async def _fetch(self, side: str, statement: str) -> list[asyncpg.Record]:
        connection, schema = self._sides[side]
        await enter_schema(connection, schema)
        return list(await connection.fetch(statement))


def _counted(items: int, check: CheckKind) -> str:
    one, several = _NOUNS[check]
    return f"{items} {one if items == 1 else several}"


def _difference(row: asyncpg.Record) -> str:
    if row["only_old"]:
        return f"{row['item']}: only in the old environment"
    if row["only_new"]:
        return f"{row['item']}: only in the new environment"
    if row["old_amount"] != row["new_amount"]:
        return f"{row['item']}: {row['old_amount']} in the old environment, {row['new_amount']} in the new one"
    return f"{row['item']}: the amount is equal, other figures differ"


def _connections_shown(rows: list[asyncpg.Record]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    states = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    counted = _counted(len(rows), CheckKind.BANK_CONNECTIONS)
    return f"{counted}: {states}" if rows else counted


def _connection_problem(old: asyncpg.Record | None, new: asyncpg.Record | None) -> str | None:
    if old is None or new is None:
        present = old or new
        assert present is not None  # noqa: S101 - the key came from one of the two sides
        side = "new" if old is None else "old"
        return f"{present['bank']} {present['iban']}: only in the {side} environment"
    name = f"{old['bank']} {old['iban']}"
    if old["figures"] != new["figures"]:
        return f"{name}: bank, account or consent differs"
    expected = bank_status_after_move(
        bank=old["bank"], old_status=old["status"], consent_reference=old["consent_reference"]
    )
    return None if new["status"] == expected else f"{name}: {new['status']} where {expected} is expected"
