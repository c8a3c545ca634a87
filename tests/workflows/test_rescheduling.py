"""Another evening than the planned one, or another name for what comes, on the real server with skipped time."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.errors import EveningInvalid, NameTaken
from domain.vocabulary import MailKind, TransferState, UndoReason
from tests.workflows.evenings import asked
from tests.workflows.story import Transfer, reach, skip, upload
from tests.workflows.world import WINDOW, Gate
from workflows.transfer import TransferWorkflow

DAY = timedelta(days=1)


async def choose(transfer: Transfer, evening: date, by: str = "new side") -> m.StartPlanned:
    """Ask for an evening."""
    order = m.Reschedule(evening=evening, requested_by=by, reason="a busy week")
    planned: m.StartPlanned = await transfer.execute_update("reschedule", order, result_type=m.StartPlanned)
    return planned


async def refusal_of(transfer: Transfer, evening: date, by: str = "new side") -> str | None:
    """Ask for an evening that is refused, and return the code of the refusal."""
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await choose(transfer, evening, by)
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause.type


async def test_a_move_starts_on_the_evening_that_was_chosen(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Starts on the chosen evening."""
    accepted = await upload(transfer)
    evening = accepted.starts_at.date() + 4 * DAY
    planned = await choose(transfer, evening)
    assert planned.starts_at == WINDOW.opening_on(evening)
    status = await reach(transfer, TransferState.SCHEDULED)
    assert status.starts_at == planned.starts_at
    await skip(skipping, transfer, planned.starts_at - datetime.now(UTC) - timedelta(hours=1))
    await asked(world, f"send {MailKind.UPLOAD_ACCEPTED.value}", 2)  # both sides hear of the new moment
    assert "clone" not in world.calls
    await skip(skipping, transfer, timedelta(hours=1, minutes=1))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    assert await refusal_of(transfer, evening + DAY) == "WrongMoment"


async def test_sixty_changes_are_told_once_when_they_have_settled(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """One side that plays with the date would have the service send the other side a mail for every click."""
    accepted = await upload(transfer)
    told = f"send {MailKind.UPLOAD_ACCEPTED.value}"
    for change in range(60):
        await choose(transfer, accepted.starts_at.date() + (20 + change % 9) * DAY)
    await asked(world, told, 1)  # of the upload itself
    await skip(skipping, transfer, timedelta(days=2))
    await asked(world, told, 2)
    # Whoever changes on and on, a quarter of an hour apart, is told ever less often.
    for change in range(12):
        await choose(transfer, accepted.starts_at.date() + (30 + change % 9) * DAY)
        await skip(skipping, transfer, timedelta(minutes=15))
    assert world.calls.count(told) < 2 + 12 / 2
    await skip(skipping, transfer, timedelta(days=2))
    assert world.calls.count(told) < 2 + 12 / 2
    await transfer.cancel()


async def test_an_earlier_evening_may_be_chosen_again(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Takes an earlier evening again."""
    accepted = await upload(transfer)
    await choose(transfer, accepted.starts_at.date() + 9 * DAY)
    planned = await choose(transfer, accepted.starts_at.date() + DAY)
    await skip(skipping, transfer, planned.starts_at - datetime.now(UTC) + timedelta(minutes=1))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    assert world.calls.count("clone") == 1


async def test_only_a_planned_start_can_be_moved_and_somebody_must_ask(transfer: Transfer, world: Gate) -> None:
    """Refuses another evening without a plan or a name."""
    tomorrow = datetime.now(UTC).date() + DAY
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    assert await refusal_of(transfer, tomorrow) == "WrongMoment"
    await upload(transfer)
    assert await refusal_of(transfer, tomorrow, by=" ") == "WrongMoment"
    assert "reschedule" not in world.calls
    await to_inspection_from_schedule(transfer)
    assert await refusal_of(transfer, tomorrow) == "WrongMoment"
    assert "reschedule" not in world.calls


async def to_inspection_from_schedule(transfer: Transfer) -> None:
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await reach(transfer, TransferState.AWAITING_RELEASE)


async def test_a_refused_evening_leaves_the_planned_one(transfer: Transfer, world: Gate) -> None:
    """Keeps the planned evening after a refused one."""
    accepted = await upload(transfer)
    world.failures = {"reschedule": [EveningInvalid()]}
    assert await refusal_of(transfer, date(2020, 1, 1)) == "EveningInvalid"
    assert (await reach(transfer, TransferState.SCHEDULED)).starts_at == accepted.starts_at
    await to_inspection_from_schedule(transfer)


async def test_the_start_waits_for_whoever_is_choosing_another_evening(transfer: Transfer, world: Gate) -> None:
    """Waits for a change of evening that is under way."""
    accepted = await upload(transfer)
    asking, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        asking.set()
        await go_on.wait()

    world.hooks["reschedule"] = hold
    choosing = asyncio.create_task(choose(transfer, accepted.starts_at.date() + 3 * DAY))
    await asyncio.wait_for(asking.wait(), 60)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await asked(world, "record")
    assert "clone" not in world.calls
    go_on.set()
    assert (await choosing).starts_at > accepted.starts_at
    await reach(transfer, TransferState.AWAITING_RELEASE)
    kinds = [event.kind for event in world.events]
    assert kinds == ["start_now"]


async def test_what_was_uploaded_is_corrected_until_the_evening_begins(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Shows the corrected name, tells three corrections in one mail, and refuses what nobody asks or comes too late."""
    accepted = await upload(transfer)
    order = m.CorrectUpload(name="Enyoi BV", requested_by="new side", reason="a slip of the pen")

    async def correct(order: m.CorrectUpload) -> m.UploadAccepted:
        answer: m.UploadAccepted = await transfer.execute_update("correct_upload", order, result_type=m.UploadAccepted)
        return answer

    async def refused(order: m.CorrectUpload) -> str | None:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await correct(order)
        assert isinstance(refused.value.cause, ApplicationError)
        return refused.value.cause.type

    for _ in range(3):
        assert (await correct(order)).name == "Enyoi BV"
    world.failures = {"correct": [NameTaken()]}
    assert await refused(order) == "NameTaken"
    assert await refused(m.CorrectUpload(name="Enyoi BV")) == "WrongMoment"
    status = await reach(transfer, TransferState.SCHEDULED)
    assert status.new is not None
    assert status.new.name == "Enyoi BV"
    assert status.starts_at == accepted.starts_at
    await skip(skipping, transfer, accepted.starts_at - datetime.now(UTC) - timedelta(minutes=1))
    assert world.calls.count(f"send {MailKind.UPLOAD_ACCEPTED.value}") == 2
    await skip(skipping, transfer, timedelta(minutes=2))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    assert await refused(order) == "WrongMoment"


async def test_a_cancel_wins_over_an_evening_that_is_being_chosen(transfer: Transfer, world: Gate) -> None:
    """Undoes on a cancel during a change of evening."""
    accepted = await upload(transfer)
    asking, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        asking.set()
        await go_on.wait()

    world.hooks["reschedule"] = hold
    choosing = asyncio.create_task(refusal_of(transfer, accepted.starts_at.date() + 3 * DAY))
    await asyncio.wait_for(asking.wait(), 60)
    await transfer.cancel()
    await asked(world, "finish_undo")
    go_on.set()
    assert await choosing == "WrongMoment"
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.CANCELLED)
