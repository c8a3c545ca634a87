"""The story of a transfer and every way it can turn, on the real server with skipped time."""

import asyncio
from datetime import datetime, timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.errors import CannotBeCarried, NameTaken, Superseded, Unavailable
from domain.naming import mailbox_workflow_id_of
from domain.steps import StepName, StepState
from domain.vocabulary import MailKind, TransferState, UndoReason
from tests.workflows.story import UPLOAD, Transfer, reach, skip, to_inspection, upload
from tests.workflows.world import AMSTERDAM, TTL, Gate
from workflows.transfer import TransferWorkflow

COMPENSATIONS = ["begin_undo", "drop", "release_reservation", "revoke", "unfreeze", "finish_undo"]


def undone_in_order(world: Gate) -> list[str]:
    return [call for call in world.calls if call in COMPENSATIONS]


async def test_happy_path_ends_released(transfer: Transfer, world: Gate) -> None:
    """The whole story, once through: what the manual promises happens in its order."""
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side", note="checked"))
    result = await transfer.result()
    assert result.state is TransferState.RELEASED
    assert (result.tables, result.rows, result.mismatches) == (19, 1234, 0)
    # The hashing of what was frozen runs beside what follows it.
    forward = [call for call in world.calls if not call.startswith(("send", "record", "hash"))]
    assert forward == [
        "freeze",
        "issue",
        "accept",
        "clone",
        "verify",
        "reconnect_banks",
        "apply_consequences",
        "compare",
        "open_for_inspection",
        "certify",
        "check",
        "release",
    ]
    assert set(world.mails()) == {
        MailKind.TICKET_ISSUED,
        MailKind.UPLOAD_ACCEPTED,
        MailKind.READY,
        MailKind.RELEASED,
        MailKind.INVITATION,
    }


async def test_a_happy_path_costs_few_events(transfer: Transfer) -> None:
    """The history must stay small whatever the environment's size: operators read it, and the server bills it."""
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    await transfer.result()
    events = [event async for event in transfer.fetch_history_events()]
    assert len(events) <= 150


