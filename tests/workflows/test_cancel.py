"""What a cancel does in each moment of a transfer."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.vocabulary import TransferState, UndoReason
from tests.workflows.story import Transfer, reach, skip, to_inspection, upload
from tests.workflows.world import COMPENSATIONS, TTL, Gate, undone_in_order
from workflows.transfer import TransferWorkflow


@pytest.mark.parametrize(
    "state", [TransferState.AWAITING_UPLOAD, TransferState.SCHEDULED, TransferState.AWAITING_RELEASE]
)
async def test_cancel_undoes_in_every_waiting_state(transfer: Transfer, world: Gate, state: TransferState) -> None:
    """An operator's cancel in the Temporal UI must end undone, with a result, and never half-way."""
    if state is TransferState.SCHEDULED:
        await upload(transfer)
    elif state is TransferState.AWAITING_RELEASE:
        await to_inspection(transfer)
    await reach(transfer, state)
    await transfer.cancel()
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.CANCELLED)
    assert undone_in_order(world)[-2:] == ["unfreeze", "finish_undo"]
    assert ("drop" in world.calls) == (state is TransferState.AWAITING_RELEASE)
    assert (await transfer.describe()).status is WorkflowExecutionStatus.COMPLETED


async def test_cancel_during_the_clone_waits_for_the_copier(transfer: Transfer, world: Gate) -> None:
    """The drop must not run while the copier still writes, or rows come back after it."""
    copying, stopped = asyncio.Event(), asyncio.Event()

    async def copy_for_long() -> None:
        copying.set()
        try:
            await asyncio.sleep(3600)
        finally:
            assert "drop" not in world.calls
            stopped.set()

    world.hooks["clone"] = copy_for_long
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await asyncio.wait_for(copying.wait(), 60)
    await transfer.cancel()
    result = await transfer.result()
    assert stopped.is_set()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.CANCELLED)
    assert undone_in_order(world) == COMPENSATIONS


async def test_a_second_cancel_does_not_stop_the_undo(transfer: Transfer, world: Gate) -> None:
    """An impatient operator must not be able to break the undo that the first cancel started."""
    undoing, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        undoing.set()
        await go_on.wait()

    world.hooks["revoke"] = hold
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await transfer.cancel()
    await asyncio.wait_for(undoing.wait(), 60)
    await transfer.cancel()
    go_on.set()
    assert (await transfer.result()).state is TransferState.UNDONE
    assert undone_in_order(world)[-1] == "finish_undo"


async def test_a_cancel_that_interrupts_an_expiry_does_not_stop_it(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """A cancel that arrives while another undo runs is written down and changes nothing."""
    undoing, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        undoing.set()
        await go_on.wait()

    world.hooks["unfreeze"] = hold
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await skip(skipping, transfer, TTL + timedelta(seconds=1))
    await asyncio.wait_for(undoing.wait(), 60)
    await transfer.cancel()
    await asyncio.sleep(0.2)
    go_on.set()
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.EXPIRED)
    assert [event.kind for event in world.events] == ["cancel_refused"]


async def test_release_and_cancel_together_have_one_winner(transfer: Transfer, world: Gate) -> None:
    """After a release that was taken nothing is undone, also not by a cancel that arrives with it."""
    await to_inspection(transfer)
    await asyncio.gather(
        transfer.signal(TransferWorkflow.release, m.Release(released_by="new side")), transfer.cancel()
    )
    result = await transfer.result()
    if result.state is TransferState.RELEASED:
        assert "drop" not in world.calls
    else:
        assert "release" not in world.calls
        assert undone_in_order(world) == COMPENSATIONS


async def test_cancel_after_the_release_was_taken_is_refused(transfer: Transfer, world: Gate) -> None:
    """The point of no return: the books are in use on the other side."""
    releasing, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        releasing.set()
        await go_on.wait()

    world.hooks["release"] = hold
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    await asyncio.wait_for(releasing.wait(), 60)
    await transfer.cancel()
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="late", reason="changed my mind"))
    await asyncio.sleep(0.3)
    go_on.set()
    assert (await transfer.result()).state is TransferState.RELEASED
    assert "drop" not in world.calls
    assert sorted(event.kind for event in world.events if event.kind.endswith("_refused")) == [
        "cancel_refused",
        "reject_refused",
    ]
