"""A whole move between two databases by real processes: from PostgreSQL 18 to 15, with the worker killed, and back."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from devstack.postgres import EmbeddedPostgres
from devstack.seed import make_books
from devstack.stack import Stack
from devstack.worker import WorkerProcess
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from tests.end_to_end.test_kills import clean_environment, counts, largest_environment, other_firm, reach
from tests.tools.older_postgres import older_postgres
from tests.tools.paths import TOOLS

LINES = 40_000


@pytest.fixture
async def elder(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """The PostgreSQL 15 that is the cell in the west."""
    server = EmbeddedPostgres(tmp_path / "west", settings={"fsync": "off"}, programs=older_postgres(TOOLS))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def stack(tmp_path: Path, elder: EmbeddedPostgres) -> AsyncIterator[Stack]:
    """A stack that knows of both databases."""
    variables = {**clean_environment(), "SB_TRANSFER_CELLS": json.dumps({"west": elder.dsn()})}
    async with Stack(tmp_path / "stack", environment=variables) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=LINES)
        yield running


async def killed_until(stack: Stack, client: TransferClient, which: str, state: TransferState) -> int:
    """Kill the worker twice while it clones, wait for a state, and say how often it was killed."""
    kills = 0
    async with asyncio.timeout(200):
        while (await client.status(which)).status.state is not state:
            try:
                worker = psutil.Process(stack.worker_pid)
                if kills < 2 and (await client.status(which)).status.state is TransferState.CLONING:
                    worker.send_signal(signal.SIGKILL)
                    kills += 1
            except psutil.NoSuchProcess:
                continue  # the next one is being started
            await asyncio.sleep(0.3)
    return kills


@asynccontextmanager
async def serving(folder: Path, stack: Stack, **only: str) -> AsyncIterator[None]:
    """A worker that serves only some of the queues."""
    worker = WorkerProcess(folder)
    chosen = {f"SB_TRANSFER_SERVE_{name.upper()}": value for name, value in only.items()}
    worker.configure({**stack.process_environment(), **chosen})
    await worker.start()
    try:
        yield
    finally:
        await worker.stop()


@contextmanager
def suspended(server: EmbeddedPostgres) -> Iterator[None]:
    """Let a server with all its sessions stand still while the block runs, as a machine does that is too busy."""
    postmaster = psutil.Process(server.pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


async def test_a_shard_that_stands_still_holds_up_its_own_moves_only(tmp_path: Path, elder: EmbeddedPostgres) -> None:
    """One database that is slow or away would keep everybody's evening waiting."""
    variables = {**clean_environment(), "SB_TRANSFER_CELLS": json.dumps({"west": elder.dsn()})}
    async with AsyncExitStack() as running:
        stack = await running.enter_async_context(Stack(tmp_path / "stack", environment=variables, worker=False))
        variables = stack.process_environment()
        await make_books(settings_of(variables), journal_lines=200)
        await running.enter_async_context(serving(tmp_path / "worker at home", stack, cells="home"))
        await running.enter_async_context(
            serving(tmp_path / "worker in the west", stack, cells="west", roles="clones, checks")
        )
        client = await running.enter_async_context(connect(settings_of(variables), environment=variables))
        home = await asyncpg.connect(stack.environment["SB_TRANSFER_DATABASE_URL"])
        await home.execute("update control.licence set cell = 'west' where licence_number = '10003'")
        names = await home.fetch(
            "select environment_id::text from control.environment where licence_number = '10001' order by name limit 2"
        )
        await home.close()
        moves = []
        for (environment,), licence in zip(names, ("10003", "10002"), strict=True):
            ready = await client.prepare(environment, requested_by="old side")
            await client.upload(ready.ticket, licence=licence, name=f"Nieuw {licence}", uploaded_by="new side")
            moves.append(ready.workflow_id)
        west, at_home = moves
        with suspended(elder):
            for move in moves:
                await client.start_now(move, by="test")
            await reach(client, at_home, TransferState.AWAITING_RELEASE)
            assert (await client.status(west)).status.state is TransferState.CLONING
            await client.release(at_home, by="new side")
            assert (await client.result(at_home)).state is TransferState.RELEASED
        await reach(client, west, TransferState.AWAITING_RELEASE)


async def test_an_environment_moves_to_another_database_and_may_come_back(
    stack: Stack, elder: EmbeddedPostgres
) -> None:
    """Moves to another database and back, with the books in one of them at each moment."""
    variables = stack.process_environment()
    home = stack.environment["SB_TRANSFER_DATABASE_URL"]
    async with connect(settings_of(variables), environment=variables) as client:
        environment = await largest_environment(home)
        licence = await other_firm(home, environment)
        connection = await asyncpg.connect(home)
        await connection.execute("update control.licence set cell = 'west' where licence_number = $1", licence)
        await connection.close()
        ready = await client.prepare(environment, requested_by="old side")
        await client.upload(ready.ticket, licence=licence, name="Naar het westen", uploaded_by="new side")
        await client.start_now(ready.workflow_id, by="test")
        assert await killed_until(stack, client, ready.workflow_id, TransferState.AWAITING_RELEASE) >= 1
        status = (await client.status(ready.workflow_id)).status
        assert status.old is not None
        assert status.new is not None
        assert status.new.cell == "west"
        there = await counts(elder.dsn(), status.new.schema_name)
        assert there == await counts(home, status.old.schema_name)
        assert there["journal_line"] > 0
        compared = await client.compare(str(status.old.environment_id), str(status.new.environment_id))
        assert compared.verification.equal
        await client.release(ready.workflow_id, by="new side")
        assert (await client.result(ready.workflow_id)).state is TransferState.RELEASED
        # On the way back the new side finds that it does not want it: the cell has to give everything back.
        back = await client.prepare(str(status.new.environment_id), requested_by="new side")
        await client.upload(back.ticket, licence=status.old.licence_number, name="Terug", uploaded_by="old side")
        await client.start_now(back.workflow_id, by="test")
        await reach(client, back.workflow_id, TransferState.AWAITING_RELEASE)
        await client.reject(back.workflow_id, by="old side", reason="not ours any more")
        assert (await client.result(back.workflow_id)).state is TransferState.UNDONE
        assert await counts(elder.dsn(), status.new.schema_name) == there
    application = await asyncpg.connect(elder.dsn("sb_app"))
    await application.execute(f"update {status.new.schema_name}.relation set city = 'Westeinde'")
    await application.close()
