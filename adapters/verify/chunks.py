"""What the verifier reads at once: a range of pages of a large table, or many small tables together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from adapters.postgres.connection import Connection
from adapters.postgres.contained import ask
from adapters.verify.row_hash import PageRange, hash_statement
from adapters.verify.schema_snapshot import SchemaSnapshot, Table

# A range is long enough that its beginning does not show, and short enough to keep every connection busy to the end.
CHUNK_BYTES = 16 * 1024 * 1024
# Tables under this are read many at a time: a statement for each would take longer than their rows.
SMALL_BYTES = 1024 * 1024
_SMALL_TABLES = 40
_LAST_BLOCK = 2**32 - 2


@dataclass(slots=True)
class TablePair:
    """A table that both sides have, and the columns that are compared, by name: hashes are of values in that order."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] | None
    sums: tuple[list[int], list[int]] = field(default_factory=lambda: ([0, 0, 0], [0, 0, 0]))
    open_chunks: int = 0
    unreadable: str = ""

    @property
    def equal(self) -> bool:
        old, new = self.sums
        return not self.unreadable and old == new


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of pages of one side of a table, or all of it, and where its sums are added."""

    pair: TablePair
    part: PageRange
    sums: list[int]
    bytes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one statement reads: a chunk of a large table, or many small tables of one side."""

    side: SchemaSnapshot
    chunks: tuple[Chunk, ...]

    @property
    def bytes(self) -> int:
        return sum(chunk.bytes for chunk in self.chunks)


async def read(connection: Connection, batch: Batch) -> list[tuple[Chunk, tuple[int, int, int]]]:
    """Return the number of rows of each chunk, and two sums of their hashes, in a transaction that may write."""
    rows = await ask(connection, hash_statement(batch.side, [chunk.part for chunk in batch.chunks]), batch.side.schema)
    return [(batch.chunks[row["place"]], (row["rows"], int(row["first"]), int(row["second"]))) for row in rows]


def cut(pairs: Sequence[TablePair], sides: Sequence[SchemaSnapshot]) -> list[Batch]:
    """Cut large tables, on each side, into ranges and put small ones together; the most to read comes first."""
    batches: list[Batch] = []
    for place, side in enumerate(sides):
        small: list[Chunk] = []
        for pair in pairs:
            chunks = list(_chunks(pair, side.tables[pair.name], pair.sums[place]))
            pair.open_chunks += len(chunks)
            if len(chunks) == 1 and chunks[0].bytes < SMALL_BYTES:
                small += chunks
            else:
                batches += [Batch(side, (chunk,)) for chunk in chunks]
        batches += [
            Batch(side, tuple(small[first : first + _SMALL_TABLES])) for first in range(0, len(small), _SMALL_TABLES)
        ]
    return sorted(batches, key=lambda batch: -batch.bytes)


def _chunks(pair: TablePair, table: Table, sums: list[int]) -> Iterator[Chunk]:
    """Cut a table into ranges of about `CHUNK_BYTES`, values kept out of line counted in."""
    step = max(1, table.pages * CHUNK_BYTES // max(table.bytes, 1)) if table.pages else 1
    starts = range(0, max(table.pages, 1), step)
    for start in starts:
        last = _LAST_BLOCK if start + step >= table.pages else start + step
        bounds = (start, last) if len(starts) > 1 else None
        yield Chunk(pair, PageRange(pair.name, pair.columns, bounds), sums, table.bytes // len(starts))
