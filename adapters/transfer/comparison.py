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
from adapters.postgres.contained import ask, asked, bound
from adapters.postgres.statements import load, within
from domain.comparison import CONTENTS
from domain.consequences import bank_status_after_move
from domain.messages import Check, ComparedRow, ComparisonReport, Figures
from domain.vocabulary import CheckKind, ConnectionStatus

MAX_DIFFERENCES = 5
_AT_ONCE = 1000
_MOST_WORDS = 12
# As `_place` has it.
_ORDER = "place, administration_id, id"
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
        made = await _made(sides, list(names), keep)
    # Per administration, as people work through it.
    checks = [
        made[check, one].check(one, name, check, there_before=one in old, there_now=one in new)
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
        async for _, _, row in _rows(sides, [check], [administration]):
            yield row


async def rows_kept(connection: Connection, transfer_id: UUID) -> Keep:
    """Return what keeps the rows of a transfer's comparison, in the caller's transaction in the home database."""
    await connection.execute(_SQL["forget_rows"], transfer_id)

    async def keep(administration: UUID, check: CheckKind, equal: bool, part: int, rows: list[ComparedRow]) -> None:  # noqa: FBT001 - `Keep`
        told = to_json(rows).decode()
        await connection.execute(_SQL["keep_rows"], transfer_id, administration, check, equal, part, told)

    return keep


# Amounts stay the text that the server gave: a float would lose cents. One decoder for all: to make one is half of what
# a row costs.
_facts = json.JSONDecoder(parse_float=str).decode


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
        kept = self._kept[row.equal]
        kept.append(row)
        return self.rest(_AT_ONCE) if len(kept) >= _AT_ONCE else []

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
    sides: EnvironmentPair, administrations: Sequence[UUID], keep: Keep | None
) -> dict[tuple[CheckKind, UUID], _Made]:
    """Make every check for every administration, in one reading of both sides."""
    made = {(check, one): _Made(check) for check in CheckKind for one in administrations}
    last: tuple[CheckKind, UUID] | None = None

    async def kept(behind: tuple[CheckKind, UUID], parts: Sequence[tuple[bool, int, list[ComparedRow]]]) -> None:
        check, administration = behind
        for equal, part, rows in parts:
            if keep is not None:
                await keep(administration, check, equal, part, rows)

    async for check, administration, row in _rows(sides, [*CheckKind], administrations):
        behind = check, administration
        if last is not None and last != behind:
            await kept(last, made[last].rest())
        last = behind
        await kept(behind, made[behind].add(row))
    if last is not None:
        await kept(last, made[last].rest())
    return made


async def _administrations(side: tuple[Connection, str]) -> list[asyncpg.Record]:
    connection, schema = side
    return await ask(connection, within(_SQL["administrations"], schema), schema)


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


def _question(checks: Sequence[CheckKind]) -> str:
    """Return one query for all of these: to contain a question takes longer than the books of a small firm do."""
    of_one = _SQL["rows_of_one"]
    return "\nunion all\n".join(
        of_one.replace("{place}", str(place)).replace("{detail}", _detail(one)) for place, one in enumerate(checks)
    )


async def _rows(
    sides: EnvironmentPair, checks: Sequence[CheckKind], administrations: Sequence[UUID]
) -> AsyncIterator[tuple[CheckKind, UUID, ComparedRow]]:
    """Put the rows of both sides beside each other, by check, administration and id, in the caller's transactions."""
    statement = bound(_question(checks), administrations)
    async with AsyncExitStack() as opened:
        readers = []
        for connection, schema in sides.pairs():
            answers = await opened.enter_async_context(
                asked(connection, within(statement, schema), schema, order=_ORDER, beside_writes=True)
            )
            reader = connection.cursor(answers, prefetch=_AT_ONCE).__aiter__()
            readers.append((reader, await anext(reader, None)))
        (old_reader, old), (new_reader, new) = readers
        while old is not None or new is not None:
            at, at_new = _place(old), _place(new)
            place = at if at_new is None or (at is not None and at <= at_new) else at_new
            here, there = old if at == place else None, new if at_new == place else None
            if place is None:
                raise AssertionError("one of the two has a row")
            check = checks[place[0]]
            yield check, place[1], _compared(here, there, sides, check)
            old = await anext(old_reader, None) if here is not None else old
            new = await anext(new_reader, None) if there is not None else new


def _place(row: asyncpg.Record | None) -> tuple[int, UUID, str] | None:
    return None if row is None else (row["place"], row["administration_id"], row["id"])


def _compared(
    old: asyncpg.Record | None, new: asyncpg.Record | None, sides: EnvironmentPair, check: CheckKind
) -> ComparedRow:
    before = None if old is None else _facts(old["facts"])
    if old is not None and new is not None and old["facts"] == new["facts"] and check is not CheckKind.BANK_CONNECTIONS:
        after = before  # nearly every row of nearly every move
    else:
        after = None if new is None else _facts(new["facts"])
    equal = old is not None and new is not None and old["figures"] == new["figures"]
    if check is CheckKind.BANK_CONNECTIONS:
        equal = _connected(before, after, moved=sides.moved) and equal
    present = old if old is not None else new
    if present is None:
        raise AssertionError("the place came from one of the two sides")
    # Not validated: what the server says is what its statement makes, and a large environment has a million rows.
    return ComparedRow.model_construct(item=present["item"], old=before, new=after, equal=equal)


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
