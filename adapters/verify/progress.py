"""How far a comparison is, as people see it while it runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.verify.chunks import Batch, Chunk, TablePair
from adapters.verify.prefetch import PrefetchedHashes
from adapters.verify.schema_snapshot import SchemaSnapshot
from domain.messages import CloneProgress
from domain.ports import ReportProgress

_REPORT_SECONDS = 0.5


class Progress:
    """Counts what has been read of one comparison, and tells of it."""

    def __init__(self, report: ReportProgress, phase: str = "verify") -> None:
        self._report = report
        self._phase = phase
        self._began = time.monotonic()
        self.rows_total = self.rows_done = self.bytes_total = self.bytes_done = 0
        self.tables_total = self.tables_done = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def measure(self, pairs: list[TablePair], batches: list[Batch], *sides: SchemaSnapshot) -> None:
        """Take in how much there is to read; of the two sides, the clone may never have been analysed."""
        self.tables_total = len(pairs)
        self.bytes_total = sum(batch.bytes for batch in batches)
        estimates = (max(side.tables[pair.name].estimate for side in sides) for pair in pairs)
        self.rows_total = len(sides) * sum(estimates)

    def again(self, pairs: list[TablePair], batches: list[Batch]) -> None:
        """Take in that some tables have to be read once more."""
        self.tables_done -= len(pairs)
        self.bytes_total += sum(batch.bytes for batch in batches)

    def take_over(self, batches: list[Batch], side: SchemaSnapshot, ahead: PrefetchedHashes) -> list[Batch]:
        """Take over what was read ahead of one side and return the batches that are left to read."""
        left: list[Batch] = []
        for batch in batches:
            if batch.side is side and (sums := ahead.of(batch)) is not None:
                self.take(batch.chunks[0], sums)
            else:
                left.append(batch)
        return left

    def take(self, chunk: Chunk, sums: tuple[int, int, int]) -> None:
        """Take in what a chunk holds."""
        for place, value in enumerate(sums):
            chunk.sums[place] += value
        self.read(chunk, sums[0])

    def read(self, chunk: Chunk, rows: int) -> None:
        """Take in that a chunk has been read."""
        self.rows_done += rows
        self.bytes_done += chunk.bytes
        chunk.pair.open_chunks -= 1
        self.tables_done += chunk.pair.open_chunks == 0

    def tell(self) -> None:
        self._report(
            CloneProgress(
                phase=self._phase,
                rows_done=self.rows_done,
                rows_total=max(self.rows_total, self.rows_done),
                bytes_done=self.bytes_done,
                bytes_total=self.bytes_total,
                tables_done=self.tables_done,
                tables_total=self.tables_total,
                elapsed_seconds=self.seconds,
            )
        )

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Report twice a second while a block runs, and at its end."""
        teller = asyncio.create_task(self._keep_telling())
        try:
            yield
        finally:
            teller.cancel()
            await asyncio.wait([teller])
        self.tell()

    async def _keep_telling(self) -> None:
        while True:
            self.tell()
            await asyncio.sleep(_REPORT_SECONDS)
