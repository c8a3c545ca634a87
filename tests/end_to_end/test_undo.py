"""Every way back, on the real stack: the old environment is writable again and nothing of the new one is left."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from devstack.seed import make_books
from devstack.stack import Stack
from domain import messages as m
from domain.vocabulary import MailKind, TransferState, UndoReason
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.models import PreparedTransfer
from starter.client.polling import snapshots
from tests.end_to_end.night import told

OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
FIRM = "10003"
FENCES = "select count(*) from pg_trigger where tgname = 'sb_transfer_fence' and tgenabled = 'A'"


@asynccontextmanager
async def with_books(folder: Path, **settings: str) -> AsyncIterator[Stack]:
    """Run a stack with books, and with these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    async with Stack(folder, environment={**environment, **settings}) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=3_000)
        yield running


@asynccontextmanager
async def client_of(stack: Stack) -> AsyncIterator[TransferClient]:
    variables = stack.process_environment()
    async with connect(settings_of(variables), environment=variables) as connected:
        yield connected


@asynccontextmanager
async def owner_of(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(stack.environment["SB_TRANSFER_DATABASE_URL"])
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with with_books(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
async def client(stack: Stack) -> AsyncIterator[TransferClient]:
    async with client_of(stack) as connected:
        yield connected


@pytest.fixture
async def owner(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    async with owner_of(stack) as connection:
        yield connection


async def reach(client: TransferClient, which: str, state: TransferState) -> None:
    async for _ in snapshots(client, which, lambda status: status.state is state or status.state.is_final):
        continue
    assert (await client.status(which)).status.state is state


async def way_to(client: TransferClient, state: TransferState) -> PreparedTransfer:
    """Bring enyoi to a state, with its old side told."""
    ready = await client.prepare("10001/enyoi", requested_by="old side")
    await told(client, ready)
    if state is not TransferState.AWAITING_UPLOAD:
        await client.upload(ready.ticket, licence=FIRM, name="Terug", uploaded_by="new side")
    if state is TransferState.AWAITING_RELEASE:
        await client.start_now(ready.workflow_id, by="test")
        await reach(client, ready.workflow_id, state)
    return ready


async def assert_as_before(
    stack: Stack, client: TransferClient, owner: "asyncpg.Connection[asyncpg.Record]", ready: PreparedTransfer
) -> m.TransferResult:
    """Nothing of the move is left but its story."""
    result = await client.result(ready.workflow_id)
    assert result.state is TransferState.UNDONE
    schema = await owner.fetchval("select schema_name from control.environment where name = 'enyoi'")
    assert await owner.fetchval("select count(*) from control.environment where name = 'Terug'") == 0
    assert await owner.fetchval("select count(*) from control.clone_run") == 0
    schemas = await owner.fetchval("select count(*) from pg_namespace where nspname like 'env\\_%'")
    assert schemas == await owner.fetchval("select count(*) from control.environment")
    assert await owner.fetchval("select count(*) from control.ticket where used_at is null and revoked_at is null") == 0
    # A fence that was lifted does nothing, and may be left while somebody reads its table.
    assert await owner.fetchval(FENCES) == 0
    assert await owner.fetchval(f'select count(*) from "{schema}".administration where read_only') == 0
    assert stack.info.app_database_url
    app = await asyncpg.connect(stack.info.app_database_url)
    try:
        assert await app.execute(f'update "{schema}".relation set name = name') != "UPDATE 0"
    finally:
        await app.close()
    kinds = {mail.kind for mail in await client.mails(ready.workflow_id)}
    assert MailKind.UNDONE in kinds
    events = [event.kind for event in await client.events(ready.workflow_id)]
    assert len(events) > 3
    return result


async def test_an_expired_ticket(tmp_path: Path) -> None:
    """Gives everything back when the ticket expires."""
    async with (
        # Of its own: on the others' stack a ticket is not to expire before it is used.
        with_books(tmp_path / "stack", SB_TRANSFER_TICKET_TTL="20s") as stack,
        client_of(stack) as client,
        owner_of(stack) as owner,
    ):
        ready = await way_to(client, TransferState.AWAITING_UPLOAD)
        result = await assert_as_before(stack, client, owner, ready)
    assert result.undo_reason is UndoReason.EXPIRED


@pytest.mark.parametrize(
    "state", [TransferState.AWAITING_UPLOAD, TransferState.SCHEDULED, TransferState.AWAITING_RELEASE]
)
async def test_a_cancel(
    stack: Stack, client: TransferClient, owner: "asyncpg.Connection[asyncpg.Record]", state: TransferState
) -> None:
    """Gives everything back after a cancel before the release."""
    ready = await way_to(client, state)
    await client.cancel(ready.workflow_id, by="operator", reason="changed our minds")
    result = await assert_as_before(stack, client, owner, ready)
    assert result.undo_reason is UndoReason.CANCELLED


async def test_a_clone_that_cannot_succeed(
    stack: Stack, client: TransferClient, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Gives everything back when the clone fails for good."""
    ready = await way_to(client, TransferState.SCHEDULED)
    new = (await client.status(ready.workflow_id)).status.new
    assert new is not None
    await owner.execute(f'create schema "{new.schema_name}"')
    await client.start_now(ready.workflow_id, by="test")
    result = await assert_as_before(stack, client, owner, ready)
    assert result.undo_reason is UndoReason.FAILED
    assert "exists" in result.undo_detail
