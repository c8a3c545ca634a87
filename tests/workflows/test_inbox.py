"""Nothing that anybody sends stops a workflow: malformed, too large, under another key, or ten thousand times."""

import asyncio
import base64
import os
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from pydantic import SecretStr
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from adapters.crypto.payload_codec import EncryptingCodec, encrypting, plain
from domain import messages as m
from domain.errors import InputMalformed, NotItsTransfer, Superseded
from domain.events import EventKind
from domain.naming import workflow_id_of
from domain.steps import StepName, StepState
from domain.vocabulary import TransferState
from starter.client.workflow_handle import RemoteTransfer
from tests.workflows.fuzz_signals import CAME_MEANWHILE, fuzz
from tests.workflows.malformed import Malformed
from tests.workflows.playback import replayer
from tests.workflows.story import Transfer, reach, skip, started, to_inspection, upload
from tests.workflows.world import Gate, workers
from workflows import task_queues as queues
from workflows.transfer import TransferWorkflow


def new_key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


def client_with(environment: WorkflowEnvironment, *keys: SecretStr) -> Client:
    return Client(environment.client.service_client, data_converter=encrypting(keys) if keys else plain)


@asynccontextmanager
async def at_work(
    client: Client, world: Gate, *, keys: tuple[SecretStr, ...] = (), cached: int = 1000
) -> AsyncIterator[None]:
    async with AsyncExitStack() as staff:
        for worker in workers(client, world, keys=keys, cached=cached):
            await staff.enter_async_context(worker)
        yield


async def send(client: Client, transfer: Transfer, name: str, payloads: Payloads) -> None:
    """Send a signal past every client; the server itself refuses one that is too large to be kept."""
    try:
        await client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=transfer.id),
                signal_name=name,
                input=payloads,
            ),
            retry=True,  # while it goes on in another run, the server asks to come back
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise


async def failed_tasks(transfer: Transfer) -> int:
    """Count those that went wrong, not those that came to their end when something more had arrived."""
    return len(
        [
            event
            async for event in transfer.fetch_history_events()
            if event.HasField("workflow_task_failed_event_attributes")
            and event.workflow_task_failed_event_attributes.cause != CAME_MEANWHILE
        ]
    )


def steps_of(world: Gate) -> list[str]:
    """Return what was done, without mail: some is on its way all the time."""
    return [call for call in world.calls if not call.startswith("send ")]


async def test_malformed_signals_never_stop_a_transfer(skipping: WorkflowEnvironment) -> None:
    """Sends every manner of malformed input to every handler in the moment that counts, and releases after that."""
    key, world = new_key(), Gate()
    client = client_with(skipping, key)
    malformed = Malformed(random.Random(1), [key])  # noqa: S311 - a draw that can be repeated
    async with at_work(client, world, keys=(key,)):
        transfer = await started(skipping, world, client)
        await to_inspection(transfer)
        for manner in malformed.manners:
            for name in (
                "release",
                "reject",
                "start_now",
                "explain_cancel",
                "make_way",
                "step_seen",
                "nobody_knows_it",
            ):
                await send(client, transfer, name, malformed.make(manner))
        status = await transfer.query(TransferWorkflow.status)
        assert status.state is TransferState.AWAITING_RELEASE
        assert "nobody_knows_it" in " ".join(event.reason for event in world.events) or status.unreadable
        await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
        assert (await transfer.result()).state is TransferState.RELEASED
    assert await failed_tasks(transfer) == 0


async def test_fuzzed_signals_updates_queries_and_starts_leave_nothing_stuck(skipping: WorkflowEnvironment) -> None:
    """Sends a slice of what `make fuzz-signals` sends."""
    with skipping.with_time_skipping_disabled():
        report = await fuzz(skipping.client, 250, seed=3)
    assert report.stuck == []


