"""Asks the rows of an environment what no definition tells: whether they meet the rules that a copy holds them against.

Every answer is the server's own, of the expressions that it will evaluate in the evening. A question may take its time
only within a limit; what is not answered by then is unasked, and asked again when the environment is frozen.
"""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import groupby

import asyncpg

from adapters.postgres.connection import Connection
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
        self.obstacles: list[Obstacle] = []
        self.unasked: list[str] = []

    async def ask(self, tables: Sequence[StoredTable]) -> None:
        """Ask everything; small tables first, so that a large one keeps no answer of theirs."""
        connection = self._connection
        async with catalog.by_index(connection):
            await connection.execute(_SQL["prepare"])
            rules = await connection.fetch(_SQL["rules"])
            computed = await connection.fetch(_SQL["computed"])
            keys = await connection.fetch(_SQL["keys"])
            views = await connection.fetch(_SQL["views"])
        zones = await catalog.time_zones(connection)
        stored = {table.name: table for table in tables}
        by_table = [[*rows] for _, rows in groupby(rules, lambda row: str(row["name"]))]
        broken: list[Obstacle] = []
        questions = [(rows[0], partial(self._ask_rules, rows, zones[0], broken)) for rows in by_table]
        questions += [(row, partial(self._ask_computed, stored[row["name"]], row, zones)) for row in computed]
        questions += [(row, partial(self._ask_key, row)) for row in keys]
        questions += [(row, partial(self._ask_view, row)) for row in views]
        for row, question in sorted(questions, key=lambda pair: int(pair[0]["bytes"])):
            await self._within(row["name"], question)
        if broken:
            asked = [rows for rows in by_table if rows[0]["name"] not in self.unasked]
            if not await self._hold_in_another_zone(asked, zones[1:]):
                self.obstacles += broken
        self.unasked = sorted(set(self.unasked))

    # --- rules --------------------------------------------------------------------------------------------------------

    async def _hold_in_another_zone(self, by_table: list[list[asyncpg.Record]], zones: list[str]) -> bool:
        """Tell whether all rows meet their checks in one of these time zones: that of the sessions that wrote them."""
        for zone in zones:
            broken: list[Obstacle] = []
            for rows in by_table:
                await self._within(rows[0]["name"], partial(self._ask_rules, rows, zone, broken))
            if not broken:
                return True
        return False

    async def _ask_rules(self, rows: list[asyncpg.Record], zone: str, broken: list[Obstacle]) -> None:
        for row in rows:
            clocks = ", ".join(row["clocks"])
            moments = [_at(row["expression"], moment) for moment in _MOMENTS] if clocks else [row["expression"]]
            # Nothing can be told of a rule whose clock is inside a function, or which draws lots.
            hidden = row["hangs"] or not _MOVABLE.issuperset(row["clocks"])
            test = "true" if hidden else " or ".join(f"not ({one})" for one in moments)
            try:
                found = await self._value(_SQL["breaks"].format(table=row["quoted"], test=test), zone=zone)
            except asyncpg.PostgresError as error:
                broken.append(_raised(row["what"], error))
            else:
                if found:
                    broken.append(obstacle("clock", row["what"], clocks) if clocks else obstacle("broken", row["what"]))

    # --- what is computed ---------------------------------------------------------------------------------------------

    async def _ask_computed(self, table: StoredTable, row: asyncpg.Record, zones: list[str]) -> None:
        """Compute what the copy will, with its own functions, while its tables are empty as they are then."""
        if row["hangs"] and row["kind"] != "index":
            if await self._value(_SQL["breaks"].format(table=row["quoted"], test="true")):
                self.obstacles.append(obstacle("hidden_clock", row["what"]))
        elif row["kind"] == "domain":
            await self._ask_domain(table, row, zones)
        else:
            await self._ask_value(table, row)

    async def _ask_domain(self, table: StoredTable, row: asyncpg.Record, zones: list[str]) -> None:
        statement = _SQL["domain_values"].format(**_as_carried(table, row))
        for zone in zones:
            try:
                await self._value(statement, zone=zone, there=self._copy)
            except asyncpg.CheckViolationError:
                continue
            except asyncpg.PostgresError as error:
                self.obstacles.append(_raised(row["what"], error))
            return
        self.obstacles.append(obstacle("broken_domain", row["what"], table.table))

    async def _ask_value(self, table: StoredTable, row: asyncpg.Record) -> None:
        names = _as_carried(table, row)
        here = names | {"expression": row["expression"], "predicate": row["predicate"] or "true"}
        there, path = names | {name: self._rename(here[name]) for name in ("expression", "predicate")}, self._copy
        if row["every"]:
            there, path = here | {"columns": row["every"], "expressions": row["every"]}, self._schema
        column = row["kind"] == "column"
        try:
            differs = await self._value(_SQL["differs" if column else "index_values"].format(**there), there=path)
            if row["kind"] == "unique":
                differs = await self._value(_SQL["twice"].format(**here))
        except asyncpg.PostgresError as error:
            self.obstacles.append(_raised(row["what"], error))
        else:
            if differs:
                self.obstacles.append(obstacle("computed" if column else "twice", row["what"]))

    # --- keys and views -----------------------------------------------------------------------------------------------

    async def _ask_key(self, row: asyncpg.Record) -> None:
        if await self._value(row["statement"]):
            self.obstacles.append(obstacle("orphans", row["what"]))

    async def _ask_view(self, row: asyncpg.Record) -> None:
        safe = self._connection.get_server_version().major >= _SAFE_REFRESH
        try:
            await self._value(row["statement"], there="pg_catalog" if safe else self._schema)
        except asyncpg.PostgresError as error:
            self.obstacles.append(_raised(row["what"], error))

    # --- how ----------------------------------------------------------------------------------------------------------

    async def _within(self, table: str, question: Callable[[], Awaitable[None]]) -> None:
        """Ask within what is left of the time, or remember that it was not asked."""
        try:
            await question()
        except _NO_ANSWER:
            self.unasked.append(table)

    async def _value(self, statement: str, *, zone: str | None = None, there: str | None = None) -> object:
        """Return one value of a statement that cannot write, and whose locks are let go of at once."""
        left = 0 if self._ends is None else round(1000 * (self._ends - time.monotonic()))
        if self._ends is not None and left <= 0:
            raise asyncpg.QueryCanceledError("the time is up")
        connection = self._connection
        asking = connection.transaction()
        await asking.start()
        try:
            await connection.execute(_SQL["limits"], str(left))
            # A view's names are bound when it is made: to the server's own, whatever rows' functions then find.
            view = f"sb_question_{uuid.uuid4().hex}"  # a name of its own: what is known of one is taken for the next
            await connection.execute(f"create temporary view {view} as {statement}")
            await connection.execute("set transaction read only")
            if zone is not None:
                await connection.execute(_SQL["zone"], zone)
            await catalog.enter_rows(connection, there or self._schema)
            return await connection.fetchval(f"table pg_temp.{view}")
        finally:
            await asking.rollback()


def _as_carried(table: StoredTable, row: asyncpg.Record) -> dict[str, str]:
    """Return what a statement says of a table whose rows are read as the copy gets them."""
    return {
        "table": row["quoted"],
        "name": table.table,
        "columns": table.columns or "nothing",
        "expressions": table.expressions or "null",
        "stored": row["stored"] or "null",
    }


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
    return obstacle("raises", what, str(error).splitlines()[0])
