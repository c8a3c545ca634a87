"""What a schema holds: checked for what cannot be carried, and written out as statements.

The statements come from `pg_catalog` with every name in full; see `adapters/schema/catalog.sql`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from adapters.schema.blueprint import Blueprint, assemble, renaming
from adapters.schema.obstacles import obstacle
from adapters.task_group import task_group
from domain.consequences import CHANGED_ON_PURPOSE
from domain.messages import Obstacle

_SQL = load(__name__)
_OBSTACLES = load("adapters.schema.obstacles")
_SCHEMA_PUBLICATIONS = 15  # the PostgreSQL since which there are any
_BOOKS_ZONE = "Europe/Amsterdam"  # books are kept by the clock of the country that they are kept in
# What a blueprint is drawn from, in two halves that take about as long.
_FIRST_HALF = (
    "parts",
    "needs",
    "definitions",
    "tables",
    "columns",
    "sequences",
    "definers",
    "owners",
    "default_privileges",
)
_SECOND_HALF = ("loads", "indexes", "constraints", "attached", "comments", "rights", "carried_code")
_ALL = _SQL | load("adapters.schema.tables") | load("adapters.schema.attached") | load("adapters.schema.rights")


async def enter_definitions(connection: Connection) -> None:
    """Let the current transaction read and write definitions with every name in full."""
    await connection.execute(_SQL["enter_definitions"])


async def enter_rows(connection: Connection, schema: str) -> None:
    """Let functions that rows pass through find the names of a schema, for the rest of the transaction."""
    await connection.execute(_SQL["enter_rows"], schema)


async def enter_schema(connection: Connection, schema: str) -> None:
    """Let the current transaction ask the queries of this folder about a schema."""
    await enter_definitions(connection)
    await connection.execute(_SQL["own"], schema, 0)


@asynccontextmanager
async def by_index(connection: Connection) -> AsyncIterator[None]:
    """Let questions about one environment look things up by index, and not walk through all others."""
    await connection.execute(_SQL["by_index"], "off")
    yield
    await connection.execute(_SQL["by_index"], "on")


async def time_zones(connection: Connection) -> list[str]:
    """Return the time zones in which rows may have been written, the likeliest first."""
    rows = await connection.fetch(_SQL["time_zones"], _BOOKS_ZONE)
    return [row["zone"] for row in sorted(rows, key=lambda row: int(row["place"]))]


async def inspect_schema(connection: Connection, schema: str) -> list[Obstacle]:
    """Return everything in the schema that could not be carried exactly; an empty list means that all of it can.

    Leaves the caller's transaction and its search_path as they were. Reads no rows.
    """
    looking = connection.transaction()
    await looking.start()
    try:
        await enter_schema(connection, schema)
        async with by_index(connection):
            rows = await connection.fetch(_OBSTACLES["obstacles"], schema, [*CHANGED_ON_PURPOSE])
            if connection.get_server_version().major >= _SCHEMA_PUBLICATIONS:
                rows += await connection.fetch(_OBSTACLES["published_schema"], schema)
        # What an undo, or somebody else, drops while it is looked at has no description any more.
        told = [[text.replace(f"{schema}.", "") for text in (row["what"], *row["said"])] for row in rows if row["what"]]
        return [obstacle(code, what, *said) for what, code, *said in told]
    finally:
        await looking.rollback()


async def schema_comment(connection: Connection, schema: str) -> str | None:
    """Return the comment on the schema itself."""
    comment: str | None = await connection.fetchval(_SQL["schema_comment"], schema)
    return comment


async def copy_sequence_positions(
    source: Connection, schema: str, target: Connection, copy: str, sequences: list[str]
) -> None:
    """Put some sequences of a copy where the source's stand; both connections may be the same."""
    if sequences:
        rows = await source.fetch(await source.fetchval(_SQL["positions"], schema, sequences))
        columns = ([row[name] for row in rows] for name in ("name", "last_value", "is_called"))
        await target.execute(_SQL["set_positions"], copy, *columns)


async def server_version(connection: Connection) -> int:
    """Return the server's version as it counts itself, e.g. 150014."""
    return int(await connection.fetchval("select current_setting('server_version_num')"))


async def read_blueprint(
    connection: Connection,
    schema: str,
    copy: str,
    *,
    version: int = 0,
    second: Connection | None = None,
    without: Sequence[int] = (),
) -> Blueprint:
    """Read the whole schema from the catalog; the caller keeps it from changing meanwhile.

    Wherever the schema names itself, in definitions, bodies and comments, the statements name the copy.

    Args:
        connection: Where the schema is.
        schema: Its name.
        copy: The name of the schema that the statements are for.
        version: The number of the server (server_version_num) that they are for, when that is another one.
        second: Another connection to the same database, to ask half of it at the same time.
        without: Numbers of tables, and of their sequences, that are left out.

    Raises:
        CircularDefinitionsError: Some definitions need one another.
    """

    async def ask(there: Connection, names: tuple[str, ...]) -> dict[str, list[asyncpg.Record]]:
        async with there.transaction(readonly=True):
            await enter_definitions(there)
            await there.execute(_SQL["own"], schema, version)
            await there.execute(_SQL["without"], without)
            async with by_index(there):
                # Of the planner's statistics there is no index by table's number.
                return {name: await there.fetch(_ALL[name], *([schema] if name == "indexes" else ())) for name in names}

    rename = renaming(schema, copy)
    if second is None:
        return assemble(await ask(connection, (*_FIRST_HALF, *_SECOND_HALF)), rename)
    async with task_group() as asking:
        halves = [asking.create_task(ask(connection, _FIRST_HALF)), asking.create_task(ask(second, _SECOND_HALF))]
    return assemble(halves[0].result() | halves[1].result(), rename)