async def test_a_malformed_update_is_refused_with_its_reason(skipping: WorkflowEnvironment) -> None:
    """Answers whoever asks with what is wrong, and writes nothing into the history."""
    world = Gate()
    client = client_with(skipping)
    async with at_work(client, world):
        transfer = await started(skipping, world, client)
        await reach(transfer, TransferState.AWAITING_UPLOAD)
        for update, given in (
            ("upload", []),
            ("upload", [{"name": 1}]),
            ("upload", [{}, {}]),
            ("reschedule", [{"evening": "the day after"}]),
            ("resend_mail", [{"kind": "love"}]),
            ("resend_mail", ["x" * 40_000]),
        ):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await transfer.execute_update(update, args=given)
            assert isinstance(refused.value.cause, ApplicationError)
            assert refused.value.cause.type == InputMalformed.code()
            assert refused.value.cause.message.startswith(InputMalformed.default_english())
        events = [event async for event in transfer.fetch_history_events()]
        assert not any(event.HasField("workflow_execution_update_accepted_event_attributes") for event in events)
        await upload(transfer)
        await transfer.terminate()


@pytest.mark.parametrize("given", [[], [{}], ["x"], [{"environment_id": "x"}], [{}, {}], [None]])
async def test_a_start_that_is_none_ends_at_once(
    skipping: WorkflowEnvironment, world: Gate, given: list[object]
) -> None:
    """Ends what was started by hand with rubbish, so that the environment's id is free."""
    with skipping.with_time_skipping_disabled(), pytest.raises(WorkflowFailureError) as failed:
        await skipping.client.execute_workflow(
            "TransferWorkflow", args=given, id=workflow_id_of(uuid.uuid4()), task_queue=queues.TRANSFERS
        )
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == InputMalformed.code()
    assert steps_of(world) == []


@pytest.mark.parametrize("workflow", ["TransferWorkflow", "RecoveryWorkflow"])
@pytest.mark.parametrize("given", [{}, {"environment_id": str(uuid.uuid4()), "transfer_id": str(uuid.uuid4())}])
async def test_what_is_sent_to_a_start_that_is_none_does_not_hold_it(
    skipping: WorkflowEnvironment, world: Gate, workflow: str, given: dict[str, str]
) -> None:
    """Ends it all the same, and lets none of its handlers wait for an order that never comes."""
    workflow_id = workflow_id_of(uuid.uuid4())
    with skipping.with_time_skipping_disabled():
        for signal in ("release", "explain_cancel", "make_way", "nonsense"):
            handle = await skipping.client.start_workflow(
                workflow,
                given,
                id=workflow_id,
                task_queue=queues.TRANSFERS,
                start_signal=signal,
                start_signal_args=[{"released_by": "x"}],
            )
            with pytest.raises(WorkflowFailureError) as failed:
                await asyncio.wait_for(handle.result(), 30)
            assert isinstance(failed.value.cause, ApplicationError)
            assert failed.value.cause.type in (InputMalformed.code(), NotItsTransfer.code())
            assert await failed_tasks(handle) == 0
    assert steps_of(world) == []


async def test_nobody_starts_with_a_memory(skipping: WorkflowEnvironment, world: Gate) -> None:
    """Takes what an earlier run knew from that run alone: made up, it would pass over what is to be looked at."""
    status = m.TransferStatus(
        transfer_id=uuid.uuid4(), workflow_id=workflow_id_of(world.old_id), state=TransferState.AWAITING_RELEASE
    )
    order = m.ResumedTransfer(
        environment_id=world.old_id,
        transfer_id=status.transfer_id,
        memory=m.TransferMemory(status=status, release=m.Release(released_by="mallory")),
    )
    with skipping.with_time_skipping_disabled(), pytest.raises(WorkflowFailureError) as failed:
        await skipping.client.execute_workflow(
            TransferWorkflow.run, order, id=status.workflow_id, task_queue=queues.TRANSFERS
        )
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == NotItsTransfer.code()
    assert steps_of(world) == []


