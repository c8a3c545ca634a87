"""Moving a customer environment: the manual's story as a durable workflow.

Read `run` first. Each verb is a step of `domain.steps.STEPS`; whatever fails before the release is undone completely,
after it work only goes forward.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, FailureError

from activities.freeze_release import FreezeReleaseActivities
from activities.tickets import TicketActivities, UploadActivities
from domain import messages as m
from domain.errors import (
    AlreadyReleased,
    InputMalformed,
    NotItsTransfer,
    SomethingLeft,
    TicketExpired,
    TicketRevoked,
    TicketUsed,
    WrongMoment,
)
from domain.events import EventKind
from domain.naming import workflow_id_of
from domain.reconciliation import RecoverTransfer
from domain.steps import StepName, StepState
from domain.vocabulary import MailKind, TransferState, UndoReason
from domain.window import reminders_since
from workflows.activity_calls import failed_with, perform_step
from workflows.certification import Certification
from workflows.evening import EveningMove
from workflows.event_log import TransferLog
from workflows.inbox import Inbox
from workflows.mail import MailDispatcher
from workflows.progress import TransferProgress
from workflows.recovery import RecoveryWorkflow, watch_mailbox
from workflows.refusals import answer_for, asked, refusal
from workflows.renewal import HistoryLong
from workflows.saga import Saga, Undo
from workflows.waiting import wait_and_remind

_Message = TypeVar("_Message", bound=m.Message)


@workflow.defn
class TransferWorkflow:
    """Moves one customer environment from one licence to another."""

    @workflow.init
    def __init__(self, *given: Any) -> None:  # noqa: ARG002 - `run` reads it
        self._inbox = Inbox(self._refuse, self._deliver, self._show)
        self._has_begun = False
        self._set_up(m.ResumedTransfer(transfer_id=UUID(int=0), environment_id=UUID(int=0)))
        self._turned_back: Undo | None = None

    def _set_up(self, order: m.ResumedTransfer) -> None:
        self._order = order
        self._transfer_id = order.transfer_id or workflow.uuid4()
        self._progress = TransferProgress(
            self._transfer_id, runbook_url=order.runbook_url, timezone=order.timezone, notes=lambda: self._inbox.waiting
        )
        self._log = TransferLog(self._progress)
        self._saga = Saga(self._progress, order.environment_id, self._log)
        self._mail = MailDispatcher(self._progress)
        self._certification = Certification(self._progress)
        self._evening = EveningMove(self._progress, self._saga, self._certification)
        self._uploading = asyncio.Lock()
        self._ticket: m.TicketIssued | None = None
        self._reservation: m.ReservationMade | None = None
        self._decision: m.Release | m.Reject | None = None
        self._releasing: m.Release | None = None
        self._reminding_since: datetime | None = None
        self._lost = False
        self._cancel: m.ExplainCancel | None = None

    @workflow.run
    async def run(self, *given: Any) -> m.TransferResult:
        """Freeze, ticket, await upload, sleep until 22:00, clone and compare, notify, await the release, release."""
        try:
            await self._begin(given)
            try:
                self._go_on_turning_back()
                await self._freeze()
                await self._issue_ticket()
                await self._wait_for_upload()
                await self._evening.sleep_until_it_begins()
                while why := await self._evening.move_before_the_window_closes():
                    await self._evening.plan_another(why)
                    await self._evening.sleep_until_it_begins()
                self._notify()
                release = await self._wait_for_release()
            except (Undo, asyncio.CancelledError, FailureError) as error:
                await self._saga.run_uncancellable(self._undo(Undo.because_of(error, self._cancel)))
            else:
                await self._saga.run_uncancellable(self._release(release))
            await self._saga.run_uncancellable(self._finish_open_ends())
        except HistoryLong:
            self._go_on_in_a_new_run()
        if self._lost:
            self._let_it_be_recovered()
        return self._result()

    # --- the steps ---------------------------------------------------------------------------------------------

    async def _freeze(self) -> None:
        """The manual: "Alle administraties binnen deze klantomgeving krijgen het kenmerk alleen-lezen"."""
        if self._progress.is_done(StepName.FREEZE):  # in an earlier run
            return
        self._progress.enter(TransferState.PREPARING)
        with self._saga.step(StepName.FREEZE):
            frozen = await perform_step(
                FreezeReleaseActivities.freeze_environment,
                m.FreezeEnvironment(
                    transfer_id=self._transfer_id,
                    environment_id=self._order.environment_id,
                    workflow_id=workflow.info().workflow_id,
                    requested_by=self._order.requested_by,
                ),
            )
            self._progress.old = frozen.environment
            self._progress.detail(
                StepName.FREEZE, f"{frozen.administrations} administrations, {frozen.tables} tables fenced"
            )
        self._certification.start_hashing()

    async def _issue_ticket(self) -> None:
        """The manual: "SB slaat een bestand met de naam url-overdracht-ticket.avr op"."""
        if self._progress.is_done(StepName.TICKET):  # in an earlier run
            return
        with self._saga.step(StepName.TICKET):
            ticket = await perform_step(
                TicketActivities.issue_ticket,
                m.IssueTicket(
                    transfer_id=self._transfer_id, issued_at=workflow.now(), for_licence=self._order.for_licence
                ),
            )
            self._ticket = ticket
            self._progress.ticket_expires_at = ticket.expires_at
            self._progress.detail(StepName.TICKET, ticket.file_name)
        self._mail.send(MailKind.TICKET_ISSUED)

    async def _wait_for_upload(self) -> None:
        """The manual: "Deze acties moeten worden uitgevoerd door het nieuwe accountants- of administratiekantoor"."""
        ticket = self._ticket
        if ticket is None:
            raise AssertionError("the ticket comes before the wait")
        if self._progress.is_done(StepName.AWAIT_UPLOAD):  # in an earlier run
            return
        with self._saga.step(StepName.AWAIT_UPLOAD):
            if self._progress.state is not TransferState.AWAITING_UPLOAD:
                self._progress.enter(TransferState.AWAITING_UPLOAD)
            try:
                await wait_and_remind(
                    lambda: self._reservation is not None or self._certification.has_refused,
                    ticket.remind_at,
                    lambda: self._mail.send(MailKind.TICKET_REMINDER),
                    at_most=ticket.expires_at,
                    summary="the ticket expires",
                )
            except TimeoutError:
                async with self._uploading:  # an upload that came in time may still be on its way to the database
                    if self._reservation is None:
                        raise Undo(UndoReason.EXPIRED, TicketExpired.default_english()) from None
            await self._certification.raise_refusal()

    def _notify(self) -> None:
        """The manual: "Je ontvangt een e-mail zodra de nieuwe klantomgeving gereed is"."""
        if self._progress.state is not TransferState.AWAITING_RELEASE:
            self._progress.enter(TransferState.AWAITING_RELEASE)
            self._mail.send(MailKind.READY, step=StepName.NOTIFY)

    async def _wait_for_release(self) -> m.Release:
        """The manual: "Deze omgeving moet nog worden vrijgegeven voordat je in de administraties kunt werken"."""
        if self._releasing is not None:  # an earlier run has decided
            return self._releasing
        with self._progress.step(StepName.AWAIT_RELEASE):
            while True:
                release = await self._released()
                if not (objection := await self._certification.check_before_release(release)):
                    return release
                self._decision = None  # whoever reads of the refusal may decide again at once
                await self._log.refuse("release", release.released_by, objection.why, objection.code)

    async def _released(self) -> m.Release:
        """Wait for a release, and remind of it; a reject turns the story back."""
        if self._evening.opened is None:
            raise AssertionError("the inspection comes before the wait")
        every = timedelta(seconds=self._evening.opened.remind_every_seconds)
        self._reminding_since = self._reminding_since or workflow.now()
        try:
            await wait_and_remind(
                lambda: self._decision is not None,
                reminders_since(self._reminding_since, every),
                lambda: self._mail.send(MailKind.RELEASE_REMINDER),
            )
        except asyncio.CancelledError:
            if not isinstance(self._decision, m.Release):
                raise
            # Release and cancel came together, and the release was first: it has won, and the story says so.
            await self._log.refuse("cancel", "", "the environment has just been released")
        if isinstance(self._decision, m.Reject):
            raise Undo(UndoReason.REJECTED, self._decision.reason, self._decision.rejected_by)
        if self._decision is None:
            raise AssertionError("the wait ends with a decision")
        return self._decision

    async def _release(self, release: m.Release) -> None:
        """The manual: "Als alle controles zijn gedaan". Forward only from here."""
        self._releasing = release
        self._progress.mark(StepName.RELEASE, StepState.RUNNING)
        order = m.ReleaseEnvironment(
            transfer_id=self._transfer_id,
            released_by=release.released_by,
            note=release.note,
            released_at=workflow.now(),
        )
        released = await self._saga.until_it_works(
            StepName.RELEASE,
            lambda: perform_step(FreezeReleaseActivities.release_environment, order),
        )
        self._progress.enter(TransferState.RELEASED)
        self._progress.mark(StepName.RELEASE, StepState.DONE, f"{released.users_invited} users invited again")
        await watch_mailbox(
            m.MailboxForwardingInput(
                transfer_id=self._transfer_id,
                old_mailbox_address=released.old_mailbox_address,
                forward_until=released.forward_until,
                runbook_url=self._order.runbook_url,
            )
        )
        self._mail.send(MailKind.RELEASED)
        self._mail.send(MailKind.INVITATION)

    # --- signals, update, query --------------------------------------------------------------------------------

    @workflow.update(description="The new side uploads the ticket with the licence, a unique name and url.")
    async def upload(self, *given: Any) -> m.UploadAccepted:
        """Take an upload, or refuse it with a reason and go on waiting.

        Raises:
            ApplicationError: The refusal: its type is the error's code, its details the English and Dutch sentences.
        """
        upload = asked(given, m.Upload)
        # The moment of acceptance decides which evening it will be, however long the database takes.
        accepted_at = workflow.now()
        async with self._uploading:
            self._require_open_for_upload()
            new_environment_id = workflow.uuid4()
            try:
                reservation = await perform_step(
                    UploadActivities.accept_upload,
                    m.AcceptUpload(
                        transfer_id=self._transfer_id,
                        upload=upload,
                        accepted_at=accepted_at,
                        new_environment_id=new_environment_id,
                    ),
                )
            except ActivityError as error:
                raise answer_for(error) from error
            self._require_open_for_upload()  # it may have been cancelled meanwhile; then the reservation is let go
            self._reservation = reservation
            self._progress.new = reservation.new
            self._progress.scenario = reservation.accepted.scenario
            self._evening.plan(reservation.accepted.starts_at, reservation.closes_at)
            self._mail.send(MailKind.UPLOAD_ACCEPTED)
            return reservation.accepted

    @upload.validator
    def _check_upload(self, *given: Any) -> None:
        asked(given, m.Upload)  # the content is the database's to judge
        self._require_open_for_upload()

    @workflow.signal(
        description='Do not wait for 22:00: clone now. {"requested_by": "<name>"}. Only while it is scheduled.'
    )
    async def start_now(self, *given: Any) -> None:
        """Skip the wait for the evening."""
        if (signal := await self._received("start_now", given, m.StartNow)) is None:
            return
        if self._progress.state is not TransferState.SCHEDULED or self._evening.asked_for is not None:
            await self._log.refuse("start_now", signal.requested_by, f"the transfer is {self._progress.state.value}")
        elif not signal.requested_by.strip():
            await self._log.refuse("start_now", "", "requested_by is missing")
        else:
            self._evening.asked_for = signal
            self._progress.detail(StepName.WAIT_FOR_EVENING, f"started early by {signal.requested_by}")
            await self._log.record(signal.requested_by, EventKind.START_NOW)

    @workflow.update(
        description='Move on another evening. {"evening": "2026-12-01", "requested_by": "<name>", "reason": "<why>"}. '
        "Only while it is scheduled."
    )
    async def reschedule(self, *given: Any) -> m.StartPlanned:
        """Wait for another evening, or refuse it with a reason and go on waiting for the one that is planned.

        Raises:
            ApplicationError: The refusal: its type is the error's code, its details the English and Dutch sentences.
        """
        try:
            planned = await self._evening.reschedule(asked(given, m.Reschedule))
        except ActivityError as error:
            raise answer_for(error) from error
        if planned is None:
            raise refusal(WrongMoment())
        self._mail.send(MailKind.UPLOAD_ACCEPTED)  # it tells both sides when the move starts
        return planned

    @reschedule.validator
    def _check_reschedule(self, *given: Any) -> None:
        order = asked(given, m.Reschedule)
        if not self._evening.is_awaited:
            raise refusal(WrongMoment())
        if not order.requested_by.strip():
            raise refusal(WrongMoment("requested_by is missing. Say who asks."))

    @workflow.signal(
        description='Open the new environment for good. {"released_by": "<name>", "note": ""}. '
        "Only while it awaits the release; there is no way back."
    )
    async def release(self, *given: Any) -> None:
        """Decide that the new environment is opened."""
        if (signal := await self._received("release", given, m.Release)) is not None:
            await self._decide("release", signal.released_by, "released_by", signal)

    @workflow.signal(
        description='Undo the transfer after comparing. {"rejected_by": "<name>", "reason": "<why>"}. '
        "Only while it awaits the release."
    )
    async def reject(self, *given: Any) -> None:
        """Decide that everything is undone."""
        if (signal := await self._received("reject", given, m.Reject)) is not None:
            await self._decide("reject", signal.rejected_by, "rejected_by", signal)

    @workflow.signal(
        description='Say why the cancel that you send next comes. {"requested_by": "<name>", "reason": "<why>"}. '
        "It changes nothing by itself."
    )
    async def explain_cancel(self, *given: Any) -> None:
        """Take note of why a cancel comes, where only those who hold the keys can read it."""
        if (signal := await self._received("explain_cancel", given, m.ExplainCancel)) is not None:
            self._cancel = signal

    @workflow.signal(description="Not for people: another move of the environment begins, and only mail is left here.")
    async def make_way(self, *given: Any) -> None:  # noqa: ARG002 - whatever it says
        """Give up the news of an undo that does not get out: whoever begins another move knows of it."""
        await self._mail.make_way(self._log)

    @workflow.signal(description="Not for people: the work of a step tells how far it is, for the page of details.")
    async def step_seen(self, *given: Any) -> None:
        """Show it; nothing depends on it."""
        if (seen := await self._received("step_seen", given, m.StepSeen)) is not None:
            self._progress.seen(seen)

    @workflow.signal(dynamic=True, description="Not for anybody: what has no handler is refused and recorded.")
    async def unknown(self, name: str, args: Sequence[RawValue]) -> None:  # noqa: ARG002 - whatever it says
        """Refuse a signal that nobody knows."""
        await self._until_begun()
        await self._log.refuse(name, "", "there is no such signal", InputMalformed.code())

    @workflow.update(
        description='Send one kind of mail again, to those it did not reach or to one other address ("to"). '
        '{"kind": "ready", "requested_by": "<name>"}.'
    )
    async def resend_mail(self, *given: Any) -> m.MailSent:
        """Send a mail again and answer with what could not be delivered."""
        order = asked(given, m.ResendMail)
        await self._log.record(order.requested_by or "unknown", EventKind.MAIL_RESEND_REQUESTED, order.kind.value)
        try:
            return await self._mail.resend(order)
        except ActivityError as error:
            raise answer_for(error) from error

    @resend_mail.validator
    def _check_resend_mail(self, *given: Any) -> None:
        asked(given, m.ResendMail)
        if not self._has_begun:
            raise refusal(WrongMoment())

    @workflow.query(description="Where the transfer stands, what it waits for and what came before.")
    def status(self, *given: Any) -> m.TransferStatus:  # noqa: ARG002 - whatever is asked, this is the answer
        """Return everything there is to know."""
        return self._progress.status()

    # --- how it is done ----------------------------------------------------------------------------------------

    async def _begin(self, given: tuple[Any, ...]) -> None:
        """Read what this run was given, and go on where an earlier one stopped.

        Raises:
            ApplicationError: It is no order to move an environment, or this is not the workflow that carries it out.
            Undo: An earlier run had turned back.
        """
        try:
            order = await self._inbox.start(given, m.ResumedTransfer)
        except InputMalformed as error:
            raise refusal(error) from error
        if workflow.info().workflow_id != workflow_id_of(order.environment_id):
            raise refusal(NotItsTransfer())
        self._set_up(order)
        self._has_begun = True
        if order.memory is not None:
            self._resume(order.memory)

    def _resume(self, memory: m.TransferMemory) -> None:
        self._progress.resume(memory.status)
        self._log.counted = memory.refusals_counted
        self._ticket, self._reservation, self._cancel = memory.ticket, memory.reservation, memory.cancel
        self._releasing, self._reminding_since = memory.release, memory.reminding_since
        self._evening.resume(memory)
        for step in memory.to_undo:
            self._saga.will_undo(step)
        self._mail.resume(memory.mails, memory.pending_mails)
        for signal in memory.unread:
            self._inbox.wait_for_key(signal)
        status = memory.status
        if status.state is TransferState.UNDOING and status.undo_reason is not None:
            self._turned_back = Undo(
                status.undo_reason, status.undo_detail, memory.undo_requested_by, code=status.undo_code
            )
        elif not self._progress.is_done(StepName.HASH):
            self._certification.start_hashing()

    def _go_on_in_a_new_run(self) -> None:
        """End this run, whose history has become long, with everything that it knows."""
        mails, pending = self._mail.remember()
        memory = m.TransferMemory(
            status=self._progress.status(),
            ticket=self._ticket,
            reservation=self._reservation,
            evening=self._evening.number,
            cloned=self._evening.cloned,
            verified=self._evening.verified,
            opened=self._evening.opened,
            reminding_since=self._reminding_since,
            mails=mails,
            pending_mails=pending,
            to_undo=self._saga.to_undo,
            cancel=self._cancel,
            undo_requested_by=self._saga.undo_requested_by,
            release=self._releasing,
            refusals_counted=self._log.counted,
            unread=self._inbox.unread,
        )
        order = self._order.model_copy(update={"transfer_id": self._transfer_id, "memory": memory})
        workflow.continue_as_new(order)

    def _go_on_turning_back(self) -> None:
        """Raise what an earlier run had begun to undo, if it had."""
        if self._turned_back is not None:
            raise self._turned_back

    async def _refuse(self, what: str, actor: str, why: str, code: str) -> None:
        await self._log.refuse(what, actor, why, code)

    async def _deliver(self, name: str, value: Any) -> None:
        await getattr(self, name)(value)

    def _show(self) -> None:
        self._progress.show()

    async def _until_begun(self) -> None:
        if not self._has_begun:
            await workflow.wait_condition(lambda: self._has_begun)

    async def _received(self, name: str, given: tuple[Any, ...], kind: type[_Message]) -> _Message | None:
        """Return what a signal says, or nothing: it is refused then, and written down."""
        await self._until_begun()
        return await self._inbox.signal(name, given, kind)

    async def _undo(self, undo: Undo) -> None:
        """Undo everything, then tell those who were told."""
        self._certification.stop_hashing()
        self._mail.recall()
        refusing = asyncio.create_task(self._refuse_the_loser(undo))
        try:
            await self._saga.undo(undo, unless=(AlreadyReleased, SomethingLeft, NotItsTransfer))
        except ActivityError as error:
            if failed_with(error, NotItsTransfer):
                raise refusal(NotItsTransfer()) from error
            self._lost = True
        else:
            self._mail.send(MailKind.UNDONE)
        await refusing

    def _let_it_be_recovered(self) -> None:
        """Go on as a recovery, which asks the database where the transfer stands: this run was reset to before that."""
        workflow.continue_as_new(
            RecoverTransfer(
                transfer_id=self._transfer_id,
                environment_id=self._order.environment_id,
                requested_by=self._order.requested_by,
                why="its workflow was reset to before that",
            ),
            workflow=RecoveryWorkflow.run,
        )

    async def _refuse_the_loser(self, undo: Undo) -> None:
        """Tell whoever had decided at the same moment that something else came first: a signal has no answer."""
        why = f"the transfer is being undone: {undo.reason.value}"
        if isinstance(self._decision, m.Release):
            await self._log.refuse("release", self._decision.released_by, why)
        elif isinstance(self._decision, m.Reject) and undo.reason is not UndoReason.REJECTED:
            await self._log.refuse("reject", self._decision.rejected_by, why)

    async def _decide(self, kind: str, actor: str, field: str, signal: m.Release | m.Reject) -> None:
        """Take the first decision while the transfer awaits one; refuse and record every other."""
        if self._progress.state is not TransferState.AWAITING_RELEASE:
            await self._log.refuse(kind, actor, f"the transfer is {self._progress.state.value}")
        elif self._decision == signal:
            return  # sent once more by somebody who got no answer: it is being carried out
        elif self._decision is not None:
            taken = "is being released" if isinstance(self._decision, m.Release) else "has already been rejected"
            await self._log.refuse(kind, actor, f"the transfer {taken}")
        elif not actor.strip():
            await self._log.refuse(kind, "", f"{field} is missing")
        else:
            self._decision = signal

    async def _finish_open_ends(self) -> None:
        """Let mail and callers get their answers before the workflow closes."""
        await self._mail.finish()
        self._log.counted += len(self._inbox.unread)
        await self._log.tell_counted()
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _require_open_for_upload(self) -> None:
        """Refuse an upload that is too early, too late or the second one.

        Raises:
            ApplicationError: The refusal.
        """
        state = self._progress.state
        if state is TransferState.AWAITING_UPLOAD and self._reservation is None:
            return
        if state in (TransferState.UNDOING, TransferState.UNDONE, TransferState.PREPARING):
            raise refusal(TicketRevoked())
        raise refusal(TicketUsed())

    def _result(self) -> m.TransferResult:
        progress = self._progress
        return m.TransferResult(
            transfer_id=self._transfer_id,
            state=progress.state,
            scenario=progress.scenario,
            undo_reason=progress.undo_reason,
            undo_detail=progress.undo_detail,
            old_environment_id=self._order.environment_id,
            new_environment_id=progress.new.environment_id if progress.new else None,
            new_url=progress.new.url if progress.new else None,
            tables=self._evening.verified.tables if self._evening.verified else 0,
            rows=self._evening.verified.rows if self._evening.verified else 0,
            mismatches=len(self._evening.verified.differences) if self._evening.verified else 0,
            clone_seconds=self._evening.cloned.seconds if self._evening.cloned else 0.0,
            verify_seconds=self._evening.verified.seconds if self._evening.verified else 0.0,
        )
