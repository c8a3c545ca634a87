"""Units of a clone commit without waiting for the disk: what a crash of the server takes away again is done again."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.clone import PostgresCloneEngine
from adapters.clone.attempt import CloneAttempt
from adapters.postgres.connection import Pool
from adapters.postgres.migrations import migrate_control
from devstack.postgres import EmbeddedPostgres
from domain.errors import Unavailable
from tests.integration.pending_clone import PendingClone, scheduled_move


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server of the test's own, with the control schema in it."""
    server = EmbeddedPostgres(tmp_path / "postgres", settings={"fsync": "off", "full_page_writes": "off"})
    await server.start()
    try:
        await migrate_control(server.dsn())
        yield server
    finally:
        await server.stop()


class KilledAtTheEnd(PostgresCloneEngine):
    """A clone whose server is killed right after the last unit, before anything has been written behind it."""

    def __init__(self, move: PendingClone, server: EmbeddedPostgres, log_writer: int) -> None:
        super().__init__(move.pool, parallelism=1)
        self._server = server
        self._log_writer = log_writer
        self.units = 0

    async def _add_seconds(self, run: CloneAttempt, seconds: float) -> None:
        self.units = len(run.done)
        await self._server.stop(signal.SIGKILL)
        os.kill(self._log_writer, signal.SIGKILL)
        await self._server.start()
        await super()._add_seconds(run, seconds)


async def stop(log_writer: int, pool: Pool) -> None:
    """Stop it where it holds no lock of the log's, for which every commit would wait in vain."""
    while True:
        os.kill(log_writer, signal.SIGSTOP)
        # More than the log's buffers hold, so that whoever writes it needs all of those locks.
        written = asyncio.create_task(pool.execute("select pg_logical_emit_message(true, '', repeat('x', 8388608))"))
        await asyncio.wait({written}, timeout=5)
        if written.done():
            await written
            return
        os.kill(log_writer, signal.SIGCONT)
        await written


async def test_units_that_a_crash_takes_away_are_not_believed(mortal: EmbeddedPostgres) -> None:
    """Redoes units that a crash of the server took away."""
    async with scheduled_move(mortal.dsn()) as move:
        await move.build(
            "create table ledger as select i as id, md5(i::text) as text from generate_series(1, 20000) i; "
            "alter table ledger add primary key (id); create view few as select * from ledger where id < 10"
        )
        # Who would write the log meanwhile stands still, so that it is certain that something is lost.
        log_writer = await move.pool.fetchval("select pid from pg_stat_activity where backend_type = 'walwriter'")
        await stop(log_writer, move.pool)
        engine = KilledAtTheEnd(move, mortal, log_writer)
        with pytest.raises(Unavailable, match="lost the end of the clone"):
            await engine.clone(move.order, lambda _: None)
        assert await move.pool.fetchval("select count(*) from control.clone_unit") < engine.units
        assert await move.pool.fetchval("select clone_result from control.transfer") is None
        finished = await move.clone()
        assert finished.rows == 20000
        assert await move.verify() == []
        assert move.dump(move.target) == move.dump(move.source)
