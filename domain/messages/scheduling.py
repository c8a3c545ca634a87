"""Evenings: the one that did not suffice, and the one that somebody chose."""

from datetime import date
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import SENT_BY, Message

BEHIND = "how many of the same licence come before it on that evening"
GRACE = "until when what is nearly done at the closing may go on"
EVENING = "which planned start this belongs to; what is left of an earlier one is refused"


class PostponeStart(Message):
    """Drop what an evening has made of the clone, keep the reservation and the freeze, and plan the next evening."""

    transfer_id: UUID
    evening: int = Field(ge=1, description="the planned start that is over")
    decided_at: AwareDatetime
    why: str


class RescheduleStart(Message):
    """Plan the start on an evening that somebody chose; reservation, freeze and ticket stay as they are."""

    transfer_id: UUID
    evening: int = Field(ge=1, description=EVENING)
    on: date
    asked_at: AwareDatetime = Field(description="when the update reached the workflow; the evening must lie after it")
    requested_by: str
    reason: str
    event_key: UUID = Field(description="the same for every attempt, so that a retry does not tell the story twice")
    sent_by: str = Field(default="", description=SENT_BY)


class StartPlanned(Message):
    """The next planned start."""

    evening: int
    starts_at: AwareDatetime
    closes_at: AwareDatetime
    grace_until: AwareDatetime | None = Field(default=None, description=GRACE)
    behind: int = Field(default=0, description=BEHIND)
    had_begun: bool = Field(default=True, description="the evening that is over had begun to clone")
