"""Carrying rows from one database to another: two COPYs with a short queue between them, so that neither runs ahead."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

import asyncpg

from adapters.clone.plan import PageRange
from adapters.postgres.connection import Connection, unless_lost
from adapters.postgres.contained import asked
from adapters.postgres.statements import load
from adapters.schema import catalog
from adapters.schema.blueprint import StoredTable
from adapters.task_group import task_group

_SQL = load("adapters.clone.clone")
# asyncpg hands over half a megabyte at a time and stops reading meanwhile: this is all that is ever in memory.
_CHUNKS = 4


@dataclass(frozen=True, slots=True)
class CopyStream:
    """The way of some rows: read by a query, into columns of a table (all that are stored, when none is named)."""

    query: str
    table: str
    schema: str
    columns: Sequence[str] = ()
    binary: bool = True


async def carry(source: Connection, target: Connection, stream: CopyStream) -> int:
    """Copy rows and return how many; both connections are in transactions of the caller.

    Raises:
        asyncpg.ConnectionDoesNotExistError: The target's connection was lost.
    """
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_CHUNKS)
    form: Literal["binary", "text"] = "binary" if stream.binary else "text"

    async def read() -> None:
        await source.copy_from_query(stream.query, output=queue.put, format=form)
        await queue.put(None)

    async def chunks() -> AsyncIterator[bytes]:
        while (chunk := await queue.get()) is not None:
            yield chunk

    async with unless_lost(target), task_group() as tasks:
        tasks.create_task(read())
        command_tag: str = await target.copy_to_table(
            stream.table,
            source=chunks(),
            columns=list(stream.columns) or None,
            schema_name=stream.schema,
            format=form,
        )
    return int(command_tag.rsplit(" ", 1)[1])


async def carry_to_staging(
    source: Connection, target: Connection, query: str, places: tuple[str, str], stored: StoredTable
) -> str:
    """Carry the rows of a query, and return the one that reads them in the target's database.

    On neither side does code that somebody has made run as this service.

    Args:
        source: In a transaction that may write, and keeps nothing.
        target: In a transaction of the caller, who drops the staging table.
        query: Its answers are those columns of the table or view that are stored.
        places: The source's schema, and the target's.
        stored: What is carried.
    """
    old, new = places
    expressions = await target.fetchval(_SQL["stage"], new, stored.target, stored.names)
    async with asked(source, query, old, path=old) as answers:
        await carry(source, target, CopyStream(answers, "sb_staging", "pg_temp", stored.names, binary=False))
    return f"select {expressions} from pg_temp.sb_staging"  # noqa: S608 - written by the server


async def carry_ranges(
    source: Connection,
    target: Connection,
    pieces: Sequence[PageRange],
    schemas: tuple[str, str],
    files: Sequence[int],
    *,
    run_code: frozenset[str],
) -> int:
    """Copy ranges of pages from the first schema to the second, of another database, and return the rows.

    `run_code` are the families where that runs code that somebody has made.

    Raises:
        asyncpg.ObjectInUseError: A table was rewritten since its ranges were drawn.
    """
    names = [piece.load.name for piece in pieces]
    old, new = schemas
    # Answers that code of somebody's has to be kept from are put down before they are read.
    async with source.transaction(readonly=run_code.isdisjoint(piece.load.family for piece in pieces)):
        await catalog.enter_definitions(source)
        queries = await source.fetch(
            _SQL["range_queries"],
            old,
            names,
            [piece.load.columns for piece in pieces],
            [piece.start for piece in pieces],
            [piece.end for piece in pieces],
        )
        rows = 0
        for piece, query in zip(pieces, queries, strict=True):
            stored = piece.load
            if stored.family in run_code:
                staged = await carry_to_staging(source, target, query["query"], schemas, stored)
                rows += await target.fetchval(_SQL["place_rows"], new, stored.target, stored.columns, staged)
                await target.execute(_SQL["drop_staging"])
            else:
                stream = CopyStream(query["query"], stored.target, new, stored.names, stored.portable)
                rows += await carry(source, target, stream)
        # Asked while the tables are locked by the reading, so they cannot be rewritten after the answer.
        rewritten = await source.fetchval(_SQL["rewritten"], old, names, list(files))
    if rewritten is not None:
        raise asyncpg.ObjectInUseError(f"Table {rewritten} was rewritten while it was copied.")
    return rows
