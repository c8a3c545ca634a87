"""What a worker's slots are worth, and what it takes: `python -m bench.worker [--environments 16] [--json FILE]`.

On a stack of its own, for each setting with a fresh worker: every environment is prepared at once, uploaded at once and
started at once, as at 22:00; then everything is cancelled. Shown are the seconds of each stretch, how long a status
took while clones were at work (the 95th percentile, milliseconds), the most memory that the worker held, and the most
connections to PostgreSQL that it had. Memory per waiting transfer is measured at the end.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from bench.environments import build
from devstack.seed import make_books
from devstack.stack import Stack
from devstack.worker import WorkerProcess
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of

NEW = "10002"
# Slots for transactions, slots for clones, connections of a clone.
SETTINGS = ((16, 2, 2), (4, 2, 2), (32, 2, 2), (16, 1, 1), (16, 1, 2), (16, 2, 1), (16, 4, 1), (16, 4, 2))


@dataclass
class Figures:
    """What was measured with one setting; seconds unless the name says otherwise."""

    transactions: int
    clones: int
    parallelism: int
    prepare: float = 0.0
    upload: float = 0.0
    evening: float = 0.0
    undo: float = 0.0
    status_p95_ms: float = 0.0
    memory_mb: float = 0.0
    connections: int = 0
    by_pool: dict[str, int] | None = None


@asynccontextmanager
async def keeping_maxima(figures: Figures, pid: int, dsn: str) -> AsyncIterator[None]:
    """Keep the most memory and connections that a worker had while the block ran."""
    worker = psutil.Process(pid)
    owner = await asyncpg.connect(dsn)

    async def look() -> None:
        while True:
            figures.memory_mb = max(figures.memory_mb, round(worker.memory_info().rss / 1e6, 1))
            rows = await owner.fetch(
                "select application_name from pg_stat_activity where application_name like 'sb-transfer %' "
                "and application_name <> 'sb-transfer client'"
            )
            names = Counter(" ".join(row["application_name"].split()[:2]) for row in rows)
            if names.total() > figures.connections:
                figures.connections, figures.by_pool = names.total(), dict(names)
            await asyncio.sleep(0.2)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])
        await owner.close()


async def wait_until_all(client: TransferClient, ids: list[str], *states: TransferState) -> None:
    """Wait until every transfer is in one of these states, as the database says."""
    while True:
        found = await client.transfers(states=states, limit=10_000)
        if {str(one.environment_id) for one in found} >= set(ids):
            return
        await asyncio.sleep(0.1)


async def evening(client: TransferClient, ids: list[str], figures: Figures) -> None:
    """Prepare, upload and start everything at once; then cancel everything."""
    began = time.monotonic()
    ready = await asyncio.gather(*(client.prepare(one, requested_by="bench") for one in ids))
    figures.prepare = round(time.monotonic() - began, 2)
    began = time.monotonic()
    await asyncio.gather(
        *(
            client.upload(one.ticket, licence=NEW, name=f"moved {number}", uploaded_by="bench")
            for number, one in enumerate(ready)
        )
    )
    figures.upload = round(time.monotonic() - began, 2)
    began = time.monotonic()
    await asyncio.gather(*(client.start_now(one.workflow_id, by="bench") for one in ready))
    arrived = asyncio.create_task(wait_until_all(client, ids, TransferState.AWAITING_RELEASE))
    latencies = []
    while not arrived.done():
        asked = time.perf_counter()
        await client.status(ready[0].workflow_id)
        latencies.append(time.perf_counter() - asked)
        await asyncio.sleep(0.05)
    await arrived
    figures.evening = round(time.monotonic() - began, 2)
    figures.status_p95_ms = round(statistics.quantiles(latencies, n=20, method="inclusive")[18] * 1e3, 1)
    began = time.monotonic()
    await asyncio.gather(*(client.cancel(one.workflow_id, by="bench") for one in ready))
    await asyncio.gather(*(client.result(one.workflow_id) for one in ready))
    figures.undo = round(time.monotonic() - began, 2)


@asynccontextmanager
async def worker(stack: Stack, folder: Path, **settings: object) -> AsyncIterator[WorkerProcess]:
    """Run a worker with these settings."""
    process = WorkerProcess(folder)
    given = {f"SB_TRANSFER_{name.upper()}": str(value) for name, value in settings.items()}
    process.configure({**stack.process_environment(), **given})
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def memory_of_waiting(client: TransferClient, ids: list[str], pid: int) -> dict[str, float]:
    """Return what a worker holds when idle, and with so many transfers that wait, megabytes."""
    idle = psutil.Process(pid).memory_info().rss
    await asyncio.gather(*(client.prepare(one, requested_by="bench") for one in ids))
    held = psutil.Process(pid).memory_info().rss
    return {"idle_mb": round(idle / 1e6, 1), "with_waiting_mb": round(held / 1e6, 1), "waiting": len(ids)}


async def measure(environments: int, lines: int) -> tuple[list[Figures], dict[str, float]]:
    """Measure every setting on one stack."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))}
    with tempfile.TemporaryDirectory() as folder:
        async with Stack(Path(folder) / "stack", worker=False, environment=given) as stack:
            variables = stack.process_environment()
            await make_books(settings_of(variables), journal_lines=200)
            dsn = stack.environment["SB_TRANSFER_DATABASE_URL"]
            ids = await build(dsn, [lines] * environments)
            found = []
            async with connect(settings_of(variables), environment=variables) as client:
                for number, (transactions, clones, parallelism) in enumerate(SETTINGS):
                    figures = Figures(transactions, clones, parallelism)
                    given = {"slots_transfers": transactions, "slots_clone": clones, "clone_parallelism": parallelism}
                    async with (
                        worker(stack, Path(folder) / f"worker {number}", **given) as process,
                        keeping_maxima(figures, process.pid, dsn),
                    ):
                        await evening(client, ids, figures)
                    found.append(figures)
                async with worker(stack, Path(folder) / "waiting") as process:
                    await asyncio.sleep(3)
                    waiting = await memory_of_waiting(client, ids, process.pid)
    return found, waiting


def main() -> None:
    """Measure, print a table, write JSON if asked."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--environments", type=int, default=16, help="environments that move at once")
    arguments.add_argument("--lines", type=int, default=20_000, help="rows in each")
    arguments.add_argument("--json", type=Path, help="where to write the figures")
    chosen = arguments.parse_args()
    found, waiting = asyncio.run(measure(chosen.environments, chosen.lines))
    names = ("prepare", "upload", "evening", "undo", "status_p95_ms", "memory_mb", "connections")
    table = Table("slots", "clones", "connections each", *names)
    for one in found:
        row = asdict(one)
        table.add_row(*(str(row[name]) for name in ("transactions", "clones", "parallelism", *names)))
    console = Console(width=140)
    console.print(table)
    console.print(found[0].by_pool, waiting)
    if chosen.json:
        chosen.json.write_text(json.dumps({"settings": [asdict(one) for one in found], "memory": waiting}) + "\n")


if __name__ == "__main__":
    main()
