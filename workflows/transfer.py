"""Moving a customer environment: the manual's story as a durable workflow.

Read `run` first. Each verb is a step of `domain.steps.STEPS`; whatever fails before the release is undone completely,
after it work only goes forward.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid5

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, FailureError

from activities.freeze_release import FreezeReleaseActivities
from activities.tickets import TicketActivities
from domain import messages as m
from domain.errors import AlreadyReleased, InputMalformed, NotItsTransfer, SomethingLeft, WrongMoment
from domain.events import EventKind
from domain.steps import StepName, StepState
from domain.vocabulary import MailKind, TransferState
from workflows.activity_calls import failed_with, perform_step
from workflows.certification import Certification
from workflows.decision import ReleaseDecision
from workflows.environment_workflow import EnvironmentWorkflow
from workflows.evening import EveningMove
from workflows.evening_steps import EveningSteps
from workflows.outcome import closed_with
from workflows.progress import TransferProgress
from workflows.recovery import go_on_as_a_recovery, watch_mailbox
from workflows.refusals import answer_for, asked, refusal
from workflows.renewal import REFUSED, HistoryLong, grow
from workflows.saga import Undo
from workflows.upload import AwaitedUpload

# How often a run looks in each state: each time costs its history six events, and anybody can ask without end.
_LOOKS: Final = 5


@workflow.defn
class TransferWorkflow(EnvironmentWorkflow):
    """Moves one customer environment from one licence to another."""

    def __init__(self) -> None:
        super().__init__()
        self._order: m.ResumedTransfer
        self._cancel: m.ExplainCancel | None = None
        self._looked: Counter[TransferState] = Counter()
        self._lost = self._foreign = False
        self._running: asyncio.Task[Any] | None = None

    def _arrange(self, progress: TransferProgress) -> None:
        super()._arrange(progress)
        self._certification = Certification(progress)
        self._evening_steps = EveningSteps(progress, self._saga, self._certification)
        self._evening = EveningMove(progress, self._evening_steps, self._certification, self._mail)
        self._upload = AwaitedUpload(progress, self._evening, self._certification, self._mail)
        self._decision = ReleaseDecision(progress, self._certification, self._mail, self._log)
        # The last one may turn back at once.
        self._parts = (
            *(progress, self._log, self._inbox, self._mail, self._upload, self._evening, self._evening_steps),
            *(self._decision, self._saga),
        )

    @workflow.run
    async def run(self, *given: Any) -> m.TransferResult:
        """Freeze, ticket, await upload, sleep until 22:00, clone and compare, notify, await the release, release."""
        await self._begin(given)
        self._running = asyncio.current_task()
        try:
            try:
                self._go_on_where_an_earlier_run_stopped()
                await self._freeze()
                await self._issue_ticket()
                await self._wait_for_upload()
                await self._evening.sleep_until_it_begins()
                while why := await self._evening.move_before_the_window_closes():
                    await self._evening.plan_another(why)
                    await self._evening.sleep_until_it_begins()
                self._notify()
                release = await self._decision.release(self._evening_steps.remind_every)
            except (Undo, asyncio.CancelledError, FailureError) as error:
                rest = self._undo(error)
            else:
                rest = self._release(release)
            self._running = None  # the rest is not to be stopped
            await self._saga.run_uncancellable(rest)
            await self._saga.run_uncancellable(self._finish_open_ends())
        except HistoryLong:
            self._go_on_in_a_new_run()
        if self._foreign:
            raise refusal(NotItsTransfer())
        if self._lost:
            go_on_as_a_recovery(self._progress, self._order.requested_by)
        return closed_with(self._progress.result(self._evening_steps.cloned, self._evening_steps.verified))

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
                    transfer_id=self._progress.transfer_id,
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
            ticket = self._upload.ticket = await perform_step(
                TicketActivities.issue_ticket,
                m.IssueTicket(
                    transfer_id=self._progress.transfer_id,
                    issued_at=workflow.now(),
                    for_licence=self._order.for_licence,
                ),
            )
            self._progress.ticket_expires_at = ticket.expires_at
            self._progress.detail(StepName.TICKET, ticket.file_name)
        self._mail.send(MailKind.TICKET_ISSUED)

    async def _wait_for_upload(self) -> None:
        """The manual: "Deze acties moeten worden uitgevoerd door het nieuwe accountants- of administratiekantoor"."""
        if self._progress.is_done(StepName.AWAIT_UPLOAD):  # in an earlier run
            return
        with self._saga.step(StepName.AWAIT_UPLOAD):
            await self._upload.come()

    def _notify(self) -> None:
        """The manual: "Je ontvangt een e-mail zodra de nieuwe klantomgeving gereed is"."""
        if self._progress.state is not TransferState.AWAITING_RELEASE:
            self._progress.enter(TransferState.AWAITING_RELEASE)
            self._mail.send(MailKind.READY, step=StepName.NOTIFY)

    async def _release(self, release: m.Release) -> None:
        """The manual: "Als alle controles zijn gedaan". Forward only from here."""
        self._decision.carried_out = release
        self._progress.mark(StepName.RELEASE, StepState.RUNNING)
        order = m.ReleaseEnvironment(
            transfer_id=self._progress.transfer_id,
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
                transfer_id=self._progress.transfer_id,
                old_mailbox_address=released.old_mailbox_address,
                forward_until=released.forward_until,
                runbook_url=self._order.runbook_url,
            )
        )
        self._mail.send(MailKind.RELEASED)
        self._mail.send(MailKind.INVITATION)

    async def _undo(self, error: BaseException) -> None:
        """Undo everything, then tell those who were told."""
        self._certification.stop_hashing()
        self._mail.recall()
        if self._lost or failed_with(error, AlreadyReleased):
            self._lost = True
            self._upload.give_up()
            return
        undo = Undo.because_of(error, self._cancel)
        refusing = asyncio.create_task(self._decision.refuse_the_loser(undo))
        try:
            await self._saga.undo(undo, unless=(AlreadyReleased, SomethingLeft, NotItsTransfer))
        except ActivityError as failure:
            self._foreign = failed_with(failure, NotItsTransfer)
            self._lost = not self._foreign
        else:
            self._mail.send(MailKind.UNDONE)
        await refusing

    # --- signals and updates -----------------------------------------------------------------------------------

    @workflow.update(description="The new side uploads the ticket with the licence, a unique name and url.")
    async def upload(self, *given: Any) -> m.UploadAccepted:
        """Take an upload, or refuse it with a reason and go on waiting.

        Raises:
            ApplicationError: The refusal: its type is the error's code, its details the English and Dutch sentences.
        """
        upload = asked(given, m.Upload)
        await self._require_order()
        try:
            return await self._upload.take(upload)
        except ActivityError as error:
            self._notice(error)
            raise answer_for(error) from error

    @upload.validator
    def _check_upload(self, *given: Any) -> None:
        asked(given, m.Upload)  # the content is the database's to judge
        self._upload.require_possible()

    @workflow.signal(
        description='Do not wait for 22:00: clone now. {"requested_by": "<name>"}. Only while it is scheduled.'
    )
    async def start_now(self, *given: Any) -> None:
        """Skip the wait for the evening."""
        if (signal := await self._received("start_now", given, m.StartNow)) is None:
            return
        await self._catch_up(TransferState.AWAITING_UPLOAD)
        if not self._evening.is_awaited:
            await self._log.refuse("start_now", signal.requested_by, f"the transfer is {self._progress.state.value}")
        elif not signal.requested_by.strip():
            await self._log.refuse("start_now", "", "requested_by is missing")
        else:
            self._evening.start_now(signal)
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
        return planned

    @reschedule.validator
    def _check_reschedule(self, *given: Any) -> None:
        order = asked(given, m.Reschedule)
        if not self._evening.is_awaited:
            raise refusal(WrongMoment())
        if not order.requested_by.strip():
            raise refusal(WrongMoment("requested_by is missing. Say who asks."))

    @workflow.update(
        description='Correct what was uploaded. {"name": "<name>", "url_part": "<url>", "login_email": "<address>", '
        '"requested_by": "<name>", "reason": "<why>"}; what is left out stays. Only while it is scheduled.'
    )
    async def correct_upload(self, *given: Any) -> m.UploadAccepted:
        """Take another name, url part or login e-mail, or refuse it with a reason and keep those there are.

        Raises:
            ApplicationError: The refusal: its type is the error's code, its details the English and Dutch sentences.
        """
        try:
            corrected = await self._upload.correct(asked(given, m.CorrectUpload))
        except ActivityError as error:
            raise answer_for(error) from error
        if corrected is None:
            raise refusal(WrongMoment())
        return corrected

    @correct_upload.validator
    def _check_correct_upload(self, *given: Any) -> None:
        order = asked(given, m.CorrectUpload)
        if not self._evening.is_awaited:
            raise refusal(WrongMoment())
        if not order.requested_by.strip():
            raise refusal(WrongMoment("requested_by is missing. Say who asks."))

    @workflow.update(
        description="Let it go before all others that wait for a place. "
        '{"requested_by": "<name>", "reason": "<why>"}. Before its release.'
    )
    async def hurry(self, *given: Any) -> None:
        """Go first from now on; what waits already keeps its place."""
        order = asked(given, m.Hurry)
        await self._require_order()
        self._evening.hurry()
        await self._log.record(order.requested_by, EventKind.HURRIED, order.reason)

    @hurry.validator
    def _check_hurry(self, *given: Any) -> None:
        order = asked(given, m.Hurry)
        if not order.requested_by.strip():
            raise refusal(WrongMoment("requested_by is missing. Say who asks."))
        if self._progress.state in (TransferState.UNDOING, TransferState.UNDONE, TransferState.RELEASED):
            raise refusal(WrongMoment())

    @workflow.signal(
        description='Open the new environment for good. {"released_by": "<name>", "note": ""}. '
        "Only while it awaits the release; there is no way back."
    )
    async def release(self, *given: Any) -> None:
        """Decide that the new environment is opened."""
        if (signal := await self._received("release", given, m.Release)) is not None:
            await self._catch_up(TransferState.AWAITING_UPLOAD, TransferState.SCHEDULED, TransferState.CLONING)
            await self._decision.take(signal)

    @workflow.signal(
        description='Undo the transfer after comparing. {"rejected_by": "<name>", "reason": "<why>"}. '
        "Only while it awaits the release."
    )
    async def reject(self, *given: Any) -> None:
        """Decide that everything is undone."""
        if (signal := await self._received("reject", given, m.Reject)) is not None:
            await self._catch_up(TransferState.AWAITING_UPLOAD, TransferState.SCHEDULED, TransferState.CLONING)
            await self._decision.take(signal)

    @workflow.signal(
        description='Say why the cancel that you send next comes. {"requested_by": "<name>", "reason": "<why>"}. '
        "It changes nothing by itself."
    )
    async def explain_cancel(self, *given: Any) -> None:
        """Take note of why a cancel comes, where only those who hold the keys can read it."""
        if (signal := await self._received("explain_cancel", given, m.ExplainCancel)) is not None:
            self._cancel = signal

    @workflow.signal(description="Not for people: the work of a step tells how far it is, for the page of details.")
    async def step_seen(self, *given: Any) -> None:
        """Show it; nothing depends on it."""
        if (seen := await self._received("step_seen", given, m.StepSeen)) is not None:
            self._progress.seen(seen)

    @workflow.signal(dynamic=True, description="Not for anybody: what has no handler is refused and recorded.")
    async def unknown(self, name: str, args: Sequence[RawValue]) -> None:  # noqa: ARG002 - whatever it says
        """Refuse a signal that nobody knows."""
        grow(REFUSED)
        if await self._has_order():
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

    # --- from one run to the next ------------------------------------------------------------------------------

    async def _begin(self, given: tuple[Any, ...]) -> None:
        order = self._order = await self._read_order(given, m.ResumedTransfer)
        if order.memory is not None and workflow.info().continued_run_id is None:
            # A copy of a run, or made up: what it says it knows has nobody seen.
            await self._turn_away(NotItsTransfer())
        # One that names no transfer is the same one after a reset too.
        transfer_id = order.transfer_id or uuid5(order.environment_id, workflow.info().first_execution_run_id)
        self._arrange(
            TransferProgress(
                transfer_id,
                order.environment_id,
                runbook_url=order.runbook_url,
                timezone=order.timezone,
                notes=lambda: self._inbox.waiting,
            )
        )
        self._has_begun = True

    async def _catch_up(self, *too_early: TransferState) -> None:
        """Look how far the transfer is before a decision is refused as too early.

        This run may have been reset, or not have heard yet of what whoever decides has read in the database.
        """
        for state in too_early:
            may_be_late = state is not TransferState.CLONING or self._certification.ends_the_evening
            if self._progress.state is state and may_be_late and self._looked[state] < _LOOKS:
                self._looked[state] += 1
                try:
                    await (self._upload if state is TransferState.AWAITING_UPLOAD else self._evening).catch_up()
                except ActivityError as error:
                    self._notice(error)

    def _notice(self, error: ActivityError) -> None:
        """Stop when the transfer turns out to be released: a recovery sees to what is left."""
        if failed_with(error, AlreadyReleased) and self._running is not None:
            self._lost = True
            self._running.cancel()
            self._running = None

    def _go_on_where_an_earlier_run_stopped(self) -> None:
        """Take over what it knew.

        Raises:
            Undo: It had turned back.
        """
        memory = self._order.memory
        if memory is None:
            return
        self._cancel = memory.cancel
        for part in self._parts:
            part.resume(memory)
        if not self._progress.is_done(StepName.HASH):
            self._certification.start_hashing()

    def _go_on_in_a_new_run(self) -> None:
        """End this run, whose history has become long, with everything that it knows."""
        known: dict[str, Any] = {"cancel": self._cancel}
        for part in self._parts:
            known |= part.remember()
        memory = m.TransferMemory(**known)
        transfer_id = self._progress.transfer_id
        workflow.continue_as_new(self._order.model_copy(update={"transfer_id": transfer_id, "memory": memory}))
