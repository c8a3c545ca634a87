"""A deploy in the middle of a transfer: begun on the code of today, finished on the code of tomorrow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.vocabulary import TransferState
from tests.replay.changed import STEP, DeprecatedPatchWorkflow, PatchedWorkflow, UnpatchedWorkflow
from tests.replay.converting import CONVERTER
from tests.replay.test_replay import RECORDED_TRANSFERS, history_of
from tests.workflows.playback import replayer
from tests.workflows.story import Transfer, reach, started, to_inspection, upload
from tests.workflows.world import Gate, workers
from workflows.transfer import TransferWorkflow

_NONDETERMINISM = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR


@asynccontextmanager
async def deployed(environment: WorkflowEnvironment, world: Gate, code: type[TransferWorkflow]) -> AsyncIterator[None]:
    """Run workers with this code, which play the whole history at every task: no cache hides what they cannot play."""
    async with AsyncExitStack() as stack:
        for worker in workers(environment.client, world, code, cached=0):
            await stack.enter_async_context(worker)
        yield


async def at_rest(transfer: Transfer) -> None:
    """Wait until it waits and nothing else is under way, mail and hashing included: no worker takes work along."""
    while (await transfer.describe()).raw_description.pending_activities:  # noqa: ASYNC110 - the server's to know
        await asyncio.sleep(0.05)


async def released(transfer: Transfer) -> m.TransferResult:
    """Bring an uploaded transfer to its end."""
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await reach(transfer, TransferState.AWAITING_RELEASE, patience_seconds=120)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    return await transfer.result()


def announced(world: Gate) -> int:
    return sum(event.kind == STEP for event in world.events)


async def replay(code: type[TransferWorkflow], history: WorkflowHistory) -> None:
    await replayer(code, data_converter=CONVERTER).replay_workflow(history)


async def test_begun_on_the_old_code_and_finished_on_the_new(skipping: WorkflowEnvironment) -> None:
    """Ends a transfer that was begun on the old code."""
    world = Gate()
    transfer = await started(skipping, world)
    async with deployed(skipping, world, TransferWorkflow):
        await upload(transfer)
        await at_rest(transfer)
    async with deployed(skipping, world, PatchedWorkflow):
        result = await released(transfer)
    assert result.state is TransferState.RELEASED
    assert world.count()["clone"] == world.count()["release"] == 1
    assert announced(world) == 0  # it had passed that point


async def test_a_fresh_transfer_takes_the_new_step_and_outlives_the_old_branch(skipping: WorkflowEnvironment) -> None:
    """Takes the new step in a fresh transfer, and ends it without the old branch."""
    world = Gate()
    async with deployed(skipping, world, PatchedWorkflow):
        transfer = await started(skipping, world)
        await to_inspection(transfer)
        await at_rest(transfer)
    assert announced(world) == 1
    async with deployed(skipping, world, DeprecatedPatchWorkflow):
        await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
        assert (await transfer.result()).state is TransferState.RELEASED
    assert announced(world) == 1
    await replay(DeprecatedPatchWorkflow, await transfer.fetch_history())


async def test_the_same_change_without_a_patch_stops_a_transfer_until_better_code_comes(
    skipping: WorkflowEnvironment,
) -> None:
    """Stops a transfer under an unpatched change, and goes on with the right code."""
    world = Gate()
    transfer = await started(skipping, world)
    async with deployed(skipping, world, TransferWorkflow):
        await upload(transfer)
        await at_rest(transfer)
    async with deployed(skipping, world, UnpatchedWorkflow):
        await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
        async with asyncio.timeout(60):
            while not await failed_workflow_tasks(transfer):  # noqa: ASYNC110 - the server is another process
                await asyncio.sleep(0.05)
    assert world.count()["clone"] == 0
    async with deployed(skipping, world, PatchedWorkflow):
        assert (await released(transfer)).state is TransferState.RELEASED
    assert announced(world) == 0


async def failed_workflow_tasks(transfer: Transfer) -> int:
    history = await transfer.fetch_history()
    return sum(
        event.workflow_task_failed_event_attributes.cause == _NONDETERMINISM
        for event in history.events
        if event.HasField("workflow_task_failed_event_attributes")
    )


@pytest.mark.parametrize("name", RECORDED_TRANSFERS)
async def test_the_patched_code_plays_every_recorded_history(name: str) -> None:
    """Replays every recorded history on the patched code."""
    await replay(PatchedWorkflow, history_of(name))


@pytest.mark.parametrize("code", [UnpatchedWorkflow, DeprecatedPatchWorkflow])
async def test_histories_from_before_the_change_are_refused_by_code_without_the_old_branch(
    code: type[TransferWorkflow],
) -> None:
    """Refuses older histories on code without the old branch."""
    with pytest.raises(workflow.NondeterminismError):
        await replay(code, history_of("released"))
