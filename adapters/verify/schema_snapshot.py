"""One side of a comparison of two environments: what the server says of it, and how its rows become bytes.

The bytes of a row are those that the server sends (`record_send`): exact to the last digit and independent of every
setting. The id of a value's type is among them. That of a type which somebody made, in the schema or by an extension,
differs between two equal schemas or servers; such values are taken apart until only the server's own types are left.
"""

import hashlib
import json
import operator
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Self

import asyncpg

from adapters.postgres.connection import Connection, Pool, translated_errors
from adapters.postgres.statements import load
from domain.errors import EnvironmentUnknown
from domain.fingerprint import Fingerprint, ObjectHash, TableHash
from domain.vocabulary import HOME

_SQL, _ROWS = load(__name__), load("adapters.verify.rows")
_FACTS = load("adapters.verify.relations") | load("adapters.verify.objects")
_DEPENDENCIES = load("adapters.verify.dependencies")
# Asked of all of a schema at once; the others of so many objects at a time, for reading a sequence or a view's query
# takes locks, and a server has room for some thousands.
_ONCE = {"schema", "others"}
_AT_ONCE = 250

POSITION = "position"
THIS_SCHEMA = "<this schema>"
# What says where an environment lives and who may use it there, not what it is.
_LOCAL = re.compile(
    r"""owner|(index\ ("([^"]|"")+"|[^" ]+):\ )?tablespace|(column\ ("([^"]|"")+"|[^" ]+):\ )?grant\ of\ .*""",
    re.VERBOSE,
)

# Object -> fact -> definition, e.g. ledger_account -> "index ledger_account_pkey" -> "CREATE UNIQUE INDEX …".
Definitions = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Type:
    """A type as the rows of one schema use it.

    `made`: by somebody, so that its id is this server's only. `part` is what a domain, array, range or multirange is
    made of; `send` is the function that writes a value of it as bytes.
    """

    kind: str
    made: bool
    sendable: bool
    send: str | None
    part: int
    part_quoted: str
    fields: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, row: asyncpg.Record, *, sendable: bool) -> Self:
        return cls(
            kind=row["kind"],
            made=row["made"],
            sendable=sendable,
            send=row["send"],
            part=row["part"],
            part_quoted=row["part_quoted"],
            fields=tuple((name, part) for name, part in json.loads(row["fields"])),
        )


@dataclass(frozen=True, slots=True)
class Table:
    """What holds rows: its name as differences call it, and quoted by the server; sizes as they are now.

    `columns` are the live ones in their order, each with its quoted name and its type's id. `out_of_line`: some values
    are kept beside the rows (TOAST). `file` is where the rows lie: another one when the table is rewritten. `hashed` is
    the table whose rows are dealt out by a hash over this one and its like: in a copy each may lie in another of them.
    """

    object: str
    quoted: str
    readable: bool
    estimate: int
    pages: int
    file: int
    bytes: int
    out_of_line: bool
    columns: Mapping[str, tuple[str, int]]
    key: tuple[str, ...]
    hashed: str | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        return cls(
            hashed=row["hashed"],
            object=row["object"],
            quoted=row["quoted"],
            readable=row["readable"],
            estimate=row["estimate"],
            pages=row["pages"],
            file=row["file"],
            bytes=row["bytes"],
            out_of_line=row["out_of_line"],
            columns={name: (quoted, type_id) for name, quoted, type_id in json.loads(row["columns"])},
            key=tuple(json.loads(row["key"])),
        )


