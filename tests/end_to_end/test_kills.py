"""Real processes, really killed: the move goes on where it was, and no row is lost or doubled.

`tests/chaos` kills every server at every step; here are what a large clone costs and a power cut.
"""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from devstack.binaries import temporal_cli
from devstack.info import environment_of
from devstack.seed import SHOW_MOVES, make_books
from devstack.stack import Stack
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.polling import snapshots
from tests.end_to_end.history import MOST_ACTIVITIES, activities_of
from tests.end_to_end.up import Up, kill_all, kill_everything

OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
SWITCH = next(move for move in SHOW_MOVES if move.scenario == "switch")
# The environment with twelve administrations: large enough to be met in the middle of its clone.
BIG_LINES = 120_000


def clean_environment() -> dict[str, str]:
    """Return what a shell would have: no settings for other servers, no width of a window in which nobody looks."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OTHERS) and name != "COLUMNS"}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A stack of the test's own: it will be hurt."""
    async with Stack(tmp_path / "stack", environment=clean_environment()) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=BIG_LINES)
        yield running


async def reach(client: TransferClient, which: str, state: TransferState) -> None:
    async with asyncio.timeout(120):
        async for _ in snapshots(client, which, lambda status: status.state is state, poll_seconds=0.05):
            continue


async def largest_environment(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        found: str = await connection.fetchval(
            "select e.environment_id::text from control.environment e join pg_namespace n on n.nspname = e.schema_name "
            "join pg_class c on c.relnamespace = n.oid and c.relname = 'journal_line' join control.licence l "
            "using (licence_number) where l.kind = 'firm' order by pg_relation_size(c.oid) desc limit 1"
        )
        return found
    finally:
        await connection.close()


async def counts(dsn: str, schema: str) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = $1", schema)
        return {
            table["tablename"]: await connection.fetchval(f'select count(*) from "{schema}"."{table["tablename"]}"')
            for table in tables
        }
    finally:
        await connection.close()


async def release_with_temporals_own_program(stack: Stack, workflow_id: str) -> None:
    """As support does without our command line."""
    await asyncio.to_thread(
        subprocess.run,
        [
            *(str(temporal_cli()), "workflow", "signal", "--workflow-id", workflow_id, "--name", "release"),
            *("--input", json.dumps({"released_by": "support", "note": "by hand"})),
        ],
        env={**clean_environment(), **stack.environment},
        check=True,
        capture_output=True,
    )


async def other_firm(dsn: str, environment_id: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        licence: str = await connection.fetchval(
            "select l.licence_number from control.licence l where kind = 'firm' and licence_number <> (select "
            "licence_number from control.environment where environment_id = $1::uuid) order by 1 limit 1",
            environment_id,
        )
        return licence
    finally:
        await connection.close()


async def test_the_worker_is_killed_again_and_again_during_the_clone(stack: Stack) -> None:
    """Resumes the clone after each kill, with no row twice and small memory."""
    variables = stack.process_environment()
    dsn = stack.environment["SB_TRANSFER_DATABASE_URL"]
    async with connect(settings_of(variables), environment=variables) as client:
        environment = await largest_environment(dsn)
        ready = await client.prepare(environment, requested_by="old side")
        await client.upload(
            ready.ticket, licence=await other_firm(dsn, environment), name="Verhuisd", uploaded_by="new"
        )
        await client.start_now(ready.workflow_id, by="test")
        kills = 0
        memory = 0
        async with asyncio.timeout(200):
            while (await client.status(ready.workflow_id)).status.state is not TransferState.AWAITING_RELEASE:
                try:
                    worker = psutil.Process(stack.worker_pid)
                    memory = max(memory, worker.memory_info().rss)
                    if kills < 2 and (await client.status(ready.workflow_id)).status.state is TransferState.CLONING:
                        worker.send_signal(signal.SIGKILL)
                        kills += 1
                except psutil.NoSuchProcess:
                    continue  # the next one is being started
                await asyncio.sleep(0.4)
        assert kills >= 1
        assert memory < 200 * 1024 * 1024
        status = (await client.status(ready.workflow_id)).status
        assert status.old is not None
        assert status.new is not None
        assert await counts(dsn, status.new.schema_name) == await counts(dsn, status.old.schema_name)
        await release_with_temporals_own_program(stack, ready.workflow_id)
        result = await client.result(ready.workflow_id)
        assert (result.state, result.mismatches) == (TransferState.RELEASED, 0)
        events = await client.events(ready.workflow_id)
        assert "support" in {event.actor for event in events}
        assert await activities_of(stack, ready.workflow_id) <= MOST_ACTIVITIES


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A folder for a stack; nothing of it runs after the test."""
    yield tmp_path / "stack"
    await asyncio.to_thread(kill_all, tmp_path / "stack")


async def test_everything_is_killed_while_it_waits(folder: Path) -> None:
    """Keeps the planned move when everything is killed before 22:00."""
    before = Up(folder, worker=True)
    info = await before.ready()
    variables = {**clean_environment(), **(environment_of(folder) or {})}
    await make_books(settings_of(variables), journal_lines=5_000)
    async with connect(settings_of(variables), environment=variables) as client:
        ready = await client.prepare(f"{SWITCH.old_licence}/{SWITCH.environment}", requested_by="old side")
        await client.upload(ready.ticket, licence=SWITCH.new_licence, name="Na de storing", uploaded_by="new side")
        planned = (await client.status(ready.workflow_id)).status.starts_at
    await asyncio.to_thread(kill_everything, info)
    before.end(signal.SIGKILL)
    after = Up(folder, worker=True)
    await after.ready()
    variables = {**clean_environment(), **(environment_of(folder) or {})}
    async with connect(settings_of(variables), environment=variables) as client:
        await reach(client, ready.workflow_id, TransferState.SCHEDULED)
        assert (await client.status(ready.workflow_id)).status.starts_at == planned
        await client.start_now(ready.workflow_id, by="test")
        await reach(client, ready.workflow_id, TransferState.AWAITING_RELEASE)
        await client.release(ready.workflow_id, by="new side")
        assert (await client.result(ready.workflow_id)).state is TransferState.RELEASED
    code, _ = await asyncio.to_thread(after.end, signal.SIGTERM)
    assert code == 0
