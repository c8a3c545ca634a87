"""Asks the rows of an environment what no definition tells: whether they meet the rules that a copy holds them against.

Every answer is the server's own, of the expressions that it will evaluate in the evening. A question may take its time
only within a limit; what is not answered by then is unasked, and asked again when the environment is frozen.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import cast

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.contained import ask, let_in
from adapters.postgres.statements import load
from adapters.schema import catalog
from adapters.schema.blueprint import Rename, StoredTable
from adapters.schema.obstacles import obstacle
from domain.messages import Obstacle

_SQL = load(__name__)
_SAFE_REFRESH = 17  # the PostgreSQL since which a view is filled without the environment in the search_path
# The moments at which a rule that hangs on the clock has to hold: from now until the ticket has long expired.
_MOMENTS = ("0 hours", "7 hours", "1 day", "8 days", "31 days", "130 days")
_CLOCK = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*"
    | \b(?P<moment>(?:now|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)|CURRENT_TIMESTAMP(?:\(\d\))?)
    | \b(?P<local>LOCALTIMESTAMP(?:\(\d\))?) | \b(?P<date>CURRENT_DATE)\b""",
    re.VERBOSE,
)
_MOVABLE = frozenset(
    {"now", "clock_timestamp", "statement_timestamp", "transaction_timestamp"}
    | {"CURRENT_TIMESTAMP", "LOCALTIMESTAMP", "CURRENT_DATE"}
)
# Of keys that are asked at once: the tables of each, and how many.
_SMALL_BYTES, _AT_ONCE = 4 * 1024 * 1024, 100
# What tells whether rows are the same to an index that lets no two such rows be, by its kind.
_ALIKE = {"unique": "twice", "exclusion": "excluded"}
_NO_ANSWER = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)