async def test_the_clone_waits_for_ten_in_the_evening(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Nobody's books may move during the day: the start is 22:00 on the Amsterdam clock and not a moment earlier."""
    accepted = await upload(transfer)
    start = accepted.starts_at.astimezone(AMSTERDAM)
    assert (start.hour, start.minute, start.second) == (22, 0, 0)
    await reach(transfer, TransferState.SCHEDULED)
    assert "clone" not in world.calls
    before_start = accepted.starts_at - datetime.now(AMSTERDAM) - timedelta(minutes=1)
    if before_start > timedelta(minutes=1):
        await skip(skipping, transfer, before_start)
        assert "clone" not in world.calls
    await skip(skipping, transfer, timedelta(minutes=2))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    assert "clone" in world.calls


async def test_an_expired_ticket_gives_the_environment_back(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """A firm that never uploads must not leave a customer frozen for ever."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await skip(skipping, transfer, TTL + timedelta(seconds=1))
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.EXPIRED)
    assert undone_in_order(world) == ["begin_undo", "release_reservation", "revoke", "unfreeze", "finish_undo"]


async def test_reject_undoes_everything(transfer: Transfer, world: Gate) -> None:
    """A new side that does not trust what it sees gets nothing, and the old side everything back."""
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="balance looks wrong"))
    result = await transfer.result()
    assert (result.state, result.undo_reason, result.undo_detail) == (
        TransferState.UNDONE,
        UndoReason.REJECTED,
        "balance looks wrong",
    )
    assert undone_in_order(world) == COMPENSATIONS
    assert world.mails()[-1] is MailKind.UNDONE


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
    await asyncio.wait_for(copying.wait(), 10)
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
    await asyncio.wait_for(undoing.wait(), 10)
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
    await asyncio.wait_for(undoing.wait(), 10)
    await transfer.cancel()
    await asyncio.sleep(0.2)
    go_on.set()
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.EXPIRED)
    assert [event.kind for event in world.events] == ["cancel_refused"]


async def test_differences_undo_the_transfer(transfer: Transfer, world: Gate) -> None:
    """A clone that is not equal must never reach anybody."""
    world.differences = [m.TableDifference(table="journal_line", problem="1 row differs", keys=["(1,2)"])]
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    result = await transfer.result()
    assert (result.state, result.undo_reason, result.mismatches) == (TransferState.UNDONE, UndoReason.FAILED, 1)
    assert "journal_line" in result.undo_detail
    assert undone_in_order(world) == COMPENSATIONS
    assert MailKind.READY not in world.mails()


async def test_an_unequal_comparison_undoes_the_transfer(transfer: Transfer, world: Gate) -> None:
    """A comparison that people are asked to make and that fails must not be left for them to find."""
    world.unequal = 2
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    assert "open_for_inspection" not in world.calls


async def test_a_refused_freeze_changes_nothing_and_tells_why(transfer: Transfer, world: Gate) -> None:
    """Whoever asks for a move that cannot be gets the reason, not a stack trace."""
    world.failures["freeze"] = [CannotBeCarried()]
    result = await transfer.result()
    assert result.undo_reason is UndoReason.FAILED
    assert result.undo_detail == CannotBeCarried.default_english()
    assert undone_in_order(world) == ["begin_undo", "unfreeze", "finish_undo"]


async def test_a_refused_upload_leaves_the_transfer_waiting(transfer: Transfer, world: Gate) -> None:
    """A name that is taken is the caller's to change, not a reason to lose the transfer."""
    world.failures["accept"] = [NameTaken()]
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await upload(transfer)
    cause = refused.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "NameTaken"
    assert list(cause.details) == [NameTaken.default_english(), NameTaken.dutch]
    del world.failures["accept"]
    assert (await upload(transfer)).name == "Enyoi"


async def test_of_two_uploads_at_once_one_wins(transfer: Transfer, world: Gate) -> None:
    """Two firms with one ticket must not both believe that they get the customer."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    answers = await asyncio.gather(
        *(transfer.execute_update("upload", UPLOAD) for _ in range(5)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, WorkflowUpdateFailedError)]
    assert len(refused) == 4
    assert {error.cause.type for error in refused if isinstance(error.cause, ApplicationError)} == {"TicketUsed"}
    assert world.count()["accept"] == 1


async def test_signals_at_the_wrong_moment_are_written_down_and_forgotten(transfer: Transfer, world: Gate) -> None:
    """An early release must not open an environment that nobody has compared yet."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="too early"))
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="too early"))
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="too early"))
    status = await to_inspection(transfer)
    assert status.state is TransferState.AWAITING_RELEASE
    refused = [event for event in world.events if event.kind.endswith("_refused")]
    assert sorted(event.kind for event in refused) == ["reject_refused", "release_refused", "start_now_refused"]
    assert {event.actor for event in refused} == {"too early"}
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    assert (await transfer.result()).state is TransferState.RELEASED


async def test_a_release_without_a_name_is_refused(transfer: Transfer, world: Gate) -> None:
    """The audit log must say who opened the books."""
    await to_inspection(transfer)
    await transfer.signal("release", {"note": "no name"})
    await asyncio.sleep(0.3)
    status = await transfer.query(TransferWorkflow.status)
    assert status.state is TransferState.AWAITING_RELEASE
    assert status.refused.endswith(" UTC, release of unknown: released_by is missing"), "the page shows it, with why"
    assert [event.reason for event in world.events if event.kind == "release_refused"] == ["released_by is missing"]


