"""The ticket is out, and an upload is awaited: it is taken once, and found when it was made before a reset."""

import asyncio
from typing import Any
from uuid import uuid5

from temporalio import workflow

from activities.tickets import UploadActivities
from domain import messages as m
from domain.errors import TicketExpired, TicketRevoked, TicketUsed
from domain.vocabulary import MailKind, TransferState, UndoReason
from workflows import policies
from workflows.activity_calls import perform, perform_step
from workflows.certification import Certification
from workflows.evening import EveningMove
from workflows.mail import MailDispatcher
from workflows.progress import TransferProgress
from workflows.refusals import refusal
from workflows.saga import Undo
from workflows.waiting import wait_and_remind


class AwaitedUpload:
    """One transfer's upload."""

    def __init__(
        self, progress: TransferProgress, evening: EveningMove, certification: Certification, mail: MailDispatcher
    ) -> None:
        self._progress = progress
        self._certification = certification
        self._evening = evening
        self._mail = mail
        self._one_at_a_time = asyncio.Lock()
        self._reservation: m.ReservationMade | None = None
        self._given_up = False
        self.ticket: m.TicketIssued | None = None

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know."""
        return {"ticket": self.ticket, "reservation": self._reservation}

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        self.ticket, self._reservation = memory.ticket, memory.reservation

    async def come(self) -> None:
        """Wait for it, and remind the old side of it; one that was made before a reset is found.

        Raises:
            Undo: The ticket has expired.
            ActivityError: The environment cannot be moved; or it is released already, or being undone.
        """
        ticket = self.ticket
        if ticket is None:
            raise AssertionError("the ticket comes before the wait")
        if ticket.used:
            await self.catch_up()
        if self._progress.state is not TransferState.AWAITING_UPLOAD and self._reservation is None:
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
            await self.catch_up()  # one that came in time may still be on its way to the database
            if self._reservation is None:
                raise Undo(UndoReason.EXPIRED, TicketExpired.default_english()) from None
        await self._certification.raise_refusal()

    def require_possible(self) -> None:
        """Refuse an upload that is too late, or the second one.

        One that comes before the ticket is one that a reset gives again: it waits for the ticket.

        Raises:
            ApplicationError: The refusal.
        """
        if self._progress.state is not TransferState.PREPARING:
            self.require_open()

    async def take(self, upload: m.Upload) -> m.UploadAccepted:
        """Reserve what an upload asks for.

        Raises:
            ApplicationError, ActivityError: The refusal; the transfer goes on waiting.
        """
        # The moment of acceptance decides which evening it will be, however long the database takes.
        accepted_at = workflow.now()
        await workflow.wait_condition(lambda: self._given_up or self._progress.state is not TransferState.PREPARING)
        async with self._one_at_a_time:
            self.require_open()
            transfer_id = self._progress.transfer_id
            reservation = await perform_step(
                UploadActivities.accept_upload,
                m.AcceptUpload(
                    transfer_id=transfer_id,
                    upload=upload,
                    accepted_at=accepted_at,
                    # A reset gives the same upload again, and gets the same answer.
                    new_environment_id=uuid5(transfer_id, upload.sealed_ticket),
                ),
            )
            self.require_open()  # it may have been cancelled meanwhile; then the reservation is let go
            self._hold(reservation)
            return reservation.accepted

    async def correct(self, order: m.CorrectUpload) -> m.UploadAccepted | None:
        """Reserve what a correction asks for instead, or return None: there is no wait, or it is over.

        Raises:
            ActivityError: It is refused, or the transfer turned back meanwhile.
        """
        event_key = workflow.uuid4()
        async with self._evening.planning:
            if not self._evening.is_awaited:
                return None
            reservation = await perform(
                UploadActivities.correct_upload,
                m.CorrectReservation(
                    transfer_id=self._progress.transfer_id,
                    evening=self._evening.number,
                    correction=order,
                    event_key=event_key,
                ),
                policies.STEP,
                "reserve what was corrected",
            )
            if self._progress.state is not TransferState.SCHEDULED:  # it was cancelled meanwhile
                return None
            self._reservation = reservation
            self._progress.new = reservation.new
            self._progress.show()
            self._mail.send_once_settled(MailKind.UPLOAD_ACCEPTED)  # it tells both sides what was uploaded
            return reservation.accepted

    def require_open(self) -> None:
        """Refuse an upload unless one is awaited.

        Raises:
            ApplicationError: The refusal.
        """
        state = self._progress.state
        if state is TransferState.AWAITING_UPLOAD and self._reservation is None:
            return
        if state in (TransferState.UNDOING, TransferState.UNDONE):
            raise refusal(TicketRevoked())
        raise refusal(TicketUsed())

    def give_up(self) -> None:
        """Refuse what waits for the ticket: there will be none, for the transfer has ended long ago."""
        self._given_up = True

    async def catch_up(self) -> None:
        """Look whether there was an upload: this run may have been reset to before it.

        Raises:
            ActivityError: The transfer is released already, or being undone.
        """
        async with self._one_at_a_time:
            if self._reservation is None and (found := await self._evening.look()) is not None:
                self._hold(found)

    def _hold(self, reservation: m.ReservationMade) -> None:
        self._reservation = reservation
        self._progress.new = reservation.new
        self._progress.scenario = reservation.accepted.scenario
        self._evening.go_on_with(reservation)
        self._mail.send(MailKind.UPLOAD_ACCEPTED)
