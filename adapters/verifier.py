"""Proves two environments equal: every row by its bytes, everything else by what the server says its definition is.

It shares no code and no statement with the clone engine, so that a mistake in one shows in the other.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import uuid5

import asyncpg

from adapters.docket import hold_forward, tell
from adapters.postgres import Connection, Pool, transaction, translated_errors
from adapters.statements import load
from domain.errors import EnvironmentUnknown
from domain.messages import CloneProgress, TableDifference, Verification, VerifyClone
from domain.ports import ReportProgress

EVENT_KIND = "clone_verified"
MAX_KEYS = 20
MAX_DIFFERENCES = 100
CHUNK_BYTES = 64 * 1024 * 1024
_REPORT_SECONDS = 0.5
_MAX_DEFINITION = 200
_LAST_BLOCK = 2**32 - 2
_OLD, _NEW = "the old environment", "the new environment"
_NOTHING: Mapping[str, frozenset[str]] = MappingProxyType({})
_SQL = load("verify")

Facts = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class _Type:
    """A type as the rows of one schema use it."""

    kind: str
    own: bool
    sendable: bool
    part: int | None
    part_quoted: str | None
    fields: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """One side of a table: names quoted by the server, sizes as they are now."""

    object: str
    quoted: str
    readable: bool
    estimate: int
    pages: int
    bytes: int
    columns: Mapping[str, tuple[str, int]]
    key: tuple[str, ...]


@dataclass(slots=True)
class _Side:
    """What is known of one schema."""

    schema: str
    facts: Facts
    tables: dict[str, _Table]
    types: dict[int, _Type]

    def bare(self, table: str, column: str) -> str:
        """Return the expression of a column's value."""
        return f"t.{self.tables[table].columns[column][0]}"

    def exact(self, table: str, column: str) -> str:
        """Return an expression that says everything about a column's value and nothing about this schema's ids."""
        return self._exact(self.bare(table, column), self.tables[table].columns[column][1])

    def row(self, table: str, columns: tuple[str, ...]) -> str:
        return ", ".join(self.exact(table, column) for column in columns)

    def _exact(self, value: str, type_id: int, depth: int = 0) -> str:
        """Take a value apart as far as its types are this schema's own: their ids are part of what the server sends."""
        found = self.types[type_id]
        if not found.own:
            return value if found.sendable else f"({value})::pg_catalog.text"
        if found.kind == "domain":
            return self._exact(f"({value})::{found.part_quoted}", self._part(found), depth)
        if found.kind == "enum":
            return f"enum_send({value})"
        pieces = self._pieces(value, found, depth)
        if pieces is None:
            return f"({value})::pg_catalog.text"
        # IS NULL is also true of a row whose every field is null.
        return f"case when num_nulls({value}) = 0 then row({', '.join(pieces)}) end"

    def _pieces(self, value: str, whole: _Type, depth: int) -> list[str] | None:
        """Return what a value is made of; None for a base type, which nobody can look into."""
        match whole.kind:
            case "composite":
                return [self._exact(f"({value}).{name}", part, depth) for name, part in whole.fields]
            case "range":
                kinds = [f"{kind}({value})" for kind in ("isempty", "lower_inc", "upper_inc", "lower_inf", "upper_inf")]
                return kinds + [self._exact(f"{end}({value})", self._part(whole), depth) for end in ("lower", "upper")]
            case "array" | "multirange":
                # Each level has a name of its own, so that an inner one cannot hide the value it is taken from.
                element = self._exact(f"e{depth}.x", self._part(whole), depth + 1)
                elements = _fragment("elements").format(element=element, value=value, alias=f"e{depth}")
                return [f"array_dims({value})", elements] if whole.kind == "array" else [elements]
        return None

    def _part(self, whole: _Type) -> int:
        if whole.part is None:
            raise AssertionError(f"a {whole.kind} is made of something")
        return whole.part


