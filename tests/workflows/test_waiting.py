"""Waiting: reminders at their moments, and evenings that were too short, on the real server with skipped time."""

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.errors import CannotBeCarried, WindowTooShort
from domain.steps import StepName, StepState
from domain.vocabulary import MailKind, TransferState, UndoReason
from tests.workflows.evenings import A_MOMENT, BUSY, SHORT, Evenings, asked, away, back, put_off
from tests.workflows.story import Transfer, ended, reach, skip, to_inspection, upload
from tests.workflows.world import TTL, WINDOW, Gate
from workflows.transfer import TransferWorkflow

MINUTE, HOUR, DAY, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
COMPENSATIONS = ["begin_undo", "drop", "release_reservation", "revoke", "unfreeze", "finish_undo"]


def reminders(world: Gate, kind: MailKind) -> list[int]:
    """Return which reminders of a kind have been sent."""
    return [order.occurrence for order in world.orders if isinstance(order, m.SendMail) and order.kind is kind]


def why_it_waits(status: m.TransferStatus) -> str:
    """Return what the wait for the evening says of itself."""
    return next(step.detail for step in status.steps if step.step is StepName.WAIT_FOR_EVENING)


def postponements(world: Gate) -> list[m.PostponeStart]:
    return [order for order in world.orders if isinstance(order, m.PostponeStart)]


async def reminded(world: Gate, kind: MailKind, times: int) -> None:
    await asked(world, f"send {kind.value}", times)
    assert reminders(world, kind) == list(range(1, times + 1))


