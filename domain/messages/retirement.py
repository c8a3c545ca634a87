"""The end of an old environment: "Dan kan het vorige kantoor de oude klantomgeving verwijderen" (manual)."""

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import SENT_BY, Message


class RetirementInput(Message):
    """Remove an old environment that has been moved away."""

    environment_id: UUID
    requested_by: str
    reason: str = ""
    started_by: str = Field(default="", description="who started the workflow, as Temporal knows it; for operators")


class RetirementState(StrEnum):
    """How far the end of an old environment is."""

    NONE = "none"
    """Nobody has asked for it, or it was called back."""

    PLANNED = "planned"
    REMOVING = "removing"
    """It is being dropped, and cannot be called back any more."""

    REMOVED = "removed"


class RetirementStanding(Message):
    """How far the end of an old environment is, and when it is due or was done."""

    state: RetirementState
    due_at: AwareDatetime | None = None
    retired_at: AwareDatetime | None = None


class CallBack(Message):
    """Keep the environment after all."""

    requested_by: str
    reason: str = ""


class EndRetirement(Message):
    """Do the next step of a retirement: `requested_by` and `reason` are of whoever calls it back."""

    environment_id: UUID
    requested_by: str = ""
    reason: str = ""
    sent_by: str = Field(default="", description=SENT_BY)


class RetirementPlanned(Message):
    """What was planned; the same again when it is asked again."""

    environment_id: UUID
    transfer_id: UUID = Field(description="the released transfer that left the environment behind")
    name: str
    due_at: AwareDatetime


class RetirementOutcome(StrEnum):
    """How a retirement ended."""

    RETIRED = "retired"
    CALLED_BACK = "called_back"


class RetirementResult(Message):
    """What came of it."""

    environment_id: UUID
    outcome: RetirementOutcome
    tables: int = 0
    rows: int = 0