@dataclass(frozen=True, slots=True)
class SchemaSnapshot:
    """What is known of one schema, and the expressions that read its rows (from a table called t).

    `calls` are the functions, operators and the like that each object depends on, by the server's description of it.
    Both are empty where it was read for its rows alone.
    """

    schema: str
    definitions: Definitions
    tables: dict[str, Table]
    types: dict[int, Type]
    server: str
    cell: str = HOME
    calls: Mapping[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """Return the server's major version, also of a beta."""
        return int(re.split(r"\D", self.server, maxsplit=1)[0])

    @property
    def readable(self) -> dict[str, Table]:
        """Return what holds rows now: a materialised view may not have been filled."""
        return {name: table for name, table in self.tables.items() if table.readable}

    def fingerprint(self, sums: Mapping[str, Sequence[int]], since: datetime | None = None) -> Fingerprint:
        """Return what this side is.

        Args:
            sums: Each table's number of rows and two sums of their hashes.
            since: When the first of them was read; now, if left out.
        """
        whole: dict[str, list[int]] = {}
        for name, parts in sums.items():
            total = whole.setdefault(self.tables[name].hashed or self.tables[name].object, [0] * len(parts))
            total[:] = map(operator.add, total, parts)
        tables = sorted(
            (
                TableHash(
                    table=name,
                    rows=rows,
                    content="".join(f"{one % 2**128:032x}" for one in hashes),
                    definition=_digest(self.definitions.get(name, {})),
                )
                for name, (rows, *hashes) in whole.items()
            ),
            key=lambda table: table.table,
        )
        others = self.definitions.keys() - {table.table for table in tables}
        return Fingerprint(
            taken_at=since or datetime.now(UTC),
            server=self.server,
            tables=tables,
            others=[
                ObjectHash(
                    object=name,
                    definition=_digest(self.definitions[name]),
                    position=self.definitions[name].get(POSITION),
                )
                for name in sorted(others)
            ],
        )

    def of_rows(self) -> "SchemaSnapshot":
        """Return what is needed to read the rows."""
        return replace(self, definitions={}, calls={})

    def filled(self, table: str) -> frozenset[str]:
        """Return the columns in which no null can be. Where a rule has not been held against the rows, that is none."""
        definitions = self.definitions.get(self.tables[table].object, {})
        if any("NOT VALID" in definition for definition in definitions.values()):
            return frozenset()
        columns = self.tables[table].columns.items()
        return frozenset(name for name, (quoted, _) in columns if f"column {quoted}: not null" in definitions)

    def bare(self, table: str, column: str) -> str:
        """Return the expression of a column's value."""
        return f"t.{self.tables[table].columns[column][0]}"

    def exact(self, table: str, column: str) -> str:
        """Return an expression that says everything about a column's value and nothing about ids of types."""
        return self._exact(self.bare(table, column), self.tables[table].columns[column][1])

    def row(self, table: str, columns: tuple[str, ...]) -> str:
        """Return the exact expressions of several columns."""
        return ", ".join(self.exact(table, column) for column in columns)

    def _exact(self, value: str, type_id: int, depth: int = 0) -> str:
        found = self.types[type_id]
        if not found.made:
            return value if found.sendable else f"({value})::pg_catalog.text"
        if found.kind == "domain":
            # At once to what lies under all domains: a cast to one of them would ask its rules of the value.
            while (under := self.types[found.part]).kind == "domain":
                found = under
            return self._exact(f"({value})::{found.part_quoted}", found.part, depth)
        if found.kind == "enum":
            return f"enum_send({value})"
        chunks = self._chunks(value, found, depth)
        if chunks is None:
            return f"{found.send}({value})" if found.sendable else f"({value})::pg_catalog.text"
        # IS NULL is also true of a row whose every field is null.
        return f"case when num_nulls({value}) = 0 then row({', '.join(chunks)}) end"

    def _chunks(self, value: str, whole: Type, depth: int) -> list[str] | None:
        """Return what a value is made of; None for a base type, which nobody can look into."""
        match whole.kind:
            case "composite":
                return [self._exact(f"({value}).{name}", part, depth) for name, part in whole.fields]
            case "range":
                kinds = [f"{kind}({value})" for kind in ("isempty", "lower_inc", "upper_inc", "lower_inf", "upper_inf")]
                return kinds + [self._exact(f"{end}({value})", whole.part, depth) for end in ("lower", "upper")]
            case "array" | "multirange":
                # Each level has a name of its own, so that an inner one cannot hide the value it is taken from.
                element = self._exact(f"e{depth}.x", whole.part, depth + 1)
                elements = fragment("elements").format(element=element, value=value, alias=f"e{depth}")
                return [f"array_dims({value})", elements] if whole.kind == "array" else [elements]
        return None


async def enter(connection: Connection) -> None:
    """Fix, for the rest of a transaction, what is found on a path and what values look like."""
    await connection.execute(_SQL["enter"])


@asynccontextmanager
async def reading(pool: Pool, *, readonly: bool = True) -> AsyncIterator[Connection]:
    """Read in a transaction in which nothing hangs on how a connection happens to be set.

    Raises:
        Unavailable: The server went away; try again.
    """
    with translated_errors():
        async with pool.acquire() as connection, connection.transaction(readonly=readonly):
            await enter(connection)
            yield connection


async def read_snapshot(
    connection: Connection, schema: str, cell: str = HOME, *, of_rows: bool = False
) -> SchemaSnapshot:
    """Read everything about a schema but its rows. What is found on a path, and how values look, is fixed from here on.

    Args:
        connection: In a transaction.
        schema: Its name.
        cell: Where the connection goes.
        of_rows: Leave out what is not needed to read the rows, which is most of it.

    Raises:
        EnvironmentUnknown: There is no such schema.
    """
    await enter(connection)
    own = await connection.fetchrow(_SQL["own"], schema)
    if own is None:
        raise EnvironmentUnknown(f"There is no schema {schema}. Check the environment's name or id.")
    definitions: Definitions = {}
    kinds = [own[kind] for kind in ("relations", "types", "functions")]
    for first in range(0, 0 if of_rows else max(1, *map(len, kinds)), _AT_ONCE):
        some = [ids[first : first + _AT_ONCE] for ids in kinds]
        async with _about(connection, own["namespace"], some):
            for row in await _facts(connection, once=first == 0):
                # A definition that names its own schema means the same in the copy, which names its own.
                whole, fact, definition = (text.replace(schema, THIS_SCHEMA) for text in row)
                definitions.setdefault(whole, {})[fact] = definition
    async with _about(connection, own["namespace"], kinds):
        return SchemaSnapshot(
            schema,
            definitions,
            {row["name"]: Table.of(row) for row in await connection.fetch(_SQL["tables"])},
            await _types(connection),
            own["server"],
            cell,
            {}
            if of_rows
            else {
                whole.replace(schema, THIS_SCHEMA): called.replace(schema, THIS_SCHEMA)
                for whole, called in await connection.fetch(_DEPENDENCIES["calls"], schema)
            },
        )


@asynccontextmanager
async def _about(connection: Connection, namespace: int, kinds: list[list[int]]) -> AsyncIterator[None]:
    """Ask about some of a schema, and give back the locks and settings that this took."""
    asking = connection.transaction()
    await asking.start()
    try:
        await connection.execute(_SQL["choose"], namespace, *kinds)
        yield
    finally:
        await asking.rollback()


async def _facts(connection: Connection, *, once: bool) -> list[asyncpg.Record]:
    rows = [row for name, sql in _FACTS.items() if once or name not in _ONCE for row in await connection.fetch(sql)]
    positions = await connection.fetchval(_SQL["positions"])
    return rows + (await connection.fetch(positions) if positions else [])


async def _types(connection: Connection) -> dict[int, Type]:
    """Read the types of a schema's columns and what those are made of, level by level.

    There may be thousands of environments beside this one, each with types of its own: no others are looked at.
    """
    found: dict[int, asyncpg.Record] = {}
    waiting = {row["id"] for row in await connection.fetch(_SQL["column_types"])}
    while waiting:
        found |= {row["id"]: row for row in await connection.fetch(_SQL["types"], sorted(waiting))}
        waiting = {part for type_id in waiting for part in found[type_id]["parts"]} - found.keys()

    @cache
    def sendable(type_id: int) -> bool:  # no type holds itself
        return found[type_id]["sends"] and all(sendable(part) for part in found[type_id]["parts"])

    return {type_id: Type.of(row, sendable=sendable(type_id)) for type_id, row in found.items()}


def _digest(definitions: Mapping[str, str]) -> str:
    """Return the SHA-256 of what the server says an object is."""
    said = sorted((fact, text) for fact, text in definitions.items() if fact != POSITION and not _LOCAL.fullmatch(fact))
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def fragment(name: str) -> str:
    """Return a statement of rows.sql that is put into others, without its description."""
    return _ROWS[name].split("\n", 1)[1]
