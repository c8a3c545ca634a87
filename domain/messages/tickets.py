"""The ticket, and the upload that takes it."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import SENT_BY, Message
from domain.messages.environment import EnvironmentSummary
from domain.messages.scheduling import BEHIND, GRACE
from domain.messages.transfer import CorrectUpload, Upload, UploadAccepted
from domain.vocabulary import Scenario


class IssueTicket(Message):
    transfer_id: UUID
    issued_at: AwareDatetime
    for_licence: str | None = Field(default=None, description="the only licence that may upload it")


class TicketIssued(Message):
    ticket_id: UUID
    file_name: str
    expires_at: AwareDatetime
    used: bool = Field(default=False, description="an earlier run has taken the upload: this one was reset")
    remind_at: list[AwareDatetime] = Field(default=[], description="when the old side is reminded of it, in order")


class TicketLookedAt(Message):
    """What a ticket would do under a licence, told before it is used."""

    transfer_id: UUID
    environment_name: str
    holder_name: str = Field(description="whose environment it is now")
    new_holder: str = Field(description="whose it would become")
    scenario: Scenario
    expires_at: AwareDatetime


class RevokeTicket(Message):
    transfer_id: UUID


class AcceptUpload(Message):
    transfer_id: UUID
    upload: Upload
    accepted_at: AwareDatetime = Field(description="when the update reached the workflow; decides which evening")
    new_environment_id: UUID
    sent_by: str = Field(default="", description=SENT_BY)


class CorrectReservation(Message):
    """Give what is reserved another name, url part or login e-mail."""

    transfer_id: UUID
    evening: int
    correction: CorrectUpload
    event_key: UUID
    sent_by: str = Field(default="", description=SENT_BY)


class ReadReservation(Message):
    """Read what was reserved, and how far it has come: a run that was reset does not know it."""

    transfer_id: UUID


class ReservationMade(Message):
    accepted: UploadAccepted
    new: EnvironmentSummary
    closes_at: AwareDatetime = Field(description="when the window of `accepted.starts_at` closes")
    grace_until: AwareDatetime | None = Field(default=None, description=GRACE)
    behind: int = Field(default=0, description=BEHIND)
    evening: int = Field(default=1, description="which planned start `accepted.starts_at` is")
    begun: bool = Field(default=False, description="that evening has begun")
    certified: bool = Field(default=False, description="everything that has to be done in it is done")


class ReleaseReservation(Message):
    transfer_id: UUID
