"""Carrying rows from one database to another: two COPYs with a short queue between them, so that neither runs ahead."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

import asyncpg

from adapters.clone.plan import PageRange
from adapters.postgres.connection import Connection, unless_lost
from adapters.postgres.statements import load
from adapters.schema import catalog
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


async def carry_ranges(
    source: Connection, target: Connection, pieces: Sequence[PageRange], schemas: tuple[str, str], files: Sequence[int]
) -> int:
    """Copy ranges of pages from the first schema to the second, of another database, and return the rows.

    Raises:
        asyncpg.ObjectInUseError: A table was rewritten since its ranges were drawn.
    """
    names = [piece.load.name for piece in pieces]
    old, new = schemas
    async with source.transaction(readonly=True):
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
            stream = CopyStream(query["query"], piece.load.target, new, piece.load.names, piece.load.portable)
            rows += await carry(source, target, stream)
        # Asked while the tables are locked by the reading, so they cannot be rewritten after the answer.
        rewritten = await source.fetchval(_SQL["rewritten"], old, names, list(files))
    if rewritten is not None:
        raise asyncpg.ObjectInUseError(f"Table {rewritten} was rewritten while it was copied.")
    return rows
