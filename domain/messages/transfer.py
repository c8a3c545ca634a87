"""What a transfer takes from outside, its input, signals and updates, and how it ended."""

from datetime import date
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import Message
from domain.vocabulary import MailKind, Scenario, TransferState, UndoReason


class TransferInput(Message):
    """Start a transfer: "Omgeving overdragen" pressed by the old side."""

    environment_id: UUID
    requested_by: str = "unknown"
    transfer_id: UUID | None = Field(default=None, description="made by the workflow when it is left out")
    runbook_url: str = Field(default="", description="where operators find docs/operations.md, for the Temporal UI")
    timezone: str = Field(default="Europe/Amsterdam", description="on whose clock moments are written out")
    for_licence: str | None = Field(default=None, description="the only licence that may upload the ticket")


class Upload(Message):
    """The new side's "Omgeving overdracht uploaden".

    `sealed_ticket` is the ticket file's bytes sealed once more under the key ring, so that the history does not hold
    a usable ticket.
    """

    sealed_ticket: str
    licence_number: str
    name: str
    url_part: str | None = None
    login_email: str | None = None
    uploaded_by: str = "unknown"


class UploadAccepted(Message):
    """The answer to an accepted upload: where the environment will live and exactly when its move starts."""

    scenario: Scenario
    new_environment_id: UUID
    name: str
    url: str
    starts_at: AwareDatetime


class CorrectUpload(Message):
    """Correct what was uploaded before its evening begins; what is left out stays as it is."""

    name: str | None = None
    url_part: str | None = None
    login_email: str | None = None
    requested_by: str = ""
    reason: str = ""


class Release(Message):
    """The new side presses "Vrijgeven": it has compared and opens the environment. There is no way back after it."""

    released_by: str = ""
    note: str = ""


class Reject(Message):
    """The new side has compared and does not want the environment: everything is undone."""

    rejected_by: str = ""
    reason: str = ""


class StartNow(Message):
    """Do not wait for 22:00."""

    requested_by: str = ""


class ExplainCancel(Message):
    """Why the cancel that follows comes: Temporal keeps a cancel's own reason where everybody can read it."""

    requested_by: str = ""
    reason: str = ""


class Reschedule(Message):
    """Move on another evening than the one that is planned."""

    evening: date = Field(description="the day on which its window opens, on the clock of the window")
    requested_by: str = ""
    reason: str = ""


class Hurry(Message):
    """Let a transfer go before all others wherever several wait for a place."""

    requested_by: str = ""
    reason: str = ""


class ResendMail(Message):
    """Send one kind of mail again to those it did not reach, or to one other address."""

    kind: MailKind
    to: str | None = None
    requested_by: str = ""


class TransferResult(Message):
    """How a transfer ended."""

    transfer_id: UUID
    state: TransferState
    scenario: Scenario | None = None
    undo_reason: UndoReason | None = None
    undo_detail: str = ""
    old_environment_id: UUID
    new_environment_id: UUID | None = None
    new_url: str | None = None
    tables: int = 0
    rows: int = 0
    mismatches: int = 0
    clone_seconds: float = 0.0
    verify_seconds: float = 0.0