def _fragment(name: str) -> str:
    """Return a piece of a statement without its description."""
    return _SQL[name].split("\n", 1)[1]


@dataclass(slots=True)
class _Pair:
    """A table that both sides have, and the columns that are compared: the old side's live ones, in its order."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] | None
    sums: dict[str, list[int]] = field(default_factory=dict)
    open_units: int = 0
    unreadable: str = ""

    @property
    def equal(self) -> bool:
        old, new = self.sums.values()
        return not self.unreadable and old == new


@dataclass(frozen=True, slots=True)
class _Unit:
    """A range of pages of one side of a table."""

    pair: _Pair
    side: _Side
    first: int
    last: int
    bytes: int


class _Course:
    """How far a comparison is."""

    def __init__(self, report: ReportProgress) -> None:
        self._report = report
        self._began = time.monotonic()
        self.rows_total = self.rows_done = self.bytes_total = self.bytes_done = 0
        self.tables_total = self.tables_done = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def tell(self) -> None:
        self._report(
            CloneProgress(
                phase="verify",
                rows_done=self.rows_done,
                rows_total=max(self.rows_total, self.rows_done),
                bytes_done=self.bytes_done,
                bytes_total=self.bytes_total,
                tables_done=self.tables_done,
                tables_total=self.tables_total,
                elapsed_seconds=self.seconds,
            )
        )

    async def keep_telling(self) -> None:
        while True:
            self.tell()
            await asyncio.sleep(_REPORT_SECONDS)


def _silence(_: CloneProgress) -> None:
    """Take a report that nobody asked for."""


class PostgresVerifier:
    """Plays `domain.ports.Verifier`."""

    def __init__(self, pool: Pool, *, parallelism: int) -> None:
        """Take a pool that is connected as sb_owner, and the number of its connections to keep busy."""
        self._pool = pool
        self._parallelism = parallelism

    async def verify(self, order: VerifyClone, report: ReportProgress) -> Verification:
        """Compare a clone with its source, keep the result with the transfer and tell it once.

        Differences are returned, not raised: at most 100, and of each table the first 20 keys.

        Raises:
            Superseded: The transfer is being undone.
            Unavailable: The server is away; try again.
        """
        await self._hold(order)
        try:
            verification = await self._compare(order.source_schema, order.target_schema, _NOTHING, report)
        except (EnvironmentUnknown, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            await self._hold(order)  # an undo that began meanwhile drops the clone from under us
            raise
        summary = verification.model_dump(include={"tables", "rows", "seconds"})
        summary["mismatches"] = len(verification.differences)
        async with transaction(self._pool) as connection:
            await hold_forward(connection, order.transfer_id)
            await connection.execute(_SQL["keep"], order.transfer_id, json.dumps(summary))
            await tell(
                connection,
                order.transfer_id,
                EVENT_KIND,
                detail=summary,
                event_key=uuid5(order.transfer_id, EVENT_KIND),
            )
        return verification

    async def compare_schemas(
        self,
        old_schema: str,
        new_schema: str,
        ignored_columns: Mapping[str, frozenset[str]] = _NOTHING,
        report: ReportProgress = _silence,
    ) -> Verification:
        """Compare two schemas on demand, leaving out the values of `ignored_columns` (table → columns).

        Rights that a fence around the old schema holds back may be there or not.

        Raises:
            EnvironmentUnknown: There is no such schema.
            Unavailable: The server is away; try again.
        """
        return await self._compare(old_schema, new_schema, ignored_columns, report, fenced=True)

    async def _hold(self, order: VerifyClone) -> None:
        async with transaction(self._pool) as connection:
            await hold_forward(connection, order.transfer_id)

    @asynccontextmanager
    async def _reading(self, schema: str | None = None) -> AsyncIterator[Connection]:
        """Read in a transaction whose settings are fixed; a schema makes the server write its names unqualified."""
        with translated_errors():
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                await connection.execute(_SQL["enter"], schema)
                yield connection

    async def _compare(
        self,
        old_schema: str,
        new_schema: str,
        ignored_columns: Mapping[str, frozenset[str]],
        report: ReportProgress,
        *,
        fenced: bool = False,
    ) -> Verification:
        course = _Course(report)
        course.tell()
        old, new = await self._side(old_schema), await self._side(new_schema)
        if fenced:
            await self._forget_taken_grants(old, new)
        differences = list(_structure(old.facts, new.facts))
        pairs = [_pair(old, new, name, ignored_columns) for name in sorted(old.tables.keys() & new.tables.keys())]
        pairs = [pair for pair in pairs if old.tables[pair.name].readable and new.tables[pair.name].readable]
        units = sorted(_units(pairs, old, new), key=lambda unit: -unit.bytes)
        course.tables_total = len(pairs)
        course.bytes_total = sum(unit.bytes for unit in units)
        course.rows_total = 2 * sum(max(old.tables[p.name].estimate, new.tables[p.name].estimate) for p in pairs)
        found: dict[str, TableDifference] = {}
        await self._together(course, iter(units), iter(pairs), found, (old, new))
        course.tell()
        differences += [found[name] for name in sorted(found)]
        return Verification(
            tables=len(old.tables),
            rows=sum(pair.sums[old.schema][0] for pair in pairs),
            seconds=round(course.seconds, 3),
            differences=_limited(differences),
        )

    async def _side(self, schema: str) -> _Side:
        async with self._reading(schema) as connection:
            if not await connection.fetchval(_SQL["schema_exists"], schema):
                raise EnvironmentUnknown(f"There is no schema {schema}. Check the environment's name or id.")
            facts: Facts = {}
            rows = [
                row
                for name, sql in _SQL.items()
                if name.startswith("facts_")
                for row in await connection.fetch(sql, schema)
            ]
            for positions in await connection.fetch(_SQL["positions"], schema):
                rows += await connection.fetch(positions[0])
            for row in rows:
                facts.setdefault(row["object"], {})[row["fact"]] = row["definition"]
            tables = {row["name"]: _table(row) for row in await connection.fetch(_SQL["tables"], schema)}
            types = {row["id"]: _type(row) for row in await connection.fetch(_SQL["types"], schema)}
        return _Side(schema, facts, tables, types)

    async def _forget_taken_grants(self, old: _Side, new: _Side) -> None:
        async with self._reading() as connection:
            for taken in await connection.fetch(_SQL["taken_grants"], old.schema):
                for side in (old, new):
                    side.facts.get(taken["object"], {}).pop(taken["fact"], None)

    async def _together(
        self,
        course: _Course,
        units: Iterator[_Unit],
        pairs: Iterator[_Pair],
        found: dict[str, TableDifference],
        sides: tuple[_Side, _Side],
    ) -> None:
        """Hash every unit, then look for the rows of the tables that differ; always on `parallelism` connections."""
        try:
            async with asyncio.TaskGroup() as clock:
                telling = clock.create_task(course.keep_telling())
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._parallelism):
                        workers.create_task(self._hash_units(course, units))
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._parallelism):
                        workers.create_task(self._explain(pairs, found, *sides))
                telling.cancel()
        except ExceptionGroup as group:
            raise _first(group) from group

    async def _hash_units(self, course: _Course, units: Iterator[_Unit]) -> None:
        for unit in units:
            await self._hash(course, unit)

    async def _hash(self, course: _Course, unit: _Unit) -> None:
        pair, side = unit.pair, unit.side
        statement = _SQL["hash_rows"].format(row=side.row(pair.name, pair.columns), table=side.tables[pair.name].quoted)
        try:
            async with self._reading() as connection:
                row = await connection.fetchrow(statement, (unit.first, 0), (unit.last, 0))
        except asyncpg.InsufficientPrivilegeError as error:
            pair.unreadable = str(error)
        else:
            if row is None:
                raise AssertionError("an aggregate has one row")
            sums = pair.sums[side.schema]
            for place, value in enumerate(row):
                sums[place] += int(value)
            course.rows_done += row["rows"]
        course.bytes_done += unit.bytes
        pair.open_units -= 1
        course.tables_done += pair.open_units == 0

    async def _explain(self, pairs: Iterator[_Pair], found: dict[str, TableDifference], old: _Side, new: _Side) -> None:
        for pair in pairs:
            if not pair.equal:
                found[pair.name] = await self._explained(pair, old, new)

    async def _explained(self, pair: _Pair, old: _Side, new: _Side) -> TableDifference:
        table = old.tables[pair.name].object
        if pair.unreadable:
            return TableDifference(table=table, problem=f"its rows could not be read: {pair.unreadable}")
        counts = [pair.sums[side.schema][0] for side in (old, new)]
        problem = f"rows differ: {counts[0]} in {_OLD}, {counts[1]} in {_NEW}"
        async with self._reading() as connection:
            keys = await _keys(connection, pair, old, new) if pair.key else []
            keys = keys or await _rows(connection, pair, old, new)
        if len(keys) > MAX_KEYS:
            problem += f"; the first {MAX_KEYS} are named"
        return TableDifference(table=table, problem=problem, keys=keys[:MAX_KEYS])


async def _keys(connection: Connection, pair: _Pair, old: _Side, new: _Side) -> list[str]:
    """Name the rows that differ by their primary key, with the columns that differ."""
    key = pair.key or ()
    statement = _SQL["differing_keys"].format(
        old_key=old.row(pair.name, key),
        old_row=old.row(pair.name, pair.columns),
        old_table=old.tables[pair.name].quoted,
        new_key=new.row(pair.name, key),
        new_row=new.row(pair.name, pair.columns),
        new_table=new.tables[pair.name].quoted,
    )
    keys = [row["key"] for row in await connection.fetch(statement, MAX_KEYS + 1)]
    sides: list[dict[bytes, asyncpg.Record]] = []
    for side in (old, new):
        statement = _SQL["keyed_rows"].format(
            key=side.row(pair.name, key),
            shown=", ".join(f"left({side.bare(pair.name, column)}::text, 80)" for column in key),
            columns=", ".join(
                _fragment("column_hash").format(value=side.exact(pair.name, column)) for column in pair.columns
            ),
            table=side.tables[pair.name].quoted,
        )
        sides.append({row["key"]: row for row in await connection.fetch(statement, keys)})
    return [_named(pair, sides[0].get(one), sides[1].get(one)) for one in keys]


def _named(pair: _Pair, old: asyncpg.Record | None, new: asyncpg.Record | None) -> str:
    row = old or new
    if row is None:
        raise AssertionError("a key comes from one side or the other")
    name = ", ".join(f"{column}={shown}" for column, shown in zip(pair.key or (), row["shown"], strict=True))
    if old is None or new is None:
        return f"{name}: only in {_NEW if old is None else _OLD}"
    cells = zip(pair.columns, old["columns"], new["columns"], strict=True)
    return f"{name}: {', '.join(column for column, before, after in cells if before != after)}"


async def _rows(connection: Connection, pair: _Pair, old: _Side, new: _Side) -> list[str]:
    """Name the rows that differ by the beginning of their text, where no primary key does."""
    statement = _SQL["differing_rows"].format(
        old_row=old.row(pair.name, pair.columns),
        old_table=old.tables[pair.name].quoted,
        new_row=new.row(pair.name, pair.columns),
        new_table=new.tables[pair.name].quoted,
    )
    surplus = {(row["first"], row["second"]): row["surplus"] for row in await connection.fetch(statement, MAX_KEYS + 1)}
    shown: dict[tuple[int, int], str] = {}
    for side in (old, new):
        statement = _SQL["shown_rows"].format(
            row=side.row(pair.name, pair.columns),
            plain=", ".join(side.bare(pair.name, column) for column in pair.columns),
            table=side.tables[pair.name].quoted,
        )
        for row in await connection.fetch(statement, [first for first, _ in surplus]):
            shown[row["first"], row["second"]] = row["shown"]
    return [f"{shown[row]}: {abs(count)} more in {_OLD if count > 0 else _NEW}" for row, count in surplus.items()]


def _structure(old: Facts, new: Facts) -> Iterator[TableDifference]:
    """Compare what the server says of each object of two schemas."""
    for name in sorted(old.keys() | new.keys()):
        if name not in new or name not in old:
            yield TableDifference(table=name, problem=f"missing in {_NEW if name in old else _OLD}")
            continue
        before, after = old[name], new[name]
        for fact in sorted(before.keys() | after.keys()):
            if before.get(fact) != after.get(fact):
                shown = [_shortened(side.get(fact)) for side in (before, after)]
                yield TableDifference(table=name, problem=f"{fact}: {shown[0]} in {_OLD}, {shown[1]} in {_NEW}")


def _shortened(definition: str | None) -> str:
    if definition is None:
        return "none"
    return definition if len(definition) <= _MAX_DEFINITION else f"{definition[:_MAX_DEFINITION]}…"


def _limited(differences: list[TableDifference]) -> list[TableDifference]:
    """Keep a message within bounds; what it leaves out it counts."""
    if len(differences) <= MAX_DIFFERENCES:
        return differences
    left_out = len(differences) - MAX_DIFFERENCES + 1
    return [*differences[: MAX_DIFFERENCES - 1], TableDifference(table="*", problem=f"{left_out} more differences")]


def _pair(old: _Side, new: _Side, name: str, ignored_columns: Mapping[str, frozenset[str]]) -> _Pair:
    """Choose the columns to compare: those of one type on both sides. Others are a difference of structure already."""
    before, after = old.facts[old.tables[name].object], new.facts[new.tables[name].object]
    ignored = ignored_columns.get(name, frozenset())
    columns = tuple(
        column
        for column, (quoted, _) in old.tables[name].columns.items()
        if column not in ignored
        and column in new.tables[name].columns
        and before[f"column {quoted}"] == after[f"column {quoted}"]
    )
    key = old.tables[name].key
    usable = bool(key) and key == new.tables[name].key and set(key) <= set(columns)
    sums = {side.schema: [0, 0, 0] for side in (old, new)}
    return _Pair(name, columns, key if usable else None, sums)


def _units(pairs: list[_Pair], old: _Side, new: _Side) -> Iterator[_Unit]:
    """Cut both sides of every table into ranges of about 64 MB, values kept out of line counted in."""
    for pair in pairs:
        for side in (old, new):
            table = side.tables[pair.name]
            step = max(1, table.pages * CHUNK_BYTES // max(table.bytes, 1)) if table.pages else 1
            starts = range(0, max(table.pages, 1), step)
            for start in starts:
                last = _LAST_BLOCK if start + step >= table.pages else start + step
                pair.open_units += 1
                yield _Unit(pair, side, start, last, table.bytes // len(starts))


def _table(row: asyncpg.Record) -> _Table:
    return _Table(
        object=row["object"],
        quoted=row["quoted"],
        readable=row["readable"],
        estimate=row["estimate"],
        pages=row["pages"],
        bytes=row["bytes"],
        columns={name: (quoted, type_id) for name, quoted, type_id in json.loads(row["columns"])},
        key=tuple(json.loads(row["key"])),
    )


def _type(row: asyncpg.Record) -> _Type:
    return _Type(
        kind=row["kind"],
        own=row["own"],
        sendable=row["sendable"],
        part=row["part"],
        part_quoted=row["part_quoted"],
        fields=tuple((name, part) for name, part in json.loads(row["fields"])),
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in a group of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
