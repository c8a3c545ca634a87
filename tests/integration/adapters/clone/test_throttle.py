"""A clone gives way: it pauses while others need the server, holds nothing meanwhile, and goes on by itself."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from adapters.clone import Limits, PostgresCloneEngine, require_sight
from adapters.clone.throttle import Throttle
from devstack import processes
from devstack.binaries import postgres_bin
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.errors import Misconfigured, Unavailable
from tests.integration.pending_clone import PendingClone
from tests.tools.paths import ROOT

FOR_EVER = "do $$ begin loop null; end loop; end $$"
LOOK_SECONDS = 0.05


class Watched:
    """A clone that runs, and what it reports."""

    def __init__(self, move: PendingClone, limits: Limits, parallelism: int = 2) -> None:
        self._reports: list[m.CloneProgress] = []
        engine = PostgresCloneEngine(move.pool, parallelism=parallelism, limits=limits)
        self.task = asyncio.create_task(engine.clone(move.order, self._reports.append))

    @property
    def newest(self) -> m.CloneProgress:
        return self._reports[-1] if self._reports else m.CloneProgress(phase="")

    async def until(self, reported: Callable[[m.CloneProgress], bool]) -> None:
        async with asyncio.timeout(60):
            while not reported(self.newest):
                if self.task.done():
                    self.task.result()
                    pytest.fail(f"it ended without such a report; the last one was {self.newest}")
                await asyncio.sleep(0.02)


@asynccontextmanager
async def at_work(dsn: str, statement: str = FOR_EVER) -> AsyncIterator[Callable[[], bool]]:
    """Keep a session busy; the yielded function lets it rest."""
    connection = await asyncpg.connect(dsn)
    task = asyncio.create_task(connection.execute(statement))
    try:
        yield task.cancel
    finally:
        task.cancel()
        await asyncio.wait([task])
        await connection.close()


async def held(move: PendingClone) -> int:
    """Count what the clone keeps from others: transactions that stay open, and locks on the books or its own tables."""
    return int(
        await move.pool.fetchval(
            "select count(*) + (select count(*) from pg_stat_activity where datname = current_database() "
            "and usename = current_user and state like 'idle in transaction%') "
            "from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace "
            "where l.database = (select oid from pg_database where datname = current_database()) "
            "and n.nspname = any ($1)",
            [move.source, move.target, "control"],
        )
    )


async def test_it_waits_for_the_application_and_goes_on_by_itself(move: PendingClone, app_dsn: str) -> None:
    """Pauses above the limit of active sessions, and goes on below it."""
    await move.build("create table ledger as select i as id from generate_series(1, 1000) i")
    async with at_work(app_dsn) as first, at_work(app_dsn) as second:
        clone = Watched(move, Limits(active_sessions=1, look_seconds=LOOK_SECONDS))
        await clone.until(lambda report: report.phase == "paused: sessions at work 2 (limit 1)")
        assert await held(move) == 0
        first()
        # Below its limit, but not by so much that it would not pass it again at once.
        await clone.until(lambda report: report.phase == "paused: sessions at work 1 (limit 1)")
        second()
        await clone.task
    assert not clone.newest.phase.startswith("paused")
    assert await move.verify() == []


async def test_it_is_stopped_at_once_while_it_pauses(move: PendingClone, app_dsn: str) -> None:
    """Stops at once while it pauses."""
    await move.build("create table ledger as select i as id from generate_series(1, 1000) i")
    async with at_work(app_dsn):
        clone = Watched(move, Limits(active_sessions=0, look_seconds=LOOK_SECONDS))
        await clone.until(lambda report: report.phase.startswith("paused"))
        clone.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await clone.task
        await move.drop()
    assert await move.pool.fetchval("select to_regnamespace($1)", move.target) is None
    assert await move.pool.fetchval("select count(*) from control.clone_run") == 0


@asynccontextmanager
async def receiving(server: EmbeddedPostgres, folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Receive the server's log as a standby does, and tell at once how far it is."""
    found = re.fullmatch(r"postgresql://(\w+):([^@]+)@127\.0\.0\.1:(\d+)/\w+", server.dsn("postgres"))
    assert found
    role, password, port = found.groups()
    where = [f"--directory={folder}", "--host=127.0.0.1", f"--port={port}", f"--username={role}"]
    process = await asyncio.to_thread(
        subprocess.Popen,
        [str(postgres_bin() / "pg_receivewal"), *where, "--no-loop", "--synchronous"],
        env={**os.environ, "PGPASSWORD": password},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        await processes.stop(process, signal.SIGTERM, signal.SIGKILL, patience_seconds=30)


async def test_it_waits_for_a_standby_that_cannot_keep_up(
    move: PendingClone, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Pauses while a standby lags more than the limit."""
    await move.build("create table ledger as select i as id, repeat('x', 400) as pad from generate_series(1, 60000) i")
    async with receiving(postgres, tmp_path) as receiver:
        await move.until(
            "select exists (select from pg_stat_replication where application_name = 'pg_receivewal' "
            "and state = 'streaming' and pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn) < 100000)"
        )
        receiver.send_signal(signal.SIGSTOP)
        # After a checkpoint the catalog's pages alone are some megabytes of log: the pause is to come after rows.
        clone = Watched(move, Limits(lag_bytes=12_000_000, look_seconds=LOOK_SECONDS), parallelism=1)
        await clone.until(lambda report: report.phase.startswith("paused: pg_receivewal is") and report.rows_done > 0)
        assert "MB behind (limit 12.0 MB)" in clone.newest.phase
        assert await held(move) == 0
        receiver.send_signal(signal.SIGCONT)
        await clone.task
    assert await move.verify() == []


async def test_who_waits_and_the_service_itself_do_not_count(move: PendingClone, app_dsn: str) -> None:
    """Counts neither idle sessions nor the service's own."""
    limits = Limits(active_sessions=0, look_seconds=LOOK_SECONDS)
    async with move.pool.acquire() as connection:
        await connection.execute("select pg_advisory_lock(1)")
        async with at_work(app_dsn, "select pg_advisory_lock(1)"), at_work(move.dsn):
            await move.until(
                "select exists (select from pg_locks where locktype = 'advisory' and not granted) and exists "
                f"(select from pg_stat_activity where state = 'active' and query = '{FOR_EVER}')"
            )
            throttle = Throttle(limits, lambda: False)
            await throttle.let_pass(connection)
            assert throttle.paused is None
        await connection.execute("select pg_advisory_unlock_all()")


@pytest.fixture
async def blinded(postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    """The service without the right to see what other roles' sessions do."""
    superuser = await asyncpg.connect(postgres.dsn("postgres", "postgres"))
    await superuser.execute("revoke pg_read_all_stats from sb_owner")
    yield
    await superuser.execute("grant pg_read_all_stats to sb_owner")
    await superuser.close()


@pytest.mark.usefixtures("blinded")
async def test_a_limit_that_cannot_be_seen_is_no_limit_in_silence(move: PendingClone) -> None:
    """Refuses to start with a limit that its role cannot see."""
    await move.build("create table ledger as select i as id from generate_series(1, 1000) i")
    limits = Limits(lag_bytes=1)
    with pytest.raises(Misconfigured, match="grant pg_read_all_stats to sb_owner"):
        await require_sight(move.pool, limits)
    with pytest.raises(Unavailable, match="grant pg_read_all_stats to sb_owner"):
        await PostgresCloneEngine(move.pool, parallelism=1, limits=limits).clone(move.order, lambda _: None)
    await require_sight(move.pool, Limits())
    worker = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "worker"],
        env={
            **os.environ,
            "SB_TRANSFER_DATABASE_URL": move.dsn,
            "SB_TRANSFER_SMTP_URL": "smtp://localhost",
            "SB_TRANSFER_TICKET_KEYS": "unused",
            "SB_TRANSFER_CERTIFICATE_KEYS": "unused",
            "SB_TRANSFER_PAYLOAD_KEYS": "unused",
            "SB_TRANSFER_CLONE_MAX_ACTIVE": "8",
        },
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert worker.returncode == 4
    assert "grant pg_read_all_stats to sb_owner" in worker.stderr
    await move.clone()
    assert await move.verify() == []
