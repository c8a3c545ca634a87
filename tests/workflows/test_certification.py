"""The looks at both environments: they hold nobody up, and nothing is released that has changed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.errors import CannotBeCarried, CloneDiffers, TransferError
from domain.steps import StepName, StepState
from domain.vocabulary import MailKind, TransferState, UndoReason
from tests.workflows.story import Transfer, ended, reach, started, to_inspection, upload
from tests.workflows.world import Gate
from workflows.transfer import TransferWorkflow

DRIFT = m.TableDifference(table="journal_line", problem="the content of its rows has changed")
RELEASE = m.Release(released_by="new side", note="checked")


async def step_of(transfer: Transfer, name: StepName) -> m.StepStatus:
    status = await transfer.query(TransferWorkflow.status)
    return next(step for step in status.steps if step.step is name)


async def refused(world: Gate, *, kind: str = "release") -> m.RecordEvent:
    """Wait until the event log tells of a refusal, and return the newest."""
    for _ in range(3_000):
        if found := [event for event in world.events if event.kind == f"{kind}_refused"]:
            return found[-1]
        await asyncio.sleep(0.02)
    raise AssertionError(f"no {kind} was refused")


def gate_on(world: Gate, name: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold an activity: the first event tells that it runs, the second lets it go on."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    world.hooks[name] = hold
    return reached, go_on


async def test_nobody_waits_for_the_hashing_of_a_large_environment(skipping: WorkflowEnvironment, world: Gate) -> None:
    """Issues the ticket and takes the upload while the hash goes on."""
    reached, go_on = gate_on(world, "hash_frozen")
    transfer = await started(skipping, world)
    accepted = await upload(transfer)
    await asyncio.wait_for(reached.wait(), 60)
    assert accepted.name == "Enyoi"
    assert (await step_of(transfer, StepName.HASH)).state is StepState.RUNNING
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await asyncio.sleep(0.3)
    assert "clone" not in world.calls, "what was frozen must be known before it is copied"
    go_on.set()
    await reach(transfer, TransferState.AWAITING_RELEASE)
    assert (await step_of(transfer, StepName.HASH)).state is StepState.DONE
    assert world.calls.index("hash_frozen") < world.calls.index("clone")


async def test_a_cancel_does_not_wait_for_the_hashing(skipping: WorkflowEnvironment, world: Gate) -> None:
    """Undoes at once on a cancel during the hash."""
    reached, _ = gate_on(world, "hash_frozen")
    transfer = await started(skipping, world)
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await asyncio.wait_for(reached.wait(), 60)
    await transfer.cancel()
    result = await asyncio.wait_for(transfer.result(), 60)
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.CANCELLED)
    assert world.calls[-2:] == ["finish_undo", "send undone"]


async def test_what_cannot_be_moved_is_given_back_at_once(skipping: WorkflowEnvironment, world: Gate) -> None:
    """Nobody stays frozen until the evening, or until a ticket expires, for a move that cannot succeed."""
    english, dutch = "check positive of line: there are rows that do not meet it.", "regel positive van line: ..."
    world.failures["hash_frozen"] = [CannotBeCarried(english, dutch=dutch)]
    result = await ended(await started(skipping, world))
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    assert "check positive of line" in result.undo_detail
    assert [order.detail_nl for order in world.orders if isinstance(order, m.BeginUndo)] == [dutch]
    assert "unfreeze" in world.calls
    assert MailKind.UNDONE in world.mails()


async def test_what_cannot_be_moved_does_not_wait_for_its_evening(skipping: WorkflowEnvironment, world: Gate) -> None:
    """Nor is it frozen until then when the upload was quicker than the look, and why can be read."""
    reached, go_on = gate_on(world, "hash_frozen")
    world.failures["hash_frozen"] = [CloneDiffers("secret_table: its rows could not be read.")]
    transfer = await started(skipping, world)
    await upload(transfer)
    await asyncio.wait_for(reached.wait(), 60)
    go_on.set()
    result = await ended(transfer)
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    assert "secret_table" in result.undo_detail
    assert "clone" not in world.calls


async def test_the_certificate_is_signed_before_anybody_is_told(transfer: Transfer, world: Gate) -> None:
    """Signs the certificate before it sends the mail."""
    reached, go_on = gate_on(world, "certify")
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await asyncio.wait_for(reached.wait(), 60)
    assert MailKind.READY not in world.mails()
    await transfer.signal(TransferWorkflow.release, RELEASE)
    assert "cloning" in (await refused(world)).reason
    go_on.set()
    await reach(transfer, TransferState.AWAITING_RELEASE)
    assert "0123456789abcdef" in (await step_of(transfer, StepName.CERTIFY)).detail


@pytest.mark.parametrize("kind", ["release", "reject"])
async def test_a_decision_counts_as_soon_as_the_database_tells_of_the_certificate(
    transfer: Transfer, world: Gate, kind: str
) -> None:
    """Takes what comes before this run has heard of the certificate: whoever decides has read of it."""
    reached, go_on = gate_on(world, "certify")
    accepted = await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await asyncio.wait_for(reached.wait(), 60)
    new = (await transfer.query(TransferWorkflow.status)).new
    assert new is not None
    closes_at = datetime.now(UTC) + timedelta(hours=1)
    world.reserved = m.ReservationMade(accepted=accepted, new=new, closes_at=closes_at, begun=True, certified=True)
    looked, look_on = gate_on(world, "read_reservation")
    await transfer.signal(kind, RELEASE if kind == "release" else m.Reject(rejected_by="new side", reason="no"))
    await asyncio.wait_for(looked.wait(), 60)
    look_on.set()
    go_on.set()
    result = await ended(transfer)
    assert result.state is (TransferState.RELEASED if kind == "release" else TransferState.UNDONE)
    assert [event.kind for event in world.events if event.kind.endswith("_refused")] == []


async def test_an_environment_that_cannot_be_certified_is_undone(transfer: Transfer, world: Gate) -> None:
    """Undoes a move that cannot be certified."""
    world.failures["certify"] = [CloneDiffers("journal_line: the content of its rows has changed.")]
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    result = await ended(transfer)
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    assert "drop" in world.calls
    assert MailKind.READY not in world.mails()


async def test_drift_stops_a_release_and_its_repair_lets_it_pass(transfer: Transfer, world: Gate) -> None:
    """Refuses a release after a change, and takes it once repaired."""
    await to_inspection(transfer)
    world.drift = [DRIFT]
    await transfer.signal(TransferWorkflow.release, RELEASE)
    event = await refused(world)
    assert event.actor == "new side"
    assert "journal_line in the old environment: the content of its rows has changed" in event.reason
    status = await reach(transfer, TransferState.AWAITING_RELEASE)
    assert status.waiting_for == "the new side's comparison and release"
    check = await step_of(transfer, StepName.CHECK)
    assert check.state is StepState.FAILED
    assert "journal_line" in check.detail
    assert "release" not in world.calls
    assert "begin_undo" not in world.calls

    world.drift = []
    await transfer.signal(TransferWorkflow.release, RELEASE)
    result = await transfer.result()
    assert result.state is TransferState.RELEASED
    assert world.count()["check"] == 2
    keys = {order.event_key for order in world.orders if isinstance(order, m.CheckUnchanged)}
    assert len(keys) == 2, "each look is told of once"


async def test_after_drift_the_new_side_can_still_reject(transfer: Transfer, world: Gate) -> None:
    """Takes a reject after a refused release."""
    await to_inspection(transfer)
    world.drift = [DRIFT]
    await transfer.signal(TransferWorkflow.release, RELEASE)
    await refused(world)
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="something was changed"))
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.REJECTED)


async def test_a_look_that_is_impossible_refuses_the_release(transfer: Transfer, world: Gate) -> None:
    """Refuses a release that cannot be looked into, and goes on waiting."""
    await to_inspection(transfer)
    world.failures["check"] = [TransferError("The table cannot be read.")]
    await transfer.signal(TransferWorkflow.release, RELEASE)
    event = await refused(world)
    assert event.reason == "it could not be checked whether anything has changed: The table cannot be read."
    del world.failures["check"]
    await transfer.signal(TransferWorkflow.release, RELEASE)
    assert (await transfer.result()).state is TransferState.RELEASED


@pytest.mark.parametrize("kind", ["release", "reject"])
async def test_a_second_decision_during_the_look_is_refused(transfer: Transfer, world: Gate, kind: str) -> None:
    """Refuses another decision while one is looked into."""
    await to_inspection(transfer)
    reached, go_on = gate_on(world, "check")
    await transfer.signal(TransferWorkflow.release, RELEASE)
    await asyncio.wait_for(reached.wait(), 60)
    late = m.Release(released_by="late") if kind == "release" else m.Reject(rejected_by="late", reason="no")
    await transfer.signal(kind, late)
    event = await refused(world, kind=kind)
    assert (event.actor, event.reason) == ("late", "the transfer is being released")
    go_on.set()
    assert (await transfer.result()).state is TransferState.RELEASED


async def test_a_cancel_during_the_look_undoes(transfer: Transfer, world: Gate) -> None:
    """Undoes on a cancel during the last look."""
    await to_inspection(transfer)
    reached, _ = gate_on(world, "check")
    await transfer.signal(TransferWorkflow.release, RELEASE)
    await asyncio.wait_for(reached.wait(), 60)
    await transfer.cancel()
    result = await asyncio.wait_for(transfer.result(), 60)
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.CANCELLED)
    assert "release" not in world.calls
