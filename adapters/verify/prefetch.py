"""Reads a frozen environment for the proof while the engine that copies it has nothing to do on a connection.

What was read is kept with the transfer, and the verification takes it over instead of reading it once more. The fence
lets nobody change the rows in between; the file that a table's rows lay in is kept with them, because a table that is
rewritten has the same rows on other pages. Whatever cannot be read here is left to the verification, which says why.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.place import Place
from adapters.postgres.statements import load
from adapters.verify.chunks import SMALL_BYTES, Batch, TablePair, cut, read
from adapters.verify.row_hash import PageRange
from adapters.verify.schema_snapshot import enter, read_snapshot
from domain.errors import EnvironmentUnknown
from domain.messages import CloneAdministrations, VerifyClone

_SQL = load("adapters.verify.certification")

Sums = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PrefetchedHashes:
    """What was read since a moment: rows and two sums of their hashes, by a part of a table and the file it lay in."""

    begun_at: datetime
    sums: Mapping[tuple[PageRange, int], Sums]

    def of(self, batch: Batch) -> Sums | None:
        """Return what a batch would read; None when it has to be read."""
        part = batch.chunks[0].part
        return self.sums.get((part, batch.side.tables[part.table].file)) if len(batch.chunks) == 1 else None


class Prefetcher:
    """Reads one environment, for one evening of one transfer."""

    def __init__(self, order: CloneAdministrations) -> None:
        """Take what is being cloned."""
        self._order = order
        self._begun_at = datetime.now(UTC)
        self._sums: dict[tuple[PageRange, int], Sums] = {}
        self._units: Iterator[Batch] | None = None
        self._beginning = asyncio.Lock()

    async def run_chunk(self, there: Connection) -> bool:
        """Read the next chunk, some tenths of a second of work; tell whether there was one.

        Args:
            there: Is connected to the old environment's database and in no transaction.
        """
        try:
            async with self._beginning:
                if self._units is None:
                    self._units = iter(await self._large(there))
            batch = next(self._units, None)
            if batch is None:
                return False
            async with there.transaction():
                await enter(there)
                [(chunk, sums)] = await read(there, batch)
        except (EnvironmentUnknown, asyncpg.PostgresError):
            self._units = iter(())
            return False
        self._sums[chunk.part, batch.side.tables[chunk.part.table].file] = sums
        return True

    async def keep(self, home: Connection) -> None:
        """Keep what was read, in the transaction that says that the clone is whole."""
        if self._sums:
            order = self._order
            await home.execute(
                _SQL["keep_ahead"], order.transfer_id, order.evening, self._begun_at, _written(self._sums)
            )

    async def _large(self, there: Connection) -> list[Batch]:
        """Return what is worth a statement of its own, the most to read first."""
        place = Place(self._order.source_schema, self._order.source_cell)
        async with there.transaction(readonly=True):
            side = await read_snapshot(there, place.schema, place.shard)
        pairs = [TablePair(name, tuple(sorted(table.columns)), None) for name, table in side.readable.items()]
        return [batch for batch in cut(pairs, (side,)) if len(batch.chunks) == 1 and batch.bytes >= SMALL_BYTES]


async def prefetched_hashes(home: Connection, order: VerifyClone) -> PrefetchedHashes | None:
    """Return what was read ahead this evening; None when nothing was."""
    row = await home.fetchrow(_SQL["ahead"], order.transfer_id, order.evening)
    return PrefetchedHashes(row["begun_at"], dict(_read(row["readings"]))) if row is not None else None


async def discard_prefetched(home: Connection, transfer_id: UUID) -> None:
    """Forget what was read ahead: whoever verifies once more reads for himself."""
    await home.execute(_SQL["forget_ahead"], transfer_id)


def _written(sums: Mapping[tuple[PageRange, int], Sums]) -> str:
    tables = [
        {
            "table": table,
            "columns": columns,
            "file": file,
            "pieces": [[part.bounds, *numbers] for (part, _), numbers in chunks],
        }
        for (table, columns, file), chunks in groupby(sorted(sums.items(), key=_table_of), key=_table_of)
    ]
    return json.dumps(tables)


def _table_of(reading: tuple[tuple[PageRange, int], Sums]) -> tuple[str, tuple[str, ...], int]:
    (part, file), _ = reading
    return part.table, part.columns, file


def _read(text: str) -> Iterator[tuple[tuple[PageRange, int], Sums]]:
    for table in json.loads(text):
        for bounds, rows, first, second in table["pieces"]:
            part = PageRange(table["table"], tuple(table["columns"]), tuple(bounds) if bounds else None)
            yield (part, table["file"]), (rows, first, second)