async def test_rubbish_signals_and_updates_do_not_hurt(transfer: Transfer) -> None:
    """A typo in the UI's signal form must not stop a transfer."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await transfer.signal("release", 42)
    await transfer.signal("no_such_signal", "x")
    with pytest.raises(WorkflowUpdateFailedError):
        await transfer.execute_update("upload", {"rubbish": True})
    await to_inspection(transfer)


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
    await asyncio.wait_for(releasing.wait(), 10)
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


async def test_a_compensation_that_fails_says_so_and_goes_on_by_itself(transfer: Transfer, world: Gate) -> None:
    """An undo that is stuck must call for an operator and finish once the cause is gone."""
    world.failures["revoke"] = [ValueError("disk full")] * 3
    world.hooks["unfreeze"] = _nothing
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await transfer.cancel()

    async def repaired() -> None:
        if not world.failures["revoke"]:
            del world.failures["revoke"]

    world.hooks["revoke"] = repaired
    result = await asyncio.wait_for(transfer.result(), 60)
    assert result.state is TransferState.UNDONE
    assert world.count()["revoke"] == 4


async def _nothing() -> None:
    await asyncio.sleep(0)


async def test_a_server_that_is_away_for_a_while_does_not_end_the_transfer(transfer: Transfer, world: Gate) -> None:
    """A database that restarts at 22:00 costs seconds, not the transfer."""
    world.failures["verify"] = [Unavailable()]
    world.failures["clone"] = [Unavailable()]

    async def back(name: str) -> None:
        if not world.failures.get(name, [None]):
            del world.failures[name]

    world.hooks["clone"] = lambda: back("clone")
    world.hooks["verify"] = lambda: back("verify")
    await to_inspection(transfer)
    assert (world.count()["clone"], world.count()["verify"]) == (2, 2)


async def test_mail_that_does_not_arrive_never_stops_a_transfer(transfer: Transfer, world: Gate) -> None:
    """A broken address is shown and can be repaired; the move goes on."""
    world.failures["send ready"] = [TransferErrorOnce("mailbox unknown")]
    status = await to_inspection(transfer)
    for _ in range(100):
        status = await transfer.query(TransferWorkflow.status)
        if status.mail_problems:
            break
        await asyncio.sleep(0.05)
    assert [problem.kind for problem in status.mail_problems] == [MailKind.READY]
    notify = next(step for step in status.steps if step.step is StepName.NOTIFY)
    assert notify.state is StepState.FAILED
    del world.failures["send ready"]
    await transfer.execute_update("resend_mail", m.ResendMail(kind=MailKind.READY, requested_by="support"))
    assert (await transfer.query(TransferWorkflow.status)).mail_problems == []
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    assert (await transfer.result()).state is TransferState.RELEASED


async def test_a_mail_that_an_undo_overtakes_is_refused_in_words(transfer: Transfer, world: Gate) -> None:
    """Support would read of an attempt that was overtaken, and a program of an error inside, not of a wrong moment."""
    await to_inspection(transfer)
    while MailKind.READY not in world.mails():  # noqa: ASYNC110 - the world has no event for it
        await asyncio.sleep(0.01)
    world.failures["send ready"] = [Superseded()]
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await transfer.execute_update("resend_mail", m.ResendMail(kind=MailKind.READY, requested_by="support"))
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "WrongMoment"


class TransferErrorOnce(NameTaken):
    """A refusal for good, as a mail server's 5xx is."""


async def test_the_old_mailbox_works_for_thirty_days(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Suppliers' mail must not bounce the day after the move, and not arrive for ever."""
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    result = await transfer.result()
    mailbox = skipping.client.get_workflow_handle(mailbox_workflow_id_of(result.transfer_id))
    assert "close_forwarding" not in world.calls
    await skipping.fast_forward(mailbox, timedelta(days=29))
    assert "close_forwarding" not in world.calls
    await skipping.fast_forward(mailbox, timedelta(days=2))
    await mailbox.result()
    assert "close_forwarding" in world.calls
    assert world.mails()[-1] is MailKind.MAILBOX_CLOSED