async def test_a_signal_under_an_unknown_key_waits_for_it_and_says_so(skipping: WorkflowEnvironment) -> None:
    """Goes on as long as the key is not there, tells which it is, and takes the release when it has come."""
    ours, theirs, world = new_key(), new_key(), Gate()
    [their_id] = EncryptingCodec([theirs]).key_ids
    client, stranger = client_with(skipping, ours), client_with(skipping, theirs)
    async with at_work(client, world, keys=(ours,), cached=0):
        transfer = await started(skipping, world, client)
        await to_inspection(transfer)
        await stranger.get_workflow_handle(transfer.id).signal("release", m.Release(released_by="new side"))
        async with asyncio.timeout(60):
            while not (status := await transfer.query(TransferWorkflow.status)).unreadable:  # noqa: ASYNC110 - the workflow has no event for it
                await asyncio.sleep(0.05)
        assert their_id in status.unreadable[0]
        assert status.state is TransferState.AWAITING_RELEASE
    both = client_with(skipping, ours, theirs)
    async with at_work(both, world, keys=(ours, theirs), cached=0):
        result = await both.get_workflow_handle_for(TransferWorkflow.run, transfer.id).result()
    assert result.state is TransferState.RELEASED
    assert await failed_tasks(transfer) == 0
    history = WorkflowHistory(transfer.id, [event async for event in transfer.fetch_history_events()])
    for ring in ((ours,), (ours, theirs)):  # whoever reads it, with the key or without
        played = await replayer(TransferWorkflow, data_converter=encrypting(ring)).replay_workflow(history)
        assert played.replay_failure is None


async def test_refusals_beyond_some_dozens_are_counted(skipping: WorkflowEnvironment) -> None:
    """Sends more refused signals for one task than a workflow may have activities under way."""
    world = Gate()
    client = client_with(skipping)
    # The first task takes up all of them, for which the server allows ten seconds where nothing else is said.
    transfer = await started(skipping, world, client, task_timeout=timedelta(minutes=1))
    limit = asyncio.Semaphore(32)

    async def one() -> None:
        async with limit:
            await transfer.signal("release", m.Release(released_by="somebody"))

    await asyncio.gather(*(one() for _ in range(2_100)))
    async with at_work(client, world):
        await upload(transfer)
        await transfer.cancel()
        assert (await transfer.result()).state is TransferState.UNDONE
    refused = [event for event in world.events if event.kind == EventKind.RELEASE_REFUSED]
    counted = [event for event in world.events if event.kind == EventKind.REFUSALS_COUNTED]
    assert 20 <= len(refused) <= 40
    assert sum(int(event.reason.split()[0]) for event in counted) + len(refused) == 2_100
    assert await failed_tasks(transfer) == 0


async def test_a_release_that_is_sent_again_is_one_release(world: Gate, transfer: Transfer) -> None:
    """Writes no refusal for whoever got no answer and asks once more."""
    checking, go_on = asyncio.Event(), asyncio.Event()

    async def held() -> None:
        checking.set()
        await go_on.wait()

    world.hooks["check"] = held
    await to_inspection(transfer)
    for _ in range(5):
        await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
        await checking.wait()
    go_on.set()
    assert (await transfer.result()).state is TransferState.RELEASED
    assert world.count()["check"] == 1
    assert [event.kind for event in world.events if event.kind.endswith("_refused")] == []


async def test_a_copy_of_a_transfer_refuses_itself(
    skipping: WorkflowEnvironment, world: Gate, transfer: Transfer
) -> None:
    """Undoes nothing of a move whose input somebody starts once more, under another id or for another environment."""
    status = await to_inspection(transfer)
    before = steps_of(world)
    copy = m.TransferInput(environment_id=world.old_id, transfer_id=status.transfer_id, requested_by="somebody")
    with skipping.with_time_skipping_disabled(), pytest.raises(WorkflowFailureError) as failed:
        await skipping.client.execute_workflow(
            TransferWorkflow.run, copy, id=f"copy-{uuid.uuid4()}", task_queue=queues.TRANSFERS
        )
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == NotItsTransfer.code()
    assert steps_of(world) == before
    other = copy.model_copy(update={"environment_id": uuid.uuid4()})
    world.owners[status.transfer_id] = transfer.id
    with skipping.with_time_skipping_disabled(), pytest.raises(WorkflowFailureError) as failed:
        await skipping.client.execute_workflow(
            TransferWorkflow.run, other, id=workflow_id_of(other.environment_id), task_queue=queues.TRANSFERS
        )
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == NotItsTransfer.code()
    assert steps_of(world) == before
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    assert (await transfer.result()).state is TransferState.RELEASED


def undone_steps(status: m.TransferStatus) -> set[StepName]:
    """Return the steps that are not done."""
    return set(StepName) - {step.step for step in status.steps if step.state is StepState.DONE}


