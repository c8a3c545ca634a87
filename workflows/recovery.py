"""Bringing a transfer to its end whose own workflow is gone: terminated, failed, timed out, or reset.

It takes the transfer's own workflow id, so that no other move of the environment can begin meanwhile.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError

from activities.event_log import EventLogActivities
from activities.freeze_release import FreezeReleaseActivities
from activities.reconcile import ReconcileActivities
from domain import messages as m
from domain.errors import AlreadyReleased, InputMalformed, NotItsTransfer, WrongMoment
from domain.events import EventKind
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.reconciliation import ReadStanding, RecoverTransfer, Standing
from domain.steps import STEPS, StepName
from domain.vocabulary import MailKind, TransferState, UndoReason
from workflows import policies
from workflows.activity_calls import perform, perform_step
from workflows.event_log import TransferLog
from workflows.inbox import Inbox
from workflows.mail import MailDispatcher
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.progress import TransferProgress
from workflows.refusals import refusal
from workflows.renewal import HistoryLong
from workflows.saga import Saga, Undo

WHY = "The transfer's workflow was stopped from outside, so the transfer could not go on."


@workflow.defn
class RecoveryWorkflow:
    """Undoes a transfer that was interrupted before its release, and finishes one that was interrupted after it."""

    @workflow.init
    def __init__(self, *given: Any) -> None:  # noqa: ARG002 - `run` reads it
        self._inbox = Inbox(self._refuse, self._deliver, self._show)
        self._set_up(RecoverTransfer(transfer_id=UUID(int=0), environment_id=UUID(int=0), requested_by=""))

    def _set_up(self, order: RecoverTransfer) -> None:
        self._order = order
        self._progress = TransferProgress(order.transfer_id, takes_signals=False, notes=lambda: self._inbox.waiting)
        self._log = TransferLog(self._progress)
        self._saga = Saga(self._progress, order.environment_id, self._log)
        self._mail = MailDispatcher(self._progress)

    @workflow.run
    async def run(self, *given: Any) -> m.TransferResult:
        """Look where it stands, then go back or forward until nothing is half done. A cancel changes nothing."""
        try:
            order = await self._inbox.start(given, RecoverTransfer)
        except InputMalformed as error:
            raise refusal(error) from error
        if workflow.info().workflow_id != workflow_id_of(order.environment_id):
            raise refusal(NotItsTransfer())
        self._set_up(order)
        try:
            await self._bring_to_its_end()
        except HistoryLong:
            workflow.continue_as_new(order)  # it looks anew where the transfer stands
        progress = self._progress
        return m.TransferResult(
            transfer_id=order.transfer_id,
            state=progress.state,
            scenario=progress.scenario,
            undo_reason=progress.undo_reason,
            undo_detail=progress.undo_detail,
            old_environment_id=order.environment_id,
            new_environment_id=progress.new.environment_id if progress.new else None,
            new_url=progress.new.url if progress.new else None,
        )

    async def _bring_to_its_end(self) -> None:
        await self._saga.run_uncancellable(self._recover())
        await self._saga.run_uncancellable(self._mail.finish())
        await self._log.tell_counted()
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.signal(description="Not for people: another move of the environment begins, and only mail is left here.")
    async def make_way(self, *given: Any) -> None:  # noqa: ARG002 - whatever it says
        """Give up the news of an undo that does not get out: whoever begins another move knows of it."""
        await self._mail.make_way(self._log)

    async def _refuse(self, what: str, actor: str, why: str, code: str) -> None:
        await self._log.refuse(what, actor, why, code)

    async def _deliver(self, name: str, value: Any) -> None:
        """Never asked for: a recovery reads no signal."""

    def _show(self) -> None:
        self._progress.show()

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
        await self._log.refuse(name, "", f"the transfer is {self._progress.state.value} and is being recovered")

    @workflow.update(dynamic=True, description="Nothing is decided any more: what comes is refused and recorded.")
    async def too_late_to_ask(self, name: str, args: Sequence[RawValue]) -> None:  # noqa: ARG002 - whatever it says
        """Refuse every update: the caller would otherwise hear that there is no such thing.

        Raises:
            ApplicationError: Always: it is the wrong moment.
        """
        await self._log.refuse(name, "", f"the transfer is {self._progress.state.value} and is being recovered")
        raise refusal(WrongMoment())

    @workflow.query(description="Where the transfer stands, and what it waits for.")
    def status(self, *given: Any) -> m.TransferStatus:  # noqa: ARG002 - whatever is asked, this is the answer
        """Return what a transfer returns, so that the same commands show it."""
        return self._progress.status()


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
