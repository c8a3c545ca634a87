"""What a clone costs the neighbours: `python bench/neighbours.py [--lines 1000000] [--json figures.json]`.

Sessions of sb_app in another environment of the same server book entries in small transactions, one after the other
with a short pause: alone, and while an environment with so many journal lines is cloned, with one connection and with
two. The clones stand between two stretches without one, and the ratios are to both together, so that what else the
machine does counts on both sides. With `--max-active` the clone gives way, as with SB_TRANSFER_CLONE_MAX_ACTIVE.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from adapters.clone import Limits, PostgresCloneEngine
from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.migrations import migrate_control
from adapters.verify.prefetch import Prefetcher
from devstack.postgres import EmbeddedPostgres
from domain import messages as m

PARALLELISMS = (1, 2)
ALONE_SECONDS = 5.0
# What a person's program does between two requests; without it, a few sessions would saturate the server by themselves.
THINK_SECONDS = 0.01

BOOKS = """
create table ledger_account (id bigint primary key, name text not null, balance numeric(15, 2) not null default 0);
create table journal_line (id bigint generated always as identity primary key,
    ledger_account_id bigint not null references ledger_account, amount numeric(15, 2) not null,
    description text not null);
insert into ledger_account (id, name) select i, 'account ' || i from generate_series(1, 1000) i;
insert into journal_line (ledger_account_id, amount, description)
    select 1 + i % 1000, i % 90000, 'line ' || i from generate_series(1, {lines}) i;
create index journal_line_by_account on journal_line (ledger_account_id);
create index journal_line_by_amount on journal_line (amount, id);
"""
NEIGHBOUR_LINES = 50_000


@dataclass(frozen=True)
class Interval:
    """Transactions of one stretch of time: their durations, seconds."""

    durations: list[float]

    @property
    def figures(self) -> dict[str, float]:
        """Return the number of transactions, and the median and high percentiles of their durations, milliseconds."""
        cuts = statistics.quantiles(self.durations, n=100, method="inclusive")
        named = {"median": cuts[49], "p95": cuts[94], "p99": cuts[98]}
        return {"transactions": len(self.durations), **{name: round(cut * 1e3, 2) for name, cut in named.items()}}


class NeighbourSessions:
    """Sessions of the application that book entries until they are stopped."""

    def __init__(self, connections: Sequence[asyncpg.Connection], schema: str) -> None:
        self._connections = connections
        self._schema = schema
        self._durations: list[float] = []

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Let all of them work while the block runs."""
        tasks = [asyncio.create_task(self._work(connection)) for connection in self._connections]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def take_interval(self) -> Interval:
        """Return what was done since the last cut."""
        done, self._durations = self._durations, []
        return Interval(done)

    async def _work(self, connection: asyncpg.Connection) -> None:
        await connection.execute(f"set search_path to {self._schema}")
        while True:
            account = random.randint(1, 1000)  # noqa: S311 - spreads the load, guards nothing
            began = time.perf_counter()
            async with connection.transaction():
                await connection.fetchval("select sum(amount) from journal_line where ledger_account_id = $1", account)
                await connection.execute(
                    "insert into journal_line (ledger_account_id, amount, description) values ($1, 10.00, 'sale')",
                    account,
                )
                await connection.execute("update ledger_account set balance = balance + 10 where id = $1", account)
            self._durations.append(time.perf_counter() - began)
            await asyncio.sleep(THINK_SECONDS)


async def build(pool: Pool, lines: int) -> str:
    """Make an environment that the application may write in, and return its schema."""
    schema = f"env_{uuid.uuid4().hex}"
    async with pool.acquire() as connection:
        await connection.execute(f"create schema {schema}; set search_path to {schema}, pg_catalog")
        await connection.execute(BOOKS.replace("{lines}", str(lines)))
        await connection.execute(f"grant usage on schema {schema} to sb_app")
        await connection.execute(f"grant select, insert, update on all tables in schema {schema} to sb_app")
        await connection.execute(f"grant usage on all sequences in schema {schema} to sb_app; reset search_path")
    return schema


