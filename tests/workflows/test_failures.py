"""What went wrong stays readable: in a pending failure, behind a key, and for those who read a history."""

import asyncio

import asyncpg
import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from adapters.crypto.payload_codec import encrypting
from domain.errors import CannotBeCarried, EnvironmentBusy
from domain.vocabulary import TransferState, UndoReason
from tests.workflows.story import ended, reach, started, upload
from tests.workflows.test_inbox import at_work, client_with, failed_tasks, new_key
from tests.workflows.world import Gate, workers
from workflows.transfer import TransferWorkflow

# What the server keeps of a failure that is being tried again; it cuts what is longer, encrypted or not.
_KEPT_BYTES = 4_000


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EnvironmentBusy("De omgeving is bezig. " * 500), "EnvironmentBusy"),
        (asyncpg.CannotConnectNowError("the database system is starting up\n" * 300), "CannotConnectNowError"),
        (OSError("é" * 9_000), "OSError"),
    ],
)
async def test_a_pending_failure_is_one_sentence_that_stays_readable(
    skipping: WorkflowEnvironment, error: Exception, kind: str
) -> None:
    """Shows an operator which database is away, not that something is encoded."""
    key, world = new_key(), Gate()
    client = client_with(skipping, key)

    async def failing() -> None:
        raise error

    world.hooks["freeze"] = failing
    async with at_work(client, world, keys=(key,)):
        transfer = await started(skipping, world, client)
        async with asyncio.timeout(60):
            while not (pending := await pending_failure(client, transfer.id)):  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.05)
        failure, size = pending
        assert size < _KEPT_BYTES
        assert isinstance(failure, ApplicationError)
        assert failure.type == kind
        assert failure.message[:20] == " ".join(str(error).split())[:20]
        assert failure.cause is None
        assert failure.failure is not None
        assert failure.failure.stack_trace == ""
        await transfer.terminate()


async def pending_failure(client: Client, workflow_id: str) -> tuple[BaseException, int] | None:
    described = await client.get_workflow_handle(workflow_id).describe()
    for activity in described.raw_description.pending_activities:
        if activity.activity_type.name == "freeze_environment" and activity.HasField("last_failure"):
            size = activity.last_failure.ByteSize()  # decoding works on a copy
            return await client.data_converter.decode_failure(activity.last_failure), size
    return None


async def test_a_failure_under_an_unknown_key_is_a_failure_all_the_same(skipping: WorkflowEnvironment) -> None:
    """Undoes a transfer of which a worker with another key has failed; it does not stand still for ever."""
    ours, theirs, world = new_key(), new_key(), Gate()
    # Connections of their own: one connection has one worker of a queue, whether that is run or not.
    address = client_with(skipping, ours).service_client.config.target_host
    client = await Client.connect(address, data_converter=encrypting([ours]))
    stranger = await Client.connect(address, data_converter=encrypting([theirs, ours]))
    world.failures["hash_frozen"] = [CannotBeCarried("a text of a customer")]
    transfers, _, mail, checks = workers(client, world, keys=(ours,), cached=0)
    _, heavy, _, _ = workers(stranger, world)
    async with transfers, heavy, mail, checks:
        transfer = await started(skipping, world, client)
        async with asyncio.timeout(60):
            result = await ended(transfer)
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    assert "encrypted with the key" in result.undo_detail
    assert await failed_tasks(transfer) == 0


async def test_a_failure_of_another_key_says_so(skipping: WorkflowEnvironment) -> None:
    """Names the key to add where the words would stand."""
    ours, theirs, world = new_key(), new_key(), Gate()
    client, stranger = client_with(skipping, ours), client_with(skipping, theirs)
    async with at_work(client, world, keys=(ours,)):
        transfer = await started(skipping, world, client)
        await upload(transfer)
        await reach(transfer, TransferState.SCHEDULED)
        with pytest.raises(ApplicationError, match="encrypted with the key"):
            raise await unreadable_failure(client, stranger)
        status = await transfer.query(TransferWorkflow.status)
        assert status.state is TransferState.SCHEDULED
        await transfer.terminate()


async def unreadable_failure(reader: Client, writer: Client) -> BaseException:
    failure = Failure()
    await writer.data_converter.encode_failure(ApplicationError("secret", "detail", type="NameTaken"), failure)
    decoded = await reader.data_converter.decode_failure(failure)
    assert isinstance(decoded, ApplicationError)
    assert decoded.type == "NameTaken"
    return decoded
