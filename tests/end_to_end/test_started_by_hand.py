"""A transfer that somebody starts straight through Temporal, in plain JSON, without our client."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.crypto.payload_codec import encrypting
from adapters.temporal.client import connect_temporal
from devstack.binaries import temporal_cli
from devstack.seed import SHOW_MOVES, make_books
from devstack.stack import Stack
from domain import messages as m
from domain.naming import schema_name_of
from domain.vocabulary import TransferState
from starter.client.connect import settings_of
from tests.end_to_end.test_kills import clean_environment
from tests.workflows.story import ended

SWITCH = next(move for move in SHOW_MOVES if move.scenario == "switch")


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack with books."""
    async with Stack(tmp_path_factory.mktemp("by hand") / "stack", environment=clean_environment()) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=1_000)
        yield running


@pytest.fixture
async def owner(stack: Stack) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who looks into the database."""
    connection = await asyncpg.connect(stack.info.database_url)
    yield connection
    await connection.close()


async def started(stack: Stack, environment_id: uuid.UUID) -> None:
    """Start a transfer as an operator can, on a terminal or by the UI's form."""
    words = (
        "workflow",
        "start",
        "--type",
        "TransferWorkflow",
        "--task-queue",
        "transfers",
        "--identity",
        "anna@terminal",
    )
    process = await asyncio.create_subprocess_exec(
        *(str(temporal_cli()), *words, "--workflow-id", f"transfer-{environment_id}"),
        *("--input", json.dumps({"environment_id": str(environment_id)})),
        env=stack.process_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def state_of(owner: asyncpg.Connection, environment_id: uuid.UUID, *wanted: str) -> asyncpg.Record:
    async with asyncio.timeout(60):
        while True:
            row = await owner.fetchrow("select * from control.transfer where environment_id = $1", environment_id)
            if row is not None and row["state"] in wanted:
                return row
            await asyncio.sleep(0.1)


async def environment_named(owner: asyncpg.Connection, licence: str, name: str) -> uuid.UUID:
    found: uuid.UUID = await owner.fetchval(
        "select environment_id from control.environment where licence_number = $1 and name = $2", licence, name
    )
    return found


async def test_it_stands_in_the_log_who_started_it(stack: Stack, owner: asyncpg.Connection) -> None:
    """Nobody freezes a firm's books namelessly: what the input leaves out, Temporal knows."""
    environment_id = await environment_named(owner, SWITCH.old_licence, SWITCH.environment)
    await started(stack, environment_id)
    transfer = await state_of(owner, environment_id, "awaiting_upload")
    detail = await owner.fetchval(
        "select detail from control.transfer_event where transfer_id = $1 and kind = 'environment_frozen'",
        transfer["transfer_id"],
    )
    assert json.loads(detail)["started_by"] == "anna@terminal"


async def refused(stack: Stack, environment_id: uuid.UUID) -> None:
    """Start a transfer by hand that ends undone, with books that the application can write."""
    await started(stack, environment_id)
    variables = stack.process_environment()
    keys = settings_of(variables).payload_keys
    temporal = await connect_temporal(environment=variables, data_converter=encrypting(keys))
    handle = temporal.get_workflow_handle(f"transfer-{environment_id}", result_type=m.TransferResult)
    assert (await ended(handle, patience_seconds=90)).state is TransferState.UNDONE
    application = await asyncpg.connect(str(stack.info.app_database_url))
    await application.execute(f"update {schema_name_of(environment_id)}.administration set name = name")
    await application.close()


async def test_what_is_not_active_is_refused_as_by_prepare(stack: Stack, owner: asyncpg.Connection) -> None:
    """The freeze looks for itself, whoever started it: nothing has changed."""
    environment_id = await environment_named(owner, "10002", "Bloemisterij Smit")
    set_status = "update control.environment set status = $2 where environment_id = $1"
    await owner.execute(set_status, environment_id, "retired")
    await refused(stack, environment_id)
    assert await status_of(owner, environment_id) == "retired"


async def test_what_cannot_be_carried_is_refused_as_by_prepare(stack: Stack, owner: asyncpg.Connection) -> None:
    """The same rehearsal as that of `prepare` is made of what was frozen, which is then given back."""
    environment_id = await environment_named(owner, "10003", "Linden Tandartsen")
    schema, other = schema_name_of(environment_id), await environment_named(owner, "10002", "Bloemisterij Smit")
    await owner.execute(f"create view {schema}.borrowed as select name from {schema_name_of(other)}.administration")
    await refused(stack, environment_id)
    assert await status_of(owner, environment_id) == "active"


async def status_of(owner: asyncpg.Connection, environment_id: uuid.UUID) -> str:
    found: str = await owner.fetchval(
        "select status from control.environment where environment_id = $1", environment_id
    )
    return found


async def test_it_stands_in_the_log_who_sent_a_signal(stack: Stack, owner: asyncpg.Connection) -> None:
    """What a signal says of its sender anybody can write; what Temporal knows stands beside it."""
    await say(stack, owner, "signal", "--name", "release", "--identity", "bob@terminal", released_by="the director")
    assert await told(owner, "release_refused") == ("the director", "bob@terminal")


async def test_it_stands_in_the_log_who_sent_an_update(stack: Stack, owner: asyncpg.Connection) -> None:
    """Temporal writes down what the sender's program calls itself."""
    words = ["update", "start", "--wait-for-stage", "accepted", "--name", "hurry", "--identity", "carol@terminal"]
    await say(stack, owner, *words, requested_by="support", reason="before the holidays")
    assert await told(owner, "hurried") == ("support", "carol@terminal")


async def say(stack: Stack, owner: asyncpg.Connection, *words: str, **said: str) -> None:
    """Say something to the transfer with the `temporal` program."""
    environment_id = await environment_named(owner, SWITCH.old_licence, SWITCH.environment)
    process = await asyncio.create_subprocess_exec(
        *(str(temporal_cli()), "workflow", *words, "--workflow-id", f"transfer-{environment_id}"),
        *("--input", json.dumps(said)),
        env=stack.process_environment(),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0


async def told(owner: asyncpg.Connection, kind: str) -> tuple[str, str]:
    """Return whose an event is by its own words, and who sent what it tells of, when it is there."""
    query = "select actor, detail from control.transfer_event where kind = $1"
    async with asyncio.timeout(60):
        while (event := await owner.fetchrow(query, kind)) is None:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.1)
    return event["actor"], json.loads(event["detail"])["sent_by"]