async def clone(
    pool: Pool, source: str, parallelism: int, limits: Limits, neighbours: NeighbourSessions
) -> tuple[float, bool, list[float]]:
    """Clone, and drop it again; return seconds, whether it paused, and how long the sessions' transactions took."""
    transfer, new = uuid.uuid4(), uuid.uuid4()
    await pool.execute(
        "insert into control.transfer (transfer_id, workflow_id, environment_id, state, new_environment_id) "
        "values ($1, 'bench', $2, 'scheduled', $3)",
        transfer,
        uuid.uuid4(),
        new,
    )
    paused = False

    def report(progress: m.CloneProgress) -> None:
        nonlocal paused
        paused = paused or progress.phase.startswith("paused")

    engine = PostgresCloneEngine(pool, parallelism=parallelism, limits=limits, meanwhile=Prefetcher)
    neighbours.take_interval()
    began = time.monotonic()
    order = m.CloneAdministrations(transfer_id=transfer, source_schema=source, target_schema=f"env_{new.hex}")
    await engine.clone(order, report)
    seconds = time.monotonic() - began
    durations = neighbours.take_interval().durations
    await pool.execute(
        "update control.transfer set state = 'undoing', undo_reason = 'failed' where transfer_id = $1", transfer
    )
    await engine.drop(m.DropClone(transfer_id=transfer))
    return seconds, paused, durations


async def measure_alone(neighbours: NeighbourSessions) -> Interval:
    """Return a stretch without a clone."""
    neighbours.take_interval()
    await asyncio.sleep(ALONE_SECONDS)
    return neighbours.take_interval()


async def measure(lines: int, sessions: int, limits: Limits, clones: int) -> list[dict[str, object]]:
    """Measure each parallelism on one server: alone, `clones` clones one after the other, alone again."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        await server.start()
        try:
            await migrate_control(server.dsn())
            pool = await connect_pool(server.dsn(), max_size=max(PARALLELISMS) + 2, application_name="bench")
            source, neighbour = await build(pool, lines), await build(pool, NEIGHBOUR_LINES)
            await pool.execute("vacuum analyze")
            connections = [await asyncpg.connect(server.dsn("sb_app")) for _ in range(sessions)]
            neighbours = NeighbourSessions(connections, neighbour)
            found: list[dict[str, object]] = []
            async with neighbours.at_work():
                before = await measure_alone(neighbours)
                for parallelism in PARALLELISMS:
                    busy: list[float] = []
                    seconds, paused = 0.0, False
                    for _ in range(clones):
                        took, waited, durations = await clone(pool, source, parallelism, limits, neighbours)
                        busy += durations
                        seconds, paused = seconds + took, paused or waited
                    after = await measure_alone(neighbours)
                    quiet = Interval([*before.durations, *after.durations]).figures
                    during = Interval(busy).figures
                    found.append(
                        {
                            "parallelism": parallelism,
                            "lines": lines,
                            "clone_seconds": round(seconds / clones, 2),
                            "paused": paused,
                            "alone": quiet,
                            "during": during,
                            "ratios": {name: round(during[name] / quiet[name], 2) for name in ("median", "p95", "p99")},
                        }
                    )
                    before = after
            for connection in connections:
                await connection.close()
            await pool.close()
        finally:
            await server.stop()
    return found


def main() -> None:
    """Measure, print a table, write JSON if asked."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument(
        "--lines", type=int, default=1_000_000, help="journal lines of the environment that is cloned"
    )
    arguments.add_argument("--sessions", type=int, default=4, help="sessions of the application")
    arguments.add_argument("--clones", type=int, default=3, help="clones of each kind, one after the other")
    arguments.add_argument("--max-active", type=int, help="give way above so many sessions at work")
    arguments.add_argument("--json", type=Path, help="where to write the figures")
    chosen = arguments.parse_args()
    found = asyncio.run(
        measure(chosen.lines, chosen.sessions, Limits(active_sessions=chosen.max_active), chosen.clones)
    )
    table = Table("connections", "clone s", "paused", "when", "transactions", "median ms", "p95 ms", "p99 ms")
    for one in found:
        for when in ("alone", "during", "ratios"):
            figures = one[when]
            if not isinstance(figures, dict):
                raise TypeError(when)
            shown = [str(figures.get(name, "")) for name in ("transactions", "median", "p95", "p99")]
            table.add_row(str(one["parallelism"]), str(one["clone_seconds"]), str(one["paused"]), when, *shown)
    Console(width=120).print(table)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
