"""Keys of histories come and go while transfers are under way."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pydantic import SecretStr
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from adapters.crypto.payload_codec import EncryptingCodec, encrypting
from domain import messages as m
from domain.vocabulary import TransferState, UndoReason
from tests.workflows.story import Transfer, reach, started, upload
from tests.workflows.world import Gate, workers
from workflows.transfer import TransferWorkflow


def new_key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


def client_with(environment: WorkflowEnvironment, *keys: SecretStr) -> Client:
    """Return a client with this ring; without any key, one from before encryption."""
    plain = environment.client
    return Client(plain.service_client, data_converter=encrypting(keys) if keys else plain.data_converter)


@asynccontextmanager
async def at_work(client: Client, world: Gate, *, cached: int = 0) -> AsyncIterator[None]:
    """Run workers; of those that keep nothing in a cache the server does not wait for the return."""
    async with AsyncExitStack() as staff:
        for worker in workers(client, world, cached=cached):
            await staff.enter_async_context(worker)
        yield


def seen_by(client: Client, transfer: Transfer) -> Transfer:
    return client.get_workflow_handle_for(TransferWorkflow.run, transfer.id)


async def at_rest(transfer: Transfer) -> None:
    """Wait until nothing is under way that a worker would take along."""
    while (await transfer.describe()).raw_description.pending_activities:  # noqa: ASYNC110 - the server's to know
        await asyncio.sleep(0.05)


async def test_a_key_that_is_missing_stops_nothing_for_good(skipping: WorkflowEnvironment) -> None:
    """Goes on once a missing key is back, and names it meanwhile."""
    world, old, new = Gate(), new_key(), new_key()
    first, second, both = (client_with(skipping, *ring) for ring in ((old,), (new,), (new, old)))
    transfer = await started(skipping, world, first)
    async with at_work(first, world):
        await upload(transfer)
        await at_rest(transfer)
    async with at_work(second, world):
        await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
        told = await failed_task(transfer, second)
    [old_id], [new_id] = EncryptingCodec([old]).key_ids, EncryptingCodec([new]).key_ids
    assert f"encrypted with the key {old_id}, and the ring has {new_id}" in told
    assert world.count()["clone"] == 0
    async with at_work(both, world, cached=10):
        again = seen_by(both, transfer)
        await reach(again, TransferState.AWAITING_RELEASE, patience_seconds=60)  # failed tasks come again ever later
        await again.signal(TransferWorkflow.release, m.Release(released_by="new side"))
        assert (await again.result()).state is TransferState.RELEASED
    stored = b"".join([event.SerializeToString() async for event in again.fetch_history_events()])
    assert old_id.encode() in stored
    assert new_id.encode() in stored


async def failed_task(transfer: Transfer, reader: Client) -> str:
    """Wait until a worker could not go on, and return what it said."""
    async with asyncio.timeout(60):
        while True:
            async for event in transfer.fetch_history_events():
                if event.HasField("workflow_task_failed_event_attributes"):
                    failure = event.workflow_task_failed_event_attributes.failure
                    return str(await reader.data_converter.decode_failure(failure))
            await asyncio.sleep(0.05)


async def test_a_transfer_from_before_encryption_goes_on(skipping: WorkflowEnvironment) -> None:
    """Goes on with a transfer from before encryption."""
    world, key = Gate(), new_key()
    before, after = client_with(skipping), client_with(skipping, key)
    transfer = await started(skipping, world, before)
    async with at_work(before, world):
        await upload(transfer)
        await at_rest(transfer)
    async with at_work(after, world, cached=10):
        again = seen_by(after, transfer)
        assert (await reach(again, TransferState.SCHEDULED)).new is not None
        await again.signal(TransferWorkflow.explain_cancel, m.ExplainCancel(requested_by="anna", reason="not ours"))
        await again.cancel()
        result = await again.result()
    assert (result.undo_reason, result.undo_detail) == (UndoReason.CANCELLED, "not ours")
    stored = [event.SerializeToString() async for event in again.fetch_history_events()]
    assert any(b"old side" in event for event in stored)  # what was readable stays readable
    assert not any(b"not ours" in event or b"anna" in event for event in stored)
