"""The comparison that the manual tells people to make before they release, made for them: every figure, both sides.

It asks about figures that people know (balances, open items, VAT), where the verification of a clone asks about rows.
"""

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import to_json

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load, within
from domain.comparison import CONTENTS
from domain.consequences import bank_status_after_move
from domain.messages import Check, ComparedRow, ComparisonReport, Figures
from domain.vocabulary import CheckKind, ConnectionStatus

MAX_DIFFERENCES = 5
_AT_ONCE = 1000
_MOST_WORDS = 12
_SQL = load(__name__)
_OPEN_ITEMS = {CheckKind.OPEN_ITEMS_DEBTOR: "debtor", CheckKind.OPEN_ITEMS_CREDITOR: "creditor"}
# Takes rows behind a check of an administration: whether they are equal, which part of those, and the rows.
Keep = Callable[[UUID, CheckKind, bool, int, list[ComparedRow]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class EnvironmentPair:
    """Two environments to compare.

    Attributes:
        old: Connected to the old environment's database as sb_owner.
        old_schema: Its schema, which is only read.
        new: Connected to the new environment's database; the same connection when that is the same.
        new_schema: Its schema, which is only read.
        moved: Whether the one came of the other by a move, so that bank connections are compared by the move's rule.
    """

    old: Connection
    old_schema: str
    new: Connection
    new_schema: str
    moved: bool = True

    def pairs(self) -> tuple[tuple[Connection, str], tuple[Connection, str]]:
        """Return connection and schema of the old side and of the new one."""
        return (self.old, self.old_schema), (self.new, self.new_schema)

    @asynccontextmanager
    async def reading(self, as_of: date) -> AsyncIterator[None]:
        """Read both sides in one transaction each, in one wording; ages are counted to a day."""
        async with AsyncExitStack() as opened:
            for connection in {id(one): one for one in (self.old, self.new)}.values():
                await opened.enter_async_context(connection.transaction())
                await connection.execute(_SQL["same_words"], as_of.isoformat())
            yield


async def comparison_report(sides: EnvironmentPair, *, made_at: datetime, keep: Keep | None = None) -> ComparisonReport:
    """Compare two environments: every check of `CheckKind` for every administration of either.

    A check is equal when all the rows behind it are, not only its totals. Bank connections are compared by the rule of
    a move (`domain.consequences.bank_status_after_move`). Of what is unequal, the first five rows are told.

    Args:
        sides: The two environments; a transaction is opened on each, and nothing is left behind.
        made_at: An aware moment, for the report; open items are aged to its day.
        keep: Takes every row, a thousand at a time.
    """
    async with sides.reading(made_at.date()):
        old, new = [{row["id"]: row for row in await _administrations(side)} for side in sides.pairs()]
        names = _told_apart(new | old)
        made = {check: await _made(sides, check, list(names), keep) for check in CheckKind}
    # Per administration, as people work through it.
    checks = [
        made[check][one].check(one, name, check, there_before=one in old, there_now=one in new)
        for one, name in names.items()
        for check in CheckKind
    ]
    return ComparisonReport(made_at=made_at, checks=checks)


async def compared_rows(
    sides: EnvironmentPair, check: CheckKind, administration: UUID, *, as_of: date
) -> AsyncGenerator[ComparedRow, None]:
    """Give every row behind one check of one administration, in an order that stays; so many are held at a time.

    Args:
        sides: The two environments.
        check: Which comparison.
        administration: Whose.
        as_of: The day that open items are aged to: that of the report.
    """
    async with sides.reading(as_of):
        async for _, row in _rows(sides, check, [administration]):
            yield row


async def rows_kept(connection: Connection, transfer_id: UUID) -> Keep:
    """Return what keeps the rows of a transfer's comparison, in the caller's transaction in the home database."""
    await connection.execute(_SQL["forget_rows"], transfer_id)

    async def keep(administration: UUID, check: CheckKind, equal: bool, part: int, rows: list[ComparedRow]) -> None:  # noqa: FBT001 - `Keep`
        told = to_json(rows).decode()
        await connection.execute(_SQL["keep_rows"], transfer_id, administration, check, equal, part, told)

    return keep


class _Sum:
    """What one side of a check comes to, while its rows are read."""

    def __init__(self, check: CheckKind) -> None:
        self._contents = CONTENTS[check]
        self._rows = 0
        self._totals: dict[str, Decimal] = {}
        self._tally: Counter[str] = Counter()

    def add(self, row: Mapping[str, str | int | None] | None) -> None:
        if row is None:
            return
        self._rows += 1
        for name in self._contents.totals:
            self._totals[name] = self._totals.get(name, Decimal()) + Decimal(row[name] or 0)
        if self._contents.tally:
            self._tally[str(row[self._contents.tally])] += 1

    def figures(self) -> Figures:
        return Figures(rows=self._rows, totals=self._totals, tally=dict(self._tally.most_common(_MOST_WORDS)))


class _Made:
    """One check of one administration, while its rows are read."""

    def __init__(self, check: CheckKind) -> None:
        self._old, self._new = _Sum(check), _Sum(check)
        self._differences: list[ComparedRow] = []
        # By whether they are equal: those that differ are read first.
        self._kept: dict[bool, list[ComparedRow]] = {False: [], True: []}
        self._parts: Counter[bool] = Counter()

    def add(self, row: ComparedRow) -> list[tuple[bool, int, list[ComparedRow]]]:
        """Count a row; return what is to be kept now."""
        self._old.add(row.old)
        self._new.add(row.new)
        if not row.equal and len(self._differences) < MAX_DIFFERENCES:
            self._differences.append(row)
        self._kept[row.equal].append(row)
        return self.rest(_AT_ONCE)

    def rest(self, at_least: int = 1) -> list[tuple[bool, int, list[ComparedRow]]]:
        """Return what is still to be kept, as (equal, part, rows)."""
        found = []
        for equal, rows in self._kept.items():
            if len(rows) >= at_least:
                found.append((equal, self._parts[equal], rows))
                self._parts[equal] += 1
                self._kept[equal] = []
        return found

    def check(self, administration: UUID, name: str, kind: CheckKind, *, there_before: bool, there_now: bool) -> Check:
        return Check(
            administration_id=administration,
            administration=name,
            check=kind,
            old=self._old.figures() if there_before else None,
            new=self._new.figures() if there_now else None,
            equal=there_before and there_now and not self._differences,
            differences=self._differences,
        )


async def _made(
    sides: EnvironmentPair, check: CheckKind, administrations: Sequence[UUID], keep: Keep | None
) -> dict[UUID, _Made]:
    """Make one check for every administration, in one reading of both sides."""
    made = {administration: _Made(check) for administration in administrations}
    last: UUID | None = None

    async def kept(administration: UUID, parts: Sequence[tuple[bool, int, list[ComparedRow]]]) -> None:
        for equal, part, rows in parts:
            if keep is not None:
                await keep(administration, check, equal, part, rows)

    async for administration, row in _rows(sides, check, administrations):
        if last is not None and last != administration:
            await kept(last, made[last].rest())
        last = administration
        await kept(administration, made[administration].add(row))
    if last is not None:
        await kept(last, made[last].rest())
    return made


async def _administrations(side: tuple[Connection, str]) -> list[asyncpg.Record]:
    connection, schema = side
    return list(await connection.fetch(within(_SQL["administrations"], schema)))


def _told_apart(administrations: Mapping[UUID, asyncpg.Record]) -> dict[UUID, str]:
    """Return the administrations by name, those of one name with what tells them apart."""
    often = Counter(row["name"] for row in administrations.values())
    numbers = Counter((row["name"], row["number"]) for row in administrations.values())
    named = {}
    for one, row in administrations.items():
        name, number = row["name"], row["number"]
        if often[name] > 1:
            own = number and numbers[name, number] == 1
            name += f" (KvK {number})" if own else f" ({str(one)[:8]})"
        named[one] = name
    return dict(sorted(named.items(), key=lambda item: (administrations[item[0]]["name"], item[1], item[0])))


def _detail(check: CheckKind) -> str:
    # One of this module's statements within another: no text from anywhere else is put into SQL.
    kind = _OPEN_ITEMS.get(check)
    return _SQL[check] if kind is None else _SQL["open_items"].replace("{kind}", kind)


async def _rows(
    sides: EnvironmentPair, check: CheckKind, administrations: Sequence[UUID]
) -> AsyncIterator[tuple[UUID, ComparedRow]]:
    """Put the rows of both sides beside each other, by administration and id, in the caller's transactions."""
    statement = _SQL["rows"].replace("{detail}", _detail(check))
    readers = []
    for connection, schema in sides.pairs():
        reader = connection.cursor(within(statement, schema), administrations, prefetch=_AT_ONCE).__aiter__()
        readers.append((reader, await anext(reader, None)))
    (old_reader, old), (new_reader, new) = readers
    while old is not None or new is not None:
        place = min(_place(row) for row in (old, new) if row is not None)
        here = old if old is not None and _place(old) == place else None
        there = new if new is not None and _place(new) == place else None
        yield place[0], _compared(here, there, sides, check)
        old = await anext(old_reader, None) if here is not None else old
        new = await anext(new_reader, None) if there is not None else new


def _place(row: asyncpg.Record) -> tuple[UUID, str]:
    return row["administration_id"], row["id"]


def _compared(
    old: asyncpg.Record | None, new: asyncpg.Record | None, sides: EnvironmentPair, check: CheckKind
) -> ComparedRow:
    # Amounts stay the text that the server gave: a float would lose cents.
    before, after = [None if row is None else json.loads(row["facts"], parse_float=str) for row in (old, new)]
    equal = old is not None and new is not None and old["figures"] == new["figures"]
    if check is CheckKind.BANK_CONNECTIONS:
        equal = _connected(before, after, moved=sides.moved) and equal
    present = old if old is not None else new
    if present is None:
        raise AssertionError("the place came from one of the two sides")
    return ComparedRow(item=present["item"], old=before, new=after, equal=equal)


def _connected(before: dict[str, Any] | None, after: dict[str, Any] | None, *, moved: bool) -> bool:
    """Tell whether a bank connection is as it should be; add what is to be done, and take its consent away."""
    expected = before and before["status"]
    if before is not None:
        consent = before.pop("consent_reference")
        # "In de oude administratie hoef je niets te doen."
        before["to_do"] = "nothing"
        if moved:
            expected = bank_status_after_move(
                bank=before["bank"], old_status=before["status"], consent_reference=consent
            )
    if after is not None:
        del after["consent_reference"]
        after["to_do"] = "activate" if after["status"] == ConnectionStatus.NEEDS_REACTIVATION else "nothing"
    return after is not None and after["status"] == expected
