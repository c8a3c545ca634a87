"""What a schema holds: measured, checked for what cannot be carried, and written out as statements.

The statements come from `pg_catalog` with names deparsed relative to the schema; see `adapters/schema/catalog.sql`.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from adapters.schema.deparse import reparsable
from adapters.task_group import task_group
from domain.messages import Obstacle

_SQL = load(__name__)
_OBSTACLES = load("adapters.schema.obstacles")
_SCHEMA_PUBLICATIONS = 15  # the PostgreSQL since which there are any
_SHOWN = 100
_DEPARSED = frozenset({"statement", "validation"})
# What a blueprint is drawn from, in two halves that take about as long.
_FIRST_HALF = (
    "types",
    "sequences",
    "functions",
    "aggregates",
    "tables",
    "attachments",
    "columns",
    "loads",
    "constraints",
)
_SECOND_HALF = ("indexes", "views", "attached", "comments", "owners", "grants")


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table without its rows; `alone`: it can be made at any time after types and functions, beside others."""

    name: str
    alone: bool
    statement: str
    columns: tuple[str, ...]
    """Defaults, and the settings of single columns, as statements."""


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """An index of a table and what has to follow once it is built.

    `bytes` are the table's. `disorder` is 0 where its rows lie in the index's order, and up to 1 where they do not.
    """

    family: str
    name: str
    partitioned: bool
    bytes: int
    disorder: float
    statement: str
    constraint: str | None
    afterwards: list[str]

    @property
    def effort(self) -> int:
        """Return what a build costs beside others: sorting what is not sorted takes up to three times as long."""
        return round(self.bytes * (1 + 2 * self.disorder))


@dataclass(frozen=True, slots=True)
class ConstraintDefinition:
    """A check or a foreign key (`referred` is the family it refers to)."""

    table: str
    family: str
    referred: str | None
    statement: str
    validation: str | None
    foreign_key: bool
    at_once: bool


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table with rows of its own; `bytes` with what is kept out of line, `pages` of the main fork.

    `portable`: its rows in binary mean the same in another database. `names` are those of `columns`, bare.
    """

    table: str
    family: str
    name: str
    pages: int
    filenode: int
    bytes: int
    rows_estimate: int
    columns: str
    expressions: str
    names: tuple[str, ...] = ()
    portable: bool = True


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Everything that makes a schema again, in the order in which it is run."""

    types: list[str]
    sequences: list[str]
    functions: list[str]
    view_functions: list[str]
    tables: list[TableDefinition]
    attachments: list[str]
    loads: list[StoredTable]
    indexes: list[IndexDefinition]
    constraints: list[ConstraintDefinition]
    views: list[str]
    attached: list[str]
    comments: list[str]
    owners: list[str]
    grants: list[str]

    def definitions(self) -> list[str]:
        """Return what must not name its own schema: all but functions, looked at by themselves, and comments."""
        return [
            *self.types,
            *self.sequences,
            *(text for table in self.tables for text in (table.statement, *table.columns)),
            *self.attachments,
            *(text for index in self.indexes for text in (index.statement, index.constraint or "", *index.afterwards)),
            *(constraint.statement for constraint in self.constraints),
            *self.views,
            *self.attached,
            *self.owners,
            *self.grants,
        ]


async def enter(connection: Connection, schema: str) -> None:
    """Let the current transaction see the schema's names unqualified, and every value rendered the same way."""
    await connection.execute(_SQL["enter"], schema)


async def inspect_schema(connection: Connection, schema: str) -> list[Obstacle]:
    """Return everything in the schema that could not be carried exactly; an empty list means that all of it can.

    Leaves the caller's transaction and its search_path as they were. Reads the rows of materialised views only.
    """
    looking = connection.transaction()
    await looking.start()
    try:
        await enter(connection, schema)
        rows = await connection.fetch(_OBSTACLES["obstacles"], schema)
        # What an undo, or somebody else, drops while it is looked at has no description any more.
        found = [Obstacle(**row) for row in rows if row["what"] is not None]
        if connection.get_server_version().major >= _SCHEMA_PUBLICATIONS:
            found += [Obstacle(**row) for row in await connection.fetch(_OBSTACLES["published_schema"], schema)]
        if found:
            return found  # drawing it may fail on what was found
        found += _naming_themselves(await read_blueprint(connection, schema), schema)
        for view in await connection.fetch(_OBSTACLES["staleness"], schema):
            if (why := await _staleness(connection, view["statement"])) is not None:
                found.append(Obstacle(what=view["what"], why=why))
        return found
    finally:
        await looking.rollback()


async def _staleness(connection: Connection, statement: str) -> str | None:
    try:
        async with connection.transaction():
            if await connection.fetchval(statement):
                return (
                    "its rows are not what its query gives now, which is what the copy would hold; refresh or drop it"
                )
    except asyncpg.PostgresError as error:
        return f"its query fails ({error}), so the copy could not be filled; repair or drop it"
    return None