async def told(transfer: Transfer) -> m.TransferStatus:
    """Wait until the new side has its mail: what is on its way is sent again by the next run."""
    async with asyncio.timeout(60):
        while StepName.NOTIFY in undone_steps(status := await transfer.query(TransferWorkflow.status)):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    return status


async def test_a_long_history_goes_on_in_a_new_run(skipping: WorkflowEnvironment) -> None:
    """Takes everything along: what was asked, planned, sent and refused, in every wait."""
    world, client = Gate(), client_with(skipping)
    async with at_work(client, world):
        transfer = await started(skipping, world, client)
        await reach(transfer, TransferState.AWAITING_UPLOAD)
        first = await run_of(transfer)
        await pester(transfer)
        second = await another_run(transfer, first)
        await upload(transfer)
        await pester(transfer)
        third = await another_run(transfer, second)
        await transfer.signal("start_now", m.StartNow(requested_by="support"))
        await reach(transfer, TransferState.AWAITING_RELEASE)
        before = await told(transfer)
        await pester(transfer)
        await another_run(transfer, third)
        after = await transfer.query(TransferWorkflow.status)
        beside = {"steps", "mail_problems", "refused"}
        assert after.model_dump(exclude=beside) == before.model_dump(exclude=beside)
        assert undone_steps(after) <= {StepName.AWAIT_RELEASE, StepName.CHECK, StepName.RELEASE}
        await transfer.signal("release", m.Release(released_by="new side"))
        result = await transfer.result()
    assert (result.state, result.rows) == (TransferState.RELEASED, 1234)
    assert world.count()["freeze"] == world.count()["issue"] == world.count()["clone"] == world.count()["release"] == 1
    assert world.count()["send ready"] == 1


async def test_an_undo_that_lasts_goes_on_in_a_new_run(skipping: WorkflowEnvironment) -> None:
    """Undoes what is left to undo, in order, for the reason that was given at first."""
    world, client = Gate(), client_with(skipping)
    async with at_work(client, world):
        transfer = await started(skipping, world, client)
        await to_inspection(transfer)
        world.failures["drop"] = [Superseded(), Superseded()]
        await transfer.signal("reject", m.Reject(rejected_by="new side", reason="not ours"))
        async with asyncio.timeout(60):
            while not (await transfer.query(TransferWorkflow.status)).waiting_for.startswith("an operator"):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        run = await run_of(transfer)
        await pester(transfer)
        await skip(skipping, transfer, timedelta(minutes=6))
        result = await transfer.result()
        assert await run_of(transfer) != run
    assert (result.state, result.undo_detail) == (TransferState.UNDONE, "not ours")
    undone = [call for call in world.calls if call in ("drop", "release_reservation", "revoke", "unfreeze")]
    assert undone == ["drop", "drop", "drop", "release_reservation", "revoke", "unfreeze"]
    assert {order.detail for order in world.orders if isinstance(order, m.BeginUndo)} == {"not ours"}


async def run_of(transfer: Transfer) -> str:
    return (await transfer.describe()).run_id


async def pester(transfer: Transfer) -> None:
    """Send what is refused until a history of some length is made of it."""
    for _ in range(30):
        await transfer.signal("nobody_knows_it", RawValue(plain.payload_converter.to_payload("x")))


async def another_run(transfer: Transfer, than: str) -> str:
    async with asyncio.timeout(60):
        while (run := await run_of(transfer)) == than:
            await transfer.signal("nobody_knows_it", RawValue(plain.payload_converter.to_payload("x")))
            await asyncio.sleep(0.05)
    return run


async def test_a_caller_follows_a_transfer_into_its_next_run(skipping: WorkflowEnvironment) -> None:
    """Delivers what is sent to a run that has gone on in another, as if there were only one."""
    world, client = Gate(), client_with(skipping)
    async with at_work(client, world):
        transfer = await started(skipping, world, client)
        await to_inspection(transfer)
        run = await run_of(transfer)
        remote = RemoteTransfer(client, transfer.id, run)
        await pester(transfer)
        await another_run(transfer, run)
        await remote.release(m.Release(released_by="new side"))
        assert not await remote.is_closed() or (await remote.status()).state is TransferState.RELEASED
        assert (await remote.result()).state is TransferState.RELEASED
