"""Recoveries and reconciliations on a real server, with the ports played in memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.errors import AlreadyReleased, EnvironmentBusy, TransferError
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.reconciliation import LISTED, Reconcile, Reconciled, RecoverTransfer
from domain.violations import REMEDY, Violation, ViolationKind
from domain.vocabulary import MailKind, TransferState, UndoReason
from tests.workflows.story import ended
from tests.workflows.world import Ward, workers
from workflows import task_queues as queues
from workflows.reconcile import VIOLATED, ReconcileWorkflow
from workflows.recovery import RecoveryWorkflow

UNDONE_IN_ORDER = ["begin_undo", "drop", "release_reservation", "revoke", "unfreeze", "finish_undo", "send undone"]


@pytest.fixture
async def ward(skipping: WorkflowEnvironment) -> AsyncIterator[Ward]:
    ward = Ward()
    transfers, heavy, mail, checks = workers(skipping.client, ward)
    with skipping.with_time_skipping_disabled():
        async with transfers, heavy, mail, checks:
            yield ward


async def recover(skipping: WorkflowEnvironment, ward: Ward) -> WorkflowHandle[RecoveryWorkflow, m.TransferResult]:
    return await skipping.client.start_workflow(
        RecoveryWorkflow.run,
        RecoverTransfer(transfer_id=ward.transfer_id, environment_id=ward.old_id, requested_by="operator"),
        id=workflow_id_of(ward.old_id),
        task_queue=queues.TRANSFERS,
    )


async def end_mailbox(skipping: WorkflowEnvironment, transfer_id: UUID) -> None:
    await skipping.client.get_workflow_handle(mailbox_workflow_id_of(transfer_id)).terminate("the test is over")


async def test_before_its_release_everything_is_undone_in_order(skipping: WorkflowEnvironment, ward: Ward) -> None:
    """Undoes everything in order before the release."""
    ward.failures["drop"] = [EnvironmentBusy()]
    result = await ended(await recover(skipping, ward))
    assert (result.state, result.undo_reason) == (TransferState.UNDONE, UndoReason.FAILED)
    steps = ward.steps()
    steps.remove("drop")  # the attempt that failed
    steps.remove("begin_undo")  # once to see whether it still can be, once as the saga does
    assert steps == UNDONE_IN_ORDER
    assert [(event.actor, event.kind) for event in ward.events] == [("operator", "recovery_started")]


async def test_an_undo_that_had_begun_keeps_its_reason(skipping: WorkflowEnvironment, ward: Ward) -> None:
    """Keeps the reason of an undo that had begun."""
    ward.states = [TransferState.UNDOING]
    result = await ended(await recover(skipping, ward))
    assert (result.undo_reason, result.undo_detail) == (UndoReason.REJECTED, "not ours")


async def test_a_release_that_came_through_at_the_last_moment_is_finished(
    skipping: WorkflowEnvironment, ward: Ward
) -> None:
    """Finishes a release that came through at the last moment."""
    ward.states = [TransferState.AWAITING_RELEASE, TransferState.RELEASED]
    ward.failures["begin_undo"] = [AlreadyReleased()]
    ward.mails_answered = [MailKind.INVITATION]
    result = await ended(await recover(skipping, ward))
    assert result.state is TransferState.RELEASED
    assert ward.steps() == ["begin_undo", "release", "send released"]
    await end_mailbox(skipping, ward.transfer_id)


async def test_what_is_sent_to_a_recovery_is_refused_and_recorded(skipping: WorkflowEnvironment, ward: Ward) -> None:
    """Refuses and records what is sent to a recovery."""
    go_on = asyncio.Event()

    async def held() -> None:
        await go_on.wait()

    ward.hooks["drop"] = held
    recovery = await recover(skipping, ward)
    while "drop" not in ward.calls:  # noqa: ASYNC110 - the world has no event for it
        await asyncio.sleep(0.01)
    await recovery.signal("release", m.Release(released_by="new side"))
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await recovery.execute_update("resend_mail", m.ResendMail(kind=MailKind.READY, requested_by="support"))
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "WrongMoment"
    await recovery.cancel()
    go_on.set()
    assert (await ended(recovery)).state is TransferState.UNDONE
    assert {event.kind for event in ward.events} >= {"release_refused", "resend_mail_refused", "cancel_refused"}


def wrong(kind: ViolationKind, subject: str) -> Violation:
    return Violation(kind=kind, subject=subject, what="seen", remedy=REMEDY[kind])


async def reconcile(skipping: WorkflowEnvironment, *, heal: bool) -> Reconciled:
    order = Reconcile(heal=heal, requested_by="operator")
    return await skipping.client.execute_workflow(
        ReconcileWorkflow.run, order, id=f"reconcile-{uuid4()}", task_queue=queues.TRANSFERS
    )


async def test_a_report_changes_nothing_and_lists_everything(skipping: WorkflowEnvironment, ward: Ward) -> None:
    """Lists everything and changes nothing without the order to heal."""
    many = tuple(wrong(ViolationKind.ORPHAN_SCHEMA, f"schema env_{number}") for number in range(25))
    ward.wrong = [many]
    with pytest.raises(WorkflowFailureError) as failed:
        await reconcile(skipping, heal=False)
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == VIOLATED
    assert "25 wrong" in cause.message
    assert "and 5 more" in cause.message
    assert Reconciled.model_validate(cause.details[0]).left.violations == many
    assert ward.steps() == []


async def test_healing_recovers_first_and_says_what_it_could_not_do(skipping: WorkflowEnvironment, ward: Ward) -> None:
    """Recovers first, repairs the rest, and says what failed."""
    transfer = f"transfer {ward.transfer_id}"
    ward.wrong = [
        (
            wrong(ViolationKind.STRANDED, transfer),
            wrong(ViolationKind.ORPHAN_SCHEMA, "schema env_1"),
            wrong(ViolationKind.TICKET_LEFT, transfer),
            wrong(ViolationKind.NOBODY_TOLD, transfer),
        ),
        (),
    ]
    ward.failures["repair"] = [TransferError("it cannot be")]
    outcome = await reconcile(skipping, heal=True)
    assert [(one.violation.kind, one.done) for one in outcome.healings] == [
        (ViolationKind.STRANDED, True),
        (ViolationKind.NOBODY_TOLD, True),
        (ViolationKind.ORPHAN_SCHEMA, False),
        (ViolationKind.TICKET_LEFT, True),
    ]
    steps = ward.steps()
    assert steps.count("finish_undo") == 1
    assert steps.index("finish_undo") < steps.index("repair")


async def test_a_mailbox_is_watched_again_with_the_time_that_is_left(skipping: WorkflowEnvironment, ward: Ward) -> None:
    """Forwards again for the time that is left, by one workflow."""
    ward.states = [TransferState.RELEASED]
    unattended = (wrong(ViolationKind.FORWARDING_UNATTENDED, f"transfer {ward.transfer_id}"),)
    ward.wrong = [unattended, (), unattended, ()]
    first, second = [await reconcile(skipping, heal=True) for _ in range(2)]
    assert "will be closed on" in first.healings[0].what
    assert "already watches" in second.healings[0].what
    mailbox = skipping.client.get_workflow_handle(mailbox_workflow_id_of(ward.transfer_id))
    history = await mailbox.fetch_history()
    timer = next(event for event in history.events if event.HasField("timer_started_event_attributes"))
    left = timer.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
    assert timedelta(days=2, hours=23) < left <= timedelta(days=3)
    await end_mailbox(skipping, ward.transfer_id)


async def test_thousands_of_findings_are_put_right_in_more_than_one_run(skipping: WorkflowEnvironment) -> None:
    """After a database was restored the list would be larger than a payload may be, and the history than it may be."""
    ward, many = Ward(), 300
    ward.wrong = [tuple(wrong(ViolationKind.ORPHAN_SCHEMA, f"schema env_{number}") for number in range(many)), ()]
    transfers, heavy, mail, checks = workers(skipping.client, ward)
    order = Reconcile(heal=True, requested_by="operator")
    with skipping.with_time_skipping_disabled():
        async with transfers, heavy, mail, checks:
            handle = await skipping.client.start_workflow(
                ReconcileWorkflow.run, order, id=f"reconcile-{uuid4()}", task_queue=queues.TRANSFERS
            )
            outcome = await handle.result()
    assert (outcome.found.wrong, outcome.put_right, outcome.left.wrong) == (many, many, 0)
    assert ward.count()["repair"] == many
    assert len(outcome.healings) <= LISTED
    newest = await skipping.client.get_workflow_handle(handle.id).describe()
    assert newest.run_id != handle.first_execution_run_id