def _naming_themselves(plan: Blueprint, schema: str) -> list[Obstacle]:
    """Find definitions that hold the schema's name as text: deparsed relative to it, they have no other cause to."""
    why = "its text names its own schema, so the copy would still work on the original; use unqualified names"
    return [
        Obstacle(what=textwrap.shorten(definition, _SHOWN), why=why)
        for definition in plan.definitions()
        if schema.lower() in definition.lower()
    ]


async def schema_comment(connection: Connection, schema: str) -> str | None:
    """Return the comment on the schema itself."""
    comment: str | None = await connection.fetchval(_SQL["schema_comment"], schema)
    return comment


async def apply_schema_grants(target: Connection, schema: str, copy: str, *, source: Connection | None = None) -> None:
    """Give a copy's schema the rights that the source's carries, inside the caller's transaction.

    They are given when people may look, not while it is being built. `source` is connected to the source's database,
    when that is another one.
    """
    for row in await (source or target).fetch(_SQL["schema_rights"], schema):
        statement = await target.fetchval(
            _SQL["schema_grant"], copy, row["privilege"], row["grantee"], row["grantable"]
        )
        await target.execute(statement)


async def position_statements(connection: Connection, source: str, target: str) -> list[str]:
    """Return statements that put the target's sequences where the source's stand."""
    return [row["statement"] for row in await connection.fetch(_SQL["positions"], source, target)]


async def copy_sequence_positions(source: Connection, schema: str, target: Connection, copy: str) -> None:
    """Put the sequences of a copy in another database where the source's stand."""
    for part in await source.fetch(_SQL["standing"], schema):
        rows = await source.fetch(part["statement"])
        columns = ([row[name] for row in rows] for name in ("name", "last_value", "is_called"))
        await target.execute(_SQL["stand"], copy, *columns)


async def server_version(connection: Connection) -> int:
    """Return the server's version as it counts itself, e.g. 150014."""
    return int(await connection.fetchval("select current_setting('server_version_num')"))


async def read_blueprint(
    connection: Connection, schema: str, *, version: int = 0, second: Connection | None = None
) -> Blueprint:
    """Read the whole schema from the catalog; the caller keeps it from changing meanwhile.

    Args:
        connection: Where the schema is.
        schema: Its name.
        version: The number of the server (server_version_num) that the statements are for, when that is another one.
        second: Another connection to the same database, to ask half of it at the same time.
    """

    async def ask(there: Connection, names: tuple[str, ...]) -> dict[str, list[asyncpg.Record]]:
        async with there.transaction(readonly=True):
            await enter(there, schema)
            await there.execute(_SQL["enter_for"], version)
            return {name: await there.fetch(_SQL[name], schema) for name in names}

    if second is None:
        return _blueprint(await ask(connection, (*_FIRST_HALF, *_SECOND_HALF)))
    async with task_group() as asking:
        halves = [asking.create_task(ask(connection, _FIRST_HALF)), asking.create_task(ask(second, _SECOND_HALF))]
    return _blueprint(halves[0].result() | halves[1].result())


def _reparsable(row: asyncpg.Record) -> dict[str, Any]:
    return {name: reparsable(value) if name in _DEPARSED and value else value for name, value in row.items()}


def _blueprint(read: Mapping[str, list[asyncpg.Record]]) -> Blueprint:
    found = {name: [_reparsable(row) for row in rows] for name, rows in read.items()}

    def statements(name: str) -> list[str]:
        return [row["statement"] for row in found[name]]

    functions = [*found["functions"], *found["aggregates"]]
    settings: dict[str, list[str]] = {}
    for row in found["columns"]:
        settings.setdefault(row["name"], []).append(row["statement"])
    return Blueprint(
        types=statements("types"),
        sequences=statements("sequences"),
        functions=[row["statement"] for row in functions if not row["late"]],
        view_functions=[row["statement"] for row in functions if row["late"]],
        tables=[
            TableDefinition(row["name"], row["alone"], row["statement"], tuple(settings.get(row["name"], ())))
            for row in found["tables"]
        ],
        attachments=statements("attachments"),
        loads=[
            StoredTable(
                table=row["table_name"],
                family=row["family"],
                name=row["relname"],
                pages=row["pages"],
                filenode=row["filenode"],
                bytes=row["bytes"],
                rows_estimate=row["rows_estimate"],
                columns=row["columns"] or "",
                expressions=row["expressions"] or "",
                names=tuple(row["names"]),
                portable=row["portable"],
            )
            for row in found["loads"]
        ],
        indexes=[
            IndexDefinition(
                family=row["family"],
                name=row["index_name"],
                partitioned=row["partitioned"],
                bytes=row["bytes"],
                disorder=row["disorder"],
                statement=row["statement"],
                constraint=row["constraint_of"],
                afterwards=list(row["afterwards"]),
            )
            for row in found["indexes"]
        ],
        constraints=[
            ConstraintDefinition(
                table=row["table_name"],
                family=row["family"],
                referred=row["referred"],
                statement=row["statement"],
                validation=row["validation"],
                foreign_key=row["foreign_key"],
                at_once=row["at_once"],
            )
            for row in found["constraints"]
        ],
        views=statements("views"),
        attached=statements("attached"),
        comments=statements("comments"),
        owners=statements("owners"),
        grants=statements("grants"),
    )
