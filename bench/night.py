"""An evening on which many move: `python -m bench.night --moves 1000 [--window 300] [--kill] [--json FILE]`.

On a stack of its own: environments of mixed sizes (80% of 200 rows, 15% of 5,000, 5% of 50,000) go to three firms (80%,
19% and 1% of them) when a window opens by the clock. Meanwhile the API is asked for a status again and again, and four
sessions of a neighbour book entries. Then as many moves of the same sizes are made by the same adapters in a plain loop
without Temporal, with the same slots and connections (`bench.plain_loop`).

`--window` closes the window after so many seconds and tells what was kept, put off and dropped. `--kill` kills the
worker, PostgreSQL and Temporal in the middle, one after the other. What is printed, and written by `--json`:

ratio_to_loop (moves a second, by those of the loop), first_ready_s, start_lag_s (both since the opening), by_licence
(first, median and last ready of each firm, seconds, and its moves), smallest_firm_by_evening (its last one, by that of
all), kept, postponed, dropped, kept_by_loop (by what the loop makes in the same time), status_p99_by_rest_p50,
neighbour_p99_by_rest, worker_mb and server_mb (at their most), core_seconds (of one move, by program, the sessions of
the neighbour among them), prepare_s (to prepare and upload one, at four at once), events (of one move), violations
(`sb-transfer reconcile`), lost and doubled rows. After them each bar (`bench.bars`), and whether it was reached.
"""

import argparse
import asyncio
import json
import math
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psutil
from temporalio.client import Client

import worker
from adapters import settings as settings_module
from adapters.crypto.payload_codec import encrypting
from adapters.postgres.connection import Pool
from adapters.postgres.database import database
from adapters.reconcile.inspection import PostgresInspector
from adapters.temporal.client import connect_temporal
from adapters.temporal.running_workflows import TemporalWorkflows
from adapters.verify.verifier import PostgresVerifier
from bench import neighbours as neighbours_module
from bench.bars import bars_of
from bench.environments import FIRMS, build, firms, sizes
from bench.neighbours import NeighbourSessions
from bench.plain_loop import moved_in_a_loop
from bench.process_usage import core_seconds, megabytes
from bench.status_probe import StatusProbe
from devstack.issuer import EmbeddedIssuer
from devstack.seed import make_books
from devstack.stack import Stack
from devstack.worker import WorkerProcess
from domain.authority import Caller, Role
from domain.reconciliation import Inspect
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from workflows.task_queues import TRANSFERS

_AT_ONCE = 4
_SMALLEST = FIRMS[-1][0]
# So that a move that is lost does not keep a measurement from its end.
_PATIENCE_SECONDS, _PATIENCE_PER_MOVE_SECONDS = 300, 6
_SESSIONS = 4
_WEIGHED_EVERY_SECONDS = 10
_AT_REST_SECONDS = 10
_OF_THESE = "select count(*) from control.transfer where environment_id = any ($1) and "
_HASHED = f"{_OF_THESE} size_bytes is not null"
_READY = f"{_OF_THESE} ready_at is not null"
_ENDED = f"{_OF_THESE} (ready_at is not null or undo_reason is not null)"
_SETTLED = f"{_OF_THESE} (ready_at is not null or undo_reason is not null or (state = 'scheduled' and evening > 1))"
_MOVED = """
select target_licence as licence, extract(epoch from begun_at - $2)::float as begun,
       extract(epoch from ready_at - $2)::float as ready
from control.transfer where environment_id = any ($1)
"""
_TOLD = """
select count(*) from control.transfer_event e join control.transfer t using (transfer_id)
where t.environment_id = any ($1) and e.kind = $2
"""
_PAIRS = """
select o.schema_name as old, n.schema_name as new
from control.transfer t join control.environment o on o.environment_id = t.environment_id
join control.environment n on n.environment_id = t.new_environment_id
where t.environment_id = any ($1) and t.ready_at is not null
"""