async def test_the_old_side_is_reminded_of_its_ticket_until_it_expires(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Reminds of the ticket until it expires."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await skip(skipping, transfer, TTL - WEEK - HOUR)
    assert reminders(world, MailKind.TICKET_REMINDER) == []
    await skip(skipping, transfer, 2 * HOUR)
    await reminded(world, MailKind.TICKET_REMINDER, 1)
    await skip(skipping, transfer, 5 * DAY)
    await reminded(world, MailKind.TICKET_REMINDER, 1)
    await skip(skipping, transfer, DAY)
    await reminded(world, MailKind.TICKET_REMINDER, 2)
    await skip(skipping, transfer, DAY)
    assert (await transfer.result()).undo_reason is UndoReason.EXPIRED
    await reminded(world, MailKind.TICKET_REMINDER, 2)


async def test_an_upload_ends_the_reminders_of_the_ticket(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Ends the reminders with the upload."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await skip(skipping, transfer, TTL - 6 * DAY)
    await reminded(world, MailKind.TICKET_REMINDER, 1)
    await to_inspection(transfer)
    await skip(skipping, transfer, 6 * DAY)
    await reminded(world, MailKind.TICKET_REMINDER, 1)


async def test_the_new_side_is_reminded_every_week_until_it_releases(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Reminds of the release every week until it comes."""
    await to_inspection(transfer)
    await skip(skipping, transfer, WEEK - HOUR)
    assert reminders(world, MailKind.RELEASE_REMINDER) == []
    await skip(skipping, transfer, 2 * HOUR)
    await reminded(world, MailKind.RELEASE_REMINDER, 1)
    await skip(skipping, transfer, WEEK)
    await reminded(world, MailKind.RELEASE_REMINDER, 2)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    assert (await transfer.result()).state is TransferState.RELEASED
    await reminded(world, MailKind.RELEASE_REMINDER, 2)


async def test_a_year_of_waiting_for_a_release_keeps_a_short_history(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """A customer who forgets the release would meet a workflow that the server has ended for its length."""
    await to_inspection(transfer)
    for _ in range(13):
        await skip(skipping, transfer, 4 * WEEK)
    events = [event async for event in transfer.fetch_history_events()]
    assert len(events) <= 1_000
    assert 5 <= len(reminders(world, MailKind.RELEASE_REMINDER)) <= 53
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    assert (await transfer.result()).state is TransferState.RELEASED


async def test_a_mail_server_that_hangs_holds_up_no_release(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Releases while a reminder hangs."""
    hanging, go_on = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await go_on.wait()

    world.hooks["send release_reminder"] = hang
    await to_inspection(transfer)
    await skip(skipping, transfer, WEEK - A_MOMENT)
    await asyncio.wait_for(hanging.wait(), 60)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    await reach(transfer, TransferState.RELEASED)
    go_on.set()
    assert (await transfer.result()).state is TransferState.RELEASED


async def test_three_evenings_that_do_not_suffice_undo_the_transfer(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Undoes after three evenings that did not suffice."""
    world.open_for = SHORT
    away(world, "clone")
    evenings = Evenings(skipping, transfer)
    await upload(transfer)
    await evenings.begin()
    for evening in (1, 2):
        status = await put_off(world, transfer, evening)
        assert f"evening {evening} of 3 did not suffice" in why_it_waits(status)
        assert "Clone the administrations" in why_it_waits(status)
        await evenings.begin()
    result = await ended(transfer)
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    assert "3 evenings did not suffice" in result.undo_detail
    assert [order.evening for order in postponements(world)] == [1, 2, 3]
    assert [call for call in world.calls if call in COMPENSATIONS] == COMPENSATIONS
    assert world.mails()[-1] is MailKind.UNDONE


async def test_evenings_on_which_no_clone_could_begin_are_not_counted(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """When a firm moves a thousand, those for whom there is no place on three evenings would be undone for nothing."""
    world.open_for, world.clones_begin = SHORT, False
    away(world, "clone")
    evenings = Evenings(skipping, transfer)
    await upload(transfer)
    for evening in (1, 2, 3):
        await evenings.begin()
        world.open_for = None if evening == 3 else SHORT  # of the evening after it
        status = await put_off(world, transfer, evening)
        assert status.evenings_tried == 0
    back(world, "clone")
    await evenings.begin()
    await reach(transfer, TransferState.AWAITING_RELEASE, patience_seconds=60)


async def test_what_does_not_fit_in_the_rest_of_an_evening_is_planned_again_untouched(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Of an overloaded evening nothing is dropped that took its time: what comes too late waits, and is told once."""
    world.clones_begin = False
    world.failures["clone"] = [WindowTooShort()]
    evenings = Evenings(skipping, transfer)
    await upload(transfer)
    await evenings.begin()
    status = await put_off(world, transfer, 1)
    assert status.evenings_tried == 0
    assert why_it_waits(status) == WindowTooShort.default_english()
    assert "drop" not in world.calls
    await evenings.begin()
    await reach(transfer, TransferState.AWAITING_RELEASE, patience_seconds=60)
    assert world.count()[f"send {MailKind.UPLOAD_ACCEPTED.value}"] == 2


async def test_a_proof_that_is_nearly_done_may_end(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """A window that closes during a short proof does not cost its clone."""
    world.open_for, world.grace = BUSY, 2 * MINUTE

    async def past_the_closing() -> None:
        closes_at = (await transfer.query(TransferWorkflow.status)).closes_at
        assert closes_at
        while await skipping.get_current_time(transfer) <= closes_at:  # noqa: ASYNC110 - the clock is the server's
            await asyncio.sleep(0.2)

    world.hooks["verify"] = past_the_closing
    evenings = Evenings(skipping, transfer)
    await upload(transfer)
    await evenings.begin()
    await reach(transfer, TransferState.AWAITING_RELEASE, patience_seconds=60)
    assert "postpone" not in world.calls


async def test_a_second_evening_that_suffices_leads_to_the_release(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Moves on the second evening."""
    world.open_for = BUSY
    away(world, "compare")
    evenings = Evenings(skipping, transfer)
    await upload(transfer)
    await evenings.begin()
    world.open_for = None
    status = await put_off(world, transfer, 1)
    assert status.evenings_tried == 1
    assert {step.step for step in status.steps if step.state is StepState.PENDING} >= {StepName.CLONE, StepName.COMPARE}
    assert "release_reservation" not in world.calls
    assert "unfreeze" not in world.calls
    (postponed,) = postponements(world)
    assert status.starts_at == WINDOW.start_after(postponed.decided_at)
    back(world, "compare")
    await evenings.begin()
    assert (await reach(transfer, TransferState.AWAITING_RELEASE)).new == status.new
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    assert (await transfer.result()).state is TransferState.RELEASED
    clones = [order for order in world.orders if isinstance(order, m.CloneAdministrations)]
    opened = [order for order in world.orders if isinstance(order, m.OpenForInspection)]
    assert [order.evening for order in clones] == [1, 2]
    assert [order.evening for order in opened] == [2]
    assert len({order.target_schema for order in clones}) == 1


async def test_a_copier_that_still_writes_is_stopped_before_its_clone_is_dropped(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Stops the copier before it drops a clone."""
    stopped = asyncio.Event()

    async def copy_for_long() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            assert "postpone" not in world.calls
            stopped.set()

    world.open_for = BUSY
    world.hooks["clone"] = copy_for_long
    evenings = Evenings(skipping, transfer)
    await upload(transfer)
    await evenings.begin()
    assert (await reach(transfer, TransferState.CLONING)).closes_at is not None
    await put_off(world, transfer, 1)
    assert stopped.is_set()


async def test_a_start_that_support_asks_for_has_no_closing_time(transfer: Transfer, world: Gate) -> None:
    """Gives a start that support asks for no closing time."""
    world.open_for = -DAY
    status = await to_inspection(transfer)
    assert status.closes_at
    assert status.closes_at < datetime.now(UTC)
    assert "postpone" not in world.calls


async def test_an_evening_that_nobody_could_begin_is_not_counted(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Counts no evening that nobody could begin."""
    evenings = Evenings(skipping, transfer)
    world.open_for = -SHORT
    await upload(transfer)
    await evenings.begin()
    world.open_for = None
    status = await put_off(world, transfer, 1)
    assert "nobody was at work" in why_it_waits(status)
    assert status.evenings_tried == 0
    assert "clone" not in world.calls
    await evenings.begin()
    await reach(transfer, TransferState.AWAITING_RELEASE)


async def test_a_cancel_while_the_next_evening_is_planned_undoes_all(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Undoes on a cancel while the next evening is planned."""
    planning, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        planning.set()
        await go_on.wait()

    world.open_for = SHORT
    away(world, "clone")
    world.hooks["postpone"] = hold
    evenings = Evenings(skipping, transfer)
    await upload(transfer)
    await evenings.begin()
    await asyncio.wait_for(planning.wait(), 60)
    await transfer.cancel()
    result = await transfer.result()
    go_on.set()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.CANCELLED)
    assert [call for call in world.calls if call in COMPENSATIONS] == COMPENSATIONS


async def test_a_postponement_that_cannot_be_undoes_all(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Undoes a transfer that cannot be postponed."""
    world.open_for = SHORT
    away(world, "clone")
    world.failures["postpone"] = [CannotBeCarried()]
    evenings = Evenings(skipping, transfer)
    await upload(transfer)
    await evenings.begin()
    result = await ended(transfer)
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    assert [call for call in world.calls if call in COMPENSATIONS] == COMPENSATIONS


async def test_a_cancel_that_the_copier_does_not_hear_is_a_cancel(transfer: Transfer, world: Gate) -> None:
    """Undoes although the clone ended before it heard of the cancel."""
    copying, go_on = asyncio.Event(), asyncio.Event()

    async def copy() -> None:
        copying.set()
        await go_on.wait()

    world.hooks["clone"] = copy
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await asyncio.wait_for(copying.wait(), 60)
    await transfer.cancel()
    await asyncio.sleep(0.5)
    go_on.set()
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.CANCELLED)
    assert "verify" not in world.calls
    assert [call for call in world.calls if call in COMPENSATIONS] == COMPENSATIONS
