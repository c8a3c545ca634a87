"""Issuing and revoking tickets; taking an upload and letting its reservation go."""

from temporalio import activity

from activities.caller import sent_by
from domain import messages as m
from domain.ports import Reservations, TicketIssuer
from domain.steps import ActivityName


class TicketActivities:
    """Issues and revokes the right to take over an environment."""

    def __init__(self, office: TicketIssuer) -> None:
        self._office = office

    @activity.defn(name=ActivityName.ISSUE_TICKET)
    async def issue_ticket(self, order: m.IssueTicket) -> m.TicketIssued:
        return await self._office.issue(order)

    @activity.defn(name=ActivityName.REVOKE_TICKET)
    async def revoke_ticket(self, order: m.RevokeTicket) -> None:
        await self._office.revoke(order)


class UploadActivities:
    """Takes an upload and holds its name and url."""

    def __init__(self, reservations: Reservations) -> None:
        self._reservations = reservations

    @activity.defn(name=ActivityName.ACCEPT_UPLOAD)
    async def accept_upload(self, order: m.AcceptUpload) -> m.ReservationMade:
        return await self._reservations.accept(order.model_copy(update={"sent_by": await sent_by("upload")}))

    @activity.defn(name=ActivityName.CORRECT_UPLOAD)
    async def correct_upload(self, order: m.CorrectReservation) -> m.ReservationMade:
        return await self._reservations.correct(order.model_copy(update={"sent_by": await sent_by("correct_upload")}))

    @activity.defn(name=ActivityName.READ_RESERVATION)
    async def read_reservation(self, order: m.ReadReservation) -> m.ReservationMade | None:
        return await self._reservations.read(order)

    @activity.defn(name=ActivityName.RELEASE_RESERVATION)
    async def release_reservation(self, order: m.ReleaseReservation) -> None:
        await self._reservations.release(order)