class Evening:
    """A stack on which moves are planned, and what happens to them."""

    def __init__(self, stack: Stack, client: TransferClient, temporal: Client, pool: Pool, folder: Path) -> None:
        self.stack = stack
        self.client = client
        self.temporal = temporal
        self.pool = pool
        self.worker_mb = self.server_mb = 0.0
        self.process: WorkerProcess | None = None
        self._folder = folder

    async def start_worker(self, opens: datetime, closes: datetime) -> None:
        """Let a worker begin whose window opens and closes at these moments."""
        words = [f"{moment:%H:%M:%S}" for moment in (opens, closes)]
        command = (sys.executable, "-m", "bench.night", "--as-worker", *words)
        self.process = WorkerProcess(self._folder / "worker", command)
        self.process.configure(self.stack.process_environment())
        await self.process.start()
        await self.process.ready(self.temporal)

    def core_seconds(self) -> dict[str, float]:
        """Return what each program has used of the processor until now."""
        pids = {name: self.stack.servers[name].pid for name in ("postgres", "temporal")}
        if self.process is not None:
            pids["worker"] = self.process.pid
        return {name: core_seconds(pid) for name, pid in pids.items()}

    async def stop_worker(self) -> None:
        """Stop it as a deployment does."""
        if self.process is not None:
            await self.process.stop()
            self.process = None

    async def prepared(self, ids: Sequence[str]) -> tuple[list[bytes], float]:
        """Prepare all of them, and return their tickets and seconds."""
        began = time.monotonic()
        tickets = await _at_once([self._ticket(one) for one in ids])
        return tickets, time.monotonic() - began

    async def _ticket(self, environment_id: str) -> bytes:
        return (await self.client.prepare(environment_id, requested_by="bench")).ticket

    async def uploaded(self, tickets: Sequence[bytes], prefix: str) -> float:
        """Upload all of them, and return seconds."""
        began = time.monotonic()
        named = zip(tickets, firms(len(tickets)), strict=True)
        await _at_once(
            [
                self.client.upload(ticket, licence=firm, name=f"{prefix} {number}", uploaded_by="bench")
                for number, (ticket, firm) in enumerate(named)
            ]
        )
        return time.monotonic() - began

    async def until(self, statement: str, ids: Sequence[UUID], count: int, *, at_most: float = math.inf) -> None:
        """Wait until the database counts so many; servers may be away meanwhile."""
        deadline = time.monotonic() + at_most
        while time.monotonic() < deadline:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                if await self.pool.fetchval(statement, ids) >= count:
                    return
            await asyncio.sleep(0.5)

    @asynccontextmanager
    async def weighing(self) -> AsyncIterator[None]:
        """Look at what the processes hold while the block runs."""
        task = asyncio.create_task(self._weigh())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _weigh(self) -> None:
        while True:
            # In a thread: to find a program's children all processes are looked at, and the neighbours would wait.
            with suppress(psutil.Error):
                if self.process is not None:
                    self.worker_mb = max(self.worker_mb, await asyncio.to_thread(megabytes, self.process.pid))
                servers = [
                    await asyncio.to_thread(megabytes, self.stack.servers[name].pid)
                    for name in ("postgres", "temporal")
                ]
                self.server_mb = max(self.server_mb, sum(servers))
            await asyncio.sleep(_WEIGHED_EVERY_SECONDS)

    async def kill_one_after_the_other(self, ids: Sequence[UUID], opens: datetime, closes: datetime) -> None:
        """Kill each server once, when a quarter, half and three quarters are ready."""
        for part, name in enumerate(("worker", "postgres", "temporal"), 1):
            await self.until(_READY, ids, len(ids) * part // 4, at_most=_patience(len(ids)))
            if name == "worker" and self.process is not None:
                os.kill(self.process.pid, signal.SIGKILL)
                await self.process.stop()
                await self.start_worker(opens, closes)
            else:
                os.kill(self.stack.servers[name].pid, signal.SIGKILL)


async def _at_once(work: Sequence[Awaitable[Any]]) -> list[Any]:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(awaitable: Awaitable[Any]) -> Any:
        async with turn:
            return await awaitable

    return await asyncio.gather(*(one(each) for each in work))


def _patience(moves: int) -> float:
    return _PATIENCE_SECONDS + _PATIENCE_PER_MOVE_SECONDS * moves


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else 0.0


async def measure(moves: int, window: int | None, *, kill: bool) -> dict[str, Any]:
    """Measure on a stack of its own."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))}
    with tempfile.TemporaryDirectory() as name:
        async with Stack(Path(name) / "stack", worker=False, api=True, environment=given) as stack:
            variables = stack.process_environment()
            settings = settings_of(variables)
            await make_books(settings, journal_lines=200)
            async with (
                connect(settings, environment=variables) as client,
                database(settings.database_url, connections=4) as pool,
            ):
                await pool.execute(
                    "insert into control.licence (licence_number, holder_name, kind, host, contact_email, language) "
                    "values ('10004', 'Klein', 'firm', 'klein', 'kantoor@klein.example', 'nl')"
                )
                temporal = await connect_temporal(
                    environment=variables, data_converter=encrypting(settings.payload_keys)
                )
                evening = Evening(stack, client, temporal, pool, Path(name))
                try:
                    return await _measured(evening, moves, window, kill=kill)
                finally:
                    await evening.stop_worker()


async def _measured(evening: Evening, moves: int, window: int | None, *, kill: bool) -> dict[str, Any]:
    settings = settings_of(evening.stack.process_environment())
    database_url = evening.stack.info.database_url
    first, second = [await build(database_url, sizes(moves), prefix=prefix) for prefix in ("night", "loop")]
    ids, others = [UUID(one) for one in first], [UUID(one) for one in second]
    far = datetime.now(settings.zone) + timedelta(hours=8)
    await evening.start_worker(far, far + timedelta(hours=3))
    tickets, preparing = await evening.prepared(first)
    tickets_of_others, _ = await evening.prepared(second)
    uploading_others = await evening.uploaded(tickets_of_others, "Loop")
    await evening.until(_HASHED, [*ids, *others], 2 * moves, at_most=_patience(moves))
    await evening.stop_worker()
    # By the clock, when all uploads are certainly there.
    opens = (
        datetime.now(settings.zone) + timedelta(seconds=20 + 2 * _AT_REST_SECONDS + 1.5 * uploading_others)
    ).replace(microsecond=0)
    closes = opens + timedelta(seconds=window) if window else opens - timedelta(hours=1)
    await evening.start_worker(opens, closes)
    uploading = await evening.uploaded(tickets, "Night")
    if datetime.now(settings.zone) >= opens:
        raise SystemExit("The uploads were not done when the window opened; measure on a machine that is less busy.")
    meanwhile = await _the_evening(evening, ids, opens, closes, until_closed=window is not None, kill=kill)
    moved = await _moved(evening, ids, opens)
    await evening.stop_worker()
    loop = await moved_in_a_loop(settings, others)
    seconds = window or moved["seconds"]
    return {
        "moves": moves,
        "loop_seconds": round(loop, 1),
        "ratio_to_loop": round(moved["kept"] / seconds / (moves / loop), 2) if seconds else 0.0,
        "kept_by_loop": round(moved["kept"] / min(moves, moves / loop * seconds), 2) if seconds else 0.0,
        "smallest_firm_by_evening": _share(moved["by_licence"][_SMALLEST].get("last_s"), moved["seconds"]),
        "prepare_s": round((preparing + uploading) / moves, 2),
        **moved,
        **meanwhile,
    }


async def _the_evening(
    evening: Evening, ids: Sequence[UUID], opens: datetime, closes: datetime, *, until_closed: bool, kill: bool
) -> dict[str, Any]:
    """Let the window open and everybody move; return what others had of it."""
    stack, pool = evening.stack, evening.pool
    who = Caller(subject="bench", name="bench", roles=frozenset({Role.BACKEND}))
    token = EmbeddedIssuer(stack.folder).token(who, timedelta(hours=6))
    asked = await pool.fetchval("select transfer_id from control.transfer where environment_id = $1", ids[0])
    path = f"/v1/transfers/{asked}"
    schema = await neighbours_module.build(pool, neighbours_module.NEIGHBOUR_LINES)
    async with AsyncExitStack() as resources:
        connections = [await asyncpg.connect(stack.info.app_database_url) for _ in range(_SESSIONS)]
        for connection in connections:
            resources.push_async_callback(connection.close)
        neighbours = NeighbourSessions(connections, schema)
        await resources.enter_async_context(neighbours.at_work())
        probe = await resources.enter_async_context(StatusProbe.asking(str(stack.info.api_url), path, token))
        await asyncio.sleep(_AT_REST_SECONDS / 2)
        for one in (neighbours, probe):  # until they are warm nothing counts
            one.take_interval()
        await asyncio.sleep(_AT_REST_SECONDS)
        quiet, rest = neighbours.take_interval().durations, probe.take_interval()
        await asyncio.sleep(max((opens - datetime.now(opens.tzinfo)).total_seconds(), 0))
        for one in (neighbours, probe):
            one.take_interval()
        before = evening.core_seconds()
        killing = asyncio.create_task(evening.kill_one_after_the_other(ids, opens, closes)) if kill else None
        async with evening.weighing():
            if until_closed:
                await asyncio.sleep((closes - datetime.now(closes.tzinfo)).total_seconds())
            await evening.until(_SETTLED if until_closed else _ENDED, ids, len(ids), at_most=_patience(len(ids)))
        busy, statuses = neighbours.take_interval().durations, probe.take_interval()
        used = {name: seconds - before[name] for name, seconds in evening.core_seconds().items()}
        if killing is not None:
            await killing
    await pool.execute(f"drop schema {schema} cascade")
    return {
        "status_p50_ms_at_rest": round(1e3 * statistics.median(rest), 1),
        "status_p99_by_rest_p50": round(_percentile(statuses, 99) / statistics.median(rest), 1),
        "neighbour_p99_by_rest": round(_percentile(busy, 99) / _percentile(quiet, 99), 1),
        # A program that was killed has begun to count anew.
        "core_seconds": None if kill else {name: round(seconds / len(ids), 2) for name, seconds in used.items()},
        "worker_mb": round(evening.worker_mb),
        "server_mb": round(evening.server_mb),
    }


async def _moved(evening: Evening, ids: Sequence[UUID], opens: datetime) -> dict[str, Any]:
    """Return what became of the moves of an evening."""
    pool = evening.pool
    rows = await pool.fetch(_MOVED, ids, opens)
    ready = sorted(row["ready"] for row in rows if row["ready"] is not None)
    begun = [row["begun"] for row in rows if row["begun"] is not None]
    workflow_id = await pool.fetchval("select workflow_id from control.transfer where environment_id = $1", ids[0])
    inspector = PostgresInspector(
        pool, TemporalWorkflows(evening.temporal, TRANSFERS), PostgresVerifier(pool, parallelism=1)
    )
    differences = [await _difference(pool, *pair) for pair in await pool.fetch(_PAIRS, ids)]
    return {
        "seconds": round(ready[-1], 1) if ready else None,
        "first_ready_s": round(ready[0], 2) if ready else None,
        "start_lag_s": round(min(begun), 2) if begun else None,
        "by_licence": {firm: _of_firm([row for row in rows if row["licence"] == firm]) for firm, _ in FIRMS},
        "kept": len(ready),
        "postponed": await pool.fetchval(_TOLD, ids, "start_postponed"),
        "dropped": await pool.fetchval(_TOLD, ids, "clone_dropped"),
        "events": await evening.client.history_events(workflow_id),
        "violations": (await inspector.inspect(Inspect())).wrong,
        "lost": sum(max(difference, 0) for difference in differences),
        "doubled": sum(max(-difference, 0) for difference in differences),
    }


async def _difference(pool: Pool, old: str, new: str) -> int:
    """Return how many rows more the old environment has."""
    count = f"select (select count(*) from {old}.relation) - (select count(*) from {new}.relation)"
    return int(await pool.fetchval(count))


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 3)


def _of_firm(rows: Sequence[asyncpg.Record]) -> dict[str, Any]:
    ready = sorted(row["ready"] for row in rows if row["ready"] is not None)
    if not ready:
        return {"moves": len(rows), "ready": 0}
    figures = {"first_s": ready[0], "median_s": statistics.median(ready), "last_s": ready[-1]}
    return {"moves": len(rows), "ready": len(ready), **{name: round(value, 2) for name, value in figures.items()}}


def as_worker(opens: str, closes: str) -> int:
    """Be a worker with a window of these wall-clock times, which may be shorter than a real one has to be."""
    settings_module.SHORTEST_WINDOW = timedelta(0)
    os.environ |= {"SB_TRANSFER_WINDOW_OPENS": opens, "SB_TRANSFER_WINDOW_CLOSES": closes}
    return worker.main()


def main() -> int:
    """Measure, print, write JSON if asked."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--moves", type=int, default=1000)
    words.add_argument("--window", type=int, help="seconds after which the window closes")
    words.add_argument("--kill", action="store_true", help="kill worker, PostgreSQL and Temporal in the middle")
    words.add_argument("--json", type=Path, help="where to write the figures")
    words.add_argument("--as-worker", nargs=2, metavar=("OPENS", "CLOSES"), help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.as_worker:
        return as_worker(*given.as_worker)
    found = asyncio.run(measure(given.moves, given.window, kill=given.kill))
    for what, figure in found.items():
        print(f"{what.replace('_', ' ')}: {figure}")
    wanted = bars_of(window=given.window is not None, kill=given.kill)
    found["bars"] = {str(bar): bar.is_reached(found) for bar in wanted}
    for bar, reached in found["bars"].items():
        print(f"{'reached' if reached else 'NOT REACHED'}: {bar}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
