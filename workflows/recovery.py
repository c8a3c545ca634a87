"""Bringing a transfer to its end whose own workflow is gone: terminated, failed, timed out, or reset.

It takes the transfer's own workflow id, so that no other move of the environment can begin meanwhile.
"""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError

from activities.event_log import EventLogActivities
from activities.freeze_release import FreezeReleaseActivities
from activities.reconcile import ReconcileActivities
from domain import messages as m
from domain.errors import AlreadyReleased, WrongMoment
from domain.events import EventKind
from domain.naming import mailbox_workflow_id_of
from domain.reconciliation import ReadStanding, RecoverTransfer, Standing
from domain.steps import STEPS, StepName
from domain.vocabulary import MailKind, TransferState, UndoReason
from workflows import policies
from workflows.activity_calls import perform, perform_step
from workflows.environment_workflow import EnvironmentWorkflow
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.outcome import closed_with
from workflows.progress import TransferProgress
from workflows.refusals import refusal
from workflows.renewal import REFUSED, HistoryLong, grow
from workflows.saga import Undo

WHY = "The transfer's workflow was stopped from outside, so the transfer could not go on."


@workflow.defn
class RecoveryWorkflow(EnvironmentWorkflow):
    """Undoes a transfer that was interrupted before its release, and finishes one that was interrupted after it."""

    def __init__(self) -> None:
        super().__init__()
        self._order: RecoverTransfer

    @workflow.run
    async def run(self, *given: Any) -> m.TransferResult:
        """Look where it stands, then go back or forward until nothing is half done. A cancel changes nothing."""
        order = self._order = await self._read_order(given, RecoverTransfer)
        self._arrange(TransferProgress(order.transfer_id, order.environment_id, takes_signals=False))
        self._has_begun = True
        try:
            await self._saga.run_uncancellable(self._recover())
            await self._saga.run_uncancellable(self._finish_open_ends())
        except HistoryLong:
            workflow.continue_as_new(order)  # it looks anew where the transfer stands
        return closed_with(self._progress.result())

    async def _recover(self) -> None:
        standing = await self._look()
        await self._log.record(
            self._order.requested_by, EventKind.RECOVERY_STARTED, f"{standing.state.value}, and {self._order.why}"
        )
        if not standing.state.is_final:
            if await self._turn_back(standing):
                return
            standing = await self._look()
        if standing.state is TransferState.RELEASED:
            await self._finish_release(standing)
        elif MailKind.UNDONE not in standing.mails_answered:
            self._mail.send(MailKind.UNDONE)

    async def _look(self) -> Standing:
        standing = await self._saga.until_it_works(
            StepName.FREEZE,
            lambda: perform(
                ReconcileActivities.read_standing,
                ReadStanding(transfer_id=self._order.transfer_id),
                policies.MUST_HAPPEN,
                "where it stands",
            ),
        )
        progress = self._progress
        progress.old, progress.new, progress.scenario = standing.old, standing.new, standing.scenario
        progress.undo_reason, progress.undo_detail = standing.undo_reason, standing.undo_detail
        progress.enter(standing.state)
        return standing

    async def _turn_back(self, standing: Standing) -> bool:
        """Undo everything, and return whether that was still possible: a last attempt may have released it."""
        undo = Undo(
            standing.undo_reason or UndoReason.FAILED,
            standing.undo_detail or WHY,
            requested_by=self._order.requested_by,
        )
        if not await self._bar_the_way_forward(undo):
            return False
        for step in STEPS:
            self._saga.will_undo(step.name)
        await self._saga.undo(undo)
        self._mail.send(MailKind.UNDONE)
        return True

    async def _bar_the_way_forward(self, undo: Undo) -> bool:
        """Begin the undo, which `Saga.undo` then finds begun; False when the transfer turns out to be released."""
        order = m.BeginUndo(
            transfer_id=self._order.transfer_id,
            environment_id=self._order.environment_id,
            workflow_id=workflow.info().workflow_id,
            reason=undo.reason,
            detail=undo.detail,
            requested_by=undo.requested_by,
        )

        try:
            await self._saga.until_it_works(
                StepName.FREEZE,
                lambda: perform(EventLogActivities.begin_undo, order, policies.MUST_HAPPEN, "bar every forward step"),
                unless=(AlreadyReleased,),
            )
        except ActivityError:
            return False
        return True

    async def _finish_release(self, standing: Standing) -> None:
        """Do again what follows a release; what was done already does nothing the second time."""
        order = m.ReleaseEnvironment(
            transfer_id=self._order.transfer_id, released_by="", note="", released_at=workflow.now()
        )
        await self._saga.until_it_works(
            StepName.RELEASE,
            lambda: perform_step(FreezeReleaseActivities.release_environment, order),
        )
        if standing.forwards_until is not None and standing.old_mailbox_address is not None:
            await watch_mailbox(
                m.MailboxForwardingInput(
                    transfer_id=self._order.transfer_id,
                    old_mailbox_address=standing.old_mailbox_address,
                    forward_until=standing.forwards_until,
                )
            )
        for kind in (MailKind.RELEASED, MailKind.INVITATION):
            if kind not in standing.mails_answered:
                self._mail.send(kind)

    @workflow.signal(dynamic=True, description="Nothing is decided any more: what comes is refused and recorded.")
    async def too_late(self, name: str, args: Sequence[RawValue]) -> None:  # noqa: ARG002 - whatever it says
        """Refuse every signal, as a transfer does that is past its moment."""
        if name == "explain_cancel":  # the cancel itself comes next, and is refused by its own name
            return
        await self._refuse_late(name)

    @workflow.update(dynamic=True, description="Nothing is decided any more: what comes is refused and recorded.")
    async def too_late_to_ask(self, name: str, args: Sequence[RawValue]) -> None:  # noqa: ARG002 - whatever it says
        """Refuse every update: the caller would otherwise hear that there is no such thing.

        Raises:
            ApplicationError: Always: it is the wrong moment.
        """
        await self._refuse_late(name)
        raise refusal(WrongMoment())

    async def _refuse_late(self, name: str) -> None:
        grow(REFUSED)
        if await self._has_order():
            await self._log.refuse(name, "", f"the transfer is {self._progress.state.value} and is being recovered")


async def watch_mailbox(order: m.MailboxForwardingInput) -> bool:
    """Start the workflow that closes an old address, with the time that is left; return whether it was not running."""
    try:
        await workflow.start_child_workflow(
            MailboxForwardingWorkflow.run,
            order,
            id=mailbox_workflow_id_of(order.transfer_id),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"the old mailbox address works until {order.forward_until:%Y-%m-%d}",
        )
    except WorkflowAlreadyStartedError:
        return False
    return True


def go_on_as_a_recovery(progress: TransferProgress, requested_by: str) -> None:
    """End a run that was reset to before its transfer's end; its recovery asks the database where that stands."""
    workflow.continue_as_new(
        RecoverTransfer(
            transfer_id=progress.transfer_id,
            environment_id=progress.environment_id,
            requested_by=requested_by,
            why="its workflow was reset to before that",
        ),
        workflow=RecoveryWorkflow.run,
    )