class RowQuestions:
    """What is asked of one environment's rows, in a transaction that has entered its schema."""

    def __init__(
        self, connection: Connection, schema: str, copy: str, rename: Rename, *, limit: timedelta | None
    ) -> None:
        """Take the schema, an empty copy of it, and how long all answers may take; for ever, if None."""
        self._connection = connection
        self._schema = schema
        self._copy = copy
        self._rename = rename
        self._ends = None if limit is None else time.monotonic() + limit.total_seconds()
        self._stored: dict[str, StoredTable] = {}
        self.obstacles: list[Obstacle] = []
        self.unasked: list[str] = []
        self.needed_copy = False
        """Whether rows were held against the copy, and not only against what they are."""

    async def ask(self, tables: Sequence[StoredTable] = ()) -> None:
        """Ask everything; small tables first, so that a large one keeps no answer of theirs.

        Args:
            tables: What the copy was made of; none, where it is known that no question needs a copy.
        """
        connection = self._connection
        async with catalog.by_index(connection):
            await connection.execute(_SQL["prepare"])
            rules, computed, keys, views = [
                await connection.fetch(_SQL[name]) for name in ("rules", "computed", "keys", "views")
            ]
        self.needed_copy = bool(computed or views or any(row["domain"] for row in rules))
        if await connection.fetchval(_SQL["has_code"]):
            await let_in(connection, self._schema)
            await let_in(connection, self._copy)
        zones = await catalog.time_zones(connection)
        self._stored |= {table.name: table for table in tables}
        by_table = [[*rows] for _, rows in groupby(rules, lambda row: str(row["name"]))]
        broken: list[Obstacle] = []
        questions: list[tuple[Sequence[asyncpg.Record], Callable[[], Awaitable[None]]]] = [
            *((rows, partial(self._ask_rules, rows, zones[0], broken)) for rows in by_table),
            *(([row], partial(self._ask_computed, row)) for row in computed),
            *((rows, partial(self._ask_keys, rows)) for rows in _together(keys)),
            *(([row], partial(self._ask_view, row)) for row in views),
        ]
        for rows, question in sorted(questions, key=lambda pair: int(pair[0][-1]["bytes"])):
            await self._within(rows, question)
        if broken:
            asked = [rows for rows in by_table if rows[0]["name"] not in self.unasked]
            if not await self._hold_in_another_zone(asked, zones[1:]):
                self.obstacles += [one for place, one in enumerate(broken) if one not in broken[:place]]
        self.unasked = sorted(set(self.unasked))

    # --- rules --------------------------------------------------------------------------------------------------------

    async def _hold_in_another_zone(self, by_table: list[list[asyncpg.Record]], zones: list[str]) -> bool:
        """Tell whether all rows meet their checks in one of these time zones: that of the sessions that wrote them."""
        for zone in zones:
            broken: list[Obstacle] = []
            for rows in by_table:
                await self._within(rows, partial(self._ask_rules, rows, zone, broken))
            if not broken:
                return True
        return False

    async def _ask_rules(self, rows: list[asyncpg.Record], zone: str, broken: list[Obstacle]) -> None:
        for row in rows:
            clocks = ", ".join(row["clocks"])
            moments = [_at(row["expression"], moment) for moment in _MOMENTS] if clocks else [row["expression"]]
            # Nothing can be told of a rule whose clock is inside a function, or which draws lots.
            hidden = row["hangs"] or not _MOVABLE.issuperset(row["clocks"])
            try:
                if row["domain"] and not hidden:
                    found = await self._breaks_domain(row, zone, moments if clocks else [])
                else:
                    test = "true" if hidden else " or ".join(f"not ({one})" for one in moments)
                    found = bool(await self._value(_SQL["breaks"].format(table=row["quoted"], test=test), zone=zone))
            except asyncpg.PostgresError as error:
                broken.append(_raised(row["what"], error))
                continue
            if found and (clocks or hidden):
                broken.append(obstacle("clock" if clocks else "hidden_clock", row["what"], clocks))
            elif found:
                table = [self._stored[row["name"]].table] if row["domain"] else []
                broken.append(obstacle("broken_domain" if table else "broken", row["what"], *table))

    async def _breaks_domain(self, row: asyncpg.Record, zone: str, moments: list[str]) -> bool:
        """Tell whether a table has values that the copy's domain does not take, now or with its rule of some moment."""
        connection, statement = self._connection, _SQL["domain_values"].format(**self._as_carried(row))
        domain, rules = self._rename(row["domain"]), [self._rename(moment) for moment in moments]
        firsts = [await connection.fetchval(_SQL["at_moment"], domain, row["rule"], rule) for rule in rules] or [""]
        for first in firsts:
            try:
                await self._value(statement, zone=zone, there=self._copy, first=first)
            except asyncpg.CheckViolationError:
                return True
        return False

    # --- what is computed ---------------------------------------------------------------------------------------------

    async def _ask_computed(self, row: asyncpg.Record) -> None:
        """Compute what the copy will, with its own functions, while its tables are empty as they are then."""
        if row["hangs"] and row["kind"] == "column":
            if await self._value(_SQL["breaks"].format(table=row["quoted"], test="true")):
                self.obstacles.append(obstacle("hidden_clock", row["what"]))
        else:
            await self._ask_value(row)

    async def _ask_value(self, row: asyncpg.Record) -> None:
        names = self._as_carried(row)
        here = names | {"expression": row["expression"], "predicate": row["predicate"] or "true"}
        there, path = names | {name: self._rename(here[name]) for name in ("expression", "predicate")}, self._copy
        if row["every"]:
            there, path = here | {"columns": row["every"], "expressions": row["every"]}, self._schema
        column = row["kind"] == "column"
        try:
            differs = await self._value(_SQL["differs" if column else "index_values"].format(**there), there=path)
            if row["kind"] in _ALIKE:
                pairs = {"names": row["names"], "pairs": row["pairs"]}
                differs = await self._value(_SQL[_ALIKE[row["kind"]]].format(**here, **pairs))
        except asyncpg.PostgresError as error:
            self.obstacles.append(_raised(row["what"], error))
        else:
            if differs:
                self.obstacles.append(obstacle("computed" if column else "twice", row["what"]))

    # --- keys and views -----------------------------------------------------------------------------------------------

    async def _ask_keys(self, rows: Sequence[asyncpg.Record]) -> None:
        """Ask for orphans of several keys at once, and one key after another where that fails."""
        statements = ", ".join(f"({row['statement']})" for row in rows)
        try:
            answers = cast(list[bool], await self._value(_SQL["together"].format(statements=statements)))
        except asyncpg.PostgresError as error:
            if len(rows) == 1:
                self.obstacles.append(_raised(rows[0]["what"], error))
            else:
                for row in rows:
                    await self._within([row], partial(self._ask_keys, [row]))
            return
        self.obstacles += [obstacle("orphans", row["what"]) for row, found in zip(rows, answers, strict=True) if found]

    async def _ask_view(self, row: asyncpg.Record) -> None:
        safe = self._connection.get_server_version().major >= _SAFE_REFRESH
        try:
            await self._value(row["statement"], there="pg_catalog" if safe else self._schema)
        except asyncpg.PostgresError as error:
            self.obstacles.append(_raised(row["what"], error))

    # --- how ----------------------------------------------------------------------------------------------------------

    async def _within(self, rows: Sequence[asyncpg.Record], question: Callable[[], Awaitable[None]]) -> None:
        """Ask within what is left of the time, or remember of which tables it was not asked."""
        try:
            await question()
        except _NO_ANSWER:
            self.unasked += [row["name"] for row in rows]

    async def _value(
        self, statement: str, *, zone: str | None = None, there: str | None = None, first: str = ""
    ) -> object:
        """Return one value of a statement that can change nothing, and whose locks are let go of at once.

        Its names are bound to the server's own, whatever the functions that its rows pass through find then.

        Args:
            statement: The question.
            zone: The time zone that it is asked in.
            there: The schema whose names are found; the environment's, if left out.
            first: What is run before, and taken back with everything else.
        """
        left = 0 if self._ends is None else round(1000 * (self._ends - time.monotonic()))
        if self._ends is not None and left <= 0:
            raise asyncpg.QueryCanceledError("the time is up")
        connection = self._connection
        bounds = await connection.fetchval(_SQL["bounds"], str(left), zone)
        [answer] = await ask(
            connection,
            statement,
            path=there or self._schema,
            first=f"{first};\n{bounds}" if first else bounds,
        )
        return answer[0]

    def _as_carried(self, row: asyncpg.Record) -> dict[str, str]:
        """Return what a statement says of a table whose rows are read as the copy gets them."""
        table = self._stored[row["name"]]
        return {
            "table": row["quoted"],
            "name": table.table,
            "columns": table.columns or "nothing",
            "expressions": table.expressions or "null",
            "stored": row.get("stored") or "null",
        }


def _together(keys: Sequence[asyncpg.Record]) -> Iterator[Sequence[asyncpg.Record]]:
    """Divide keys, smallest tables first, into groups that are asked at once: those of large tables are alone."""
    small = [row for row in keys if row["bytes"] < _SMALL_BYTES]
    for first in range(0, len(small), _AT_ONCE):
        yield small[first : first + _AT_ONCE]
    yield from ([row] for row in keys[len(small) :])


def _at(expression: str, later: str) -> str:
    """Return a rule as it will be some time from now."""

    def moved(match: re.Match[str]) -> str:
        moment = f"(pg_catalog.now() + '{later}'::interval)"
        kinds = {"moment": moment, "local": f"({moment})::timestamp", "date": f"({moment})::date"}
        return f"({kinds[match.lastgroup]})" if match.lastgroup else match[0]

    return _CLOCK.sub(moved, expression)


def _raised(what: str, error: asyncpg.PostgresError) -> Obstacle:
    if isinstance(error, _NO_ANSWER):
        raise error
    kind = "denied" if isinstance(error, asyncpg.InsufficientPrivilegeError) else "raises"
    return obstacle(kind, what, str(error).splitlines()[0])
