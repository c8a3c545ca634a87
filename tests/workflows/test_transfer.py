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
from tests.workflows.story import UPLOAD, Transfer, ended, reach, skip, started, to_inspection, upload
from tests.workflows.world import AMSTERDAM, COMPENSATIONS, TTL, Gate, undone_in_order
from workflows import search_attributes
from workflows.transfer import TransferWorkflow


async def test_happy_path_ends_released(transfer: Transfer, world: Gate) -> None:
    """Ends released, in the order of the manual."""
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
    """Stays below the limit of events."""
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    await transfer.result()
    events = [event async for event in transfer.fetch_history_events()]
    assert len(events) <= 150


async def test_the_clone_waits_for_ten_in_the_evening(
    skipping: WorkflowEnvironment, transfer: Transfer, world: Gate
) -> None:
    """Clones at 22:00 on the clock of Amsterdam, not before."""
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
    """Undoes when the ticket expires."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await skip(skipping, transfer, TTL + timedelta(seconds=1))
    result = await transfer.result()
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.EXPIRED)
    assert undone_in_order(world) == ["begin_undo", "release_reservation", "revoke", "unfreeze", "finish_undo"]


async def test_reject_undoes_everything(transfer: Transfer, world: Gate) -> None:
    """Undoes everything on a reject."""
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="balance looks wrong"))
    result = await transfer.result()
    assert (result.state, result.undo_reason, result.undo_detail) == (
        TransferState.UNDONE,
        UndoReason.REJECTED,
        "balance looks wrong",
    )
    described = await transfer.describe()
    assert described.status is WorkflowExecutionStatus.COMPLETED
    assert described.typed_search_attributes[search_attributes.OUTCOME] == UndoReason.REJECTED
    assert undone_in_order(world) == COMPENSATIONS
    assert world.mails()[-1] is MailKind.UNDONE


async def test_differences_undo_the_transfer(transfer: Transfer, world: Gate) -> None:
    """Undoes a transfer whose verification differs."""
    world.differences = [m.TableDifference(table="journal_line", problem="1 row differs", keys=["(1,2)"])]
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    result = await ended(transfer)
    assert (result.state, result.undo_reason, result.mismatches) == (TransferState.UNDONE, UndoReason.FAILED, 1)
    assert "journal_line" in result.undo_detail
    assert undone_in_order(world) == COMPENSATIONS
    assert MailKind.READY not in world.mails()


async def test_an_unequal_comparison_undoes_the_transfer(transfer: Transfer, world: Gate) -> None:
    """Undoes a transfer whose comparison differs."""
    world.unequal = 2
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    result = await ended(transfer)
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    assert "open_for_inspection" not in world.calls


async def test_lists_tell_how_a_transfer_ended(transfer: Transfer, world: Gate) -> None:
    """Is red in the list of those who look at it when it could not move, and only then; `Outcome` says why."""
    world.unequal = 2
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    await ended(transfer)
    described = await transfer.describe()
    assert described.status is WorkflowExecutionStatus.FAILED
    assert described.typed_search_attributes[search_attributes.OUTCOME] == UndoReason.FAILED


async def test_a_refused_freeze_changes_nothing_and_tells_why(skipping: WorkflowEnvironment, world: Gate) -> None:
    """Ends with the reason of a refused freeze."""
    world.failures["freeze"] = [CannotBeCarried()]
    result = await ended(await started(skipping, world))
    assert result.undo_reason is UndoReason.FAILED
    assert result.undo_detail == CannotBeCarried.default_english()
    assert undone_in_order(world) == ["begin_undo", "unfreeze", "finish_undo"]


async def test_a_refused_upload_leaves_the_transfer_waiting(transfer: Transfer, world: Gate) -> None:
    """Goes on waiting after a refused upload."""
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
    """Accepts one of two uploads at once."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    answers = await asyncio.gather(
        *(transfer.execute_update("upload", UPLOAD) for _ in range(5)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, WorkflowUpdateFailedError)]
    assert len(refused) == 4
    assert {error.cause.type for error in refused if isinstance(error.cause, ApplicationError)} == {"TicketUsed"}
    assert world.count()["accept"] == 1


async def test_signals_at_the_wrong_moment_are_written_down_and_forgotten(transfer: Transfer, world: Gate) -> None:
    """Refuses and records a signal at the wrong moment."""
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
    """Refuses a release without a name."""
    await to_inspection(transfer)
    await transfer.signal("release", {"note": "no name"})
    async with asyncio.timeout(60):
        while "release_refused" not in {event.kind for event in world.events}:  # noqa: ASYNC110 - nor for this
            await asyncio.sleep(0.02)
    status = await transfer.query(TransferWorkflow.status)
    assert status.state is TransferState.AWAITING_RELEASE
    assert status.refused.endswith(" UTC, release of unknown: released_by is missing"), "the page shows it, with why"
    assert [event.reason for event in world.events if event.kind == "release_refused"] == ["released_by is missing"]


async def test_rubbish_signals_and_updates_do_not_hurt(transfer: Transfer) -> None:
    """Refuses rubbish and goes on."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await transfer.signal("release", 42)
    await transfer.signal("no_such_signal", "x")
    with pytest.raises(WorkflowUpdateFailedError):
        await transfer.execute_update("upload", {"rubbish": True})
    await to_inspection(transfer)


async def test_a_compensation_that_fails_says_so_and_goes_on_by_itself(transfer: Transfer, world: Gate) -> None:
    """Calls for an operator while an undo is stuck, and finishes by itself."""
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
    """Waits for a server that is away."""
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
    """Goes on when a mail does not arrive."""
    world.failures["send ready"] = [TransferErrorOnce("mailbox unknown")]
    status = await to_inspection(transfer)
    for _ in range(1_200):
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
    """Refuses a resend that an undo overtakes as a wrong moment."""
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
    """Forwards the old address for thirty days."""
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
