"""The ticket, and the upload that takes it."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import Message
from domain.messages.environment import EnvironmentSummary
from domain.messages.transfer import Upload, UploadAccepted


class IssueTicket(Message):
    transfer_id: UUID
    issued_at: AwareDatetime
    for_licence: str | None = Field(default=None, description="the only licence that may upload it")


class TicketIssued(Message):
    ticket_id: UUID
    file_name: str
    expires_at: AwareDatetime
    remind_at: list[AwareDatetime] = Field(default=[], description="when the old side is reminded of it, in order")


class RevokeTicket(Message):
    transfer_id: UUID


class AcceptUpload(Message):
    transfer_id: UUID
    upload: Upload
    accepted_at: AwareDatetime = Field(description="when the update reached the workflow; decides which evening")
    new_environment_id: UUID


class ReservationMade(Message):
    accepted: UploadAccepted
    new: EnvironmentSummary
    closes_at: AwareDatetime = Field(description="when the window of `accepted.starts_at` closes")


class ReleaseReservation(Message):
    transfer_id: UUID
