"""What a transfer's workflow takes along when it goes on in a new run, because its history has become long."""

from pydantic import AwareDatetime, Field

from domain.messages.base import Message
from domain.messages.clone import CloneFinished, Verification
from domain.messages.freeze_release import OpenedForInspection
from domain.messages.payloads import UnreadSignal
from domain.messages.status import TransferStatus
from domain.messages.tickets import ReservationMade, TicketIssued
from domain.messages.transfer import ExplainCancel, Release, TransferInput
from domain.steps import StepName
from domain.vocabulary import MailKind


class PendingMail(Message):
    """A mail that was being sent: the same order again sends it at most once."""

    kind: MailKind
    occurrence: int
    step: StepName | None = None
    settles: bool = Field(default=False, description="sent when what it tells has not changed for a while")


class TransferMemory(Message):
    """Everything that the run before knew."""

    status: TransferStatus
    ticket: TicketIssued | None = None
    reservation: ReservationMade | None = None
    evening: int = 1
    cloned: CloneFinished | None = None
    verified: Verification | None = None
    opened: OpenedForInspection | None = None
    all_is_done: bool = Field(default=False, description="a run from before a reset did all that an evening has to do")
    hurried: bool = False
    grace_until: AwareDatetime | None = None
    behind: int = 0
    reminding_since: AwareDatetime | None = Field(default=None, description="the wait for the release began")
    mails: dict[MailKind, int] = Field(default={}, description="how many of each kind were sent")
    pending_mails: list[PendingMail] = Field(default=[])
    to_undo: list[StepName] = Field(default=[])
    cancel: ExplainCancel | None = None
    undo_requested_by: str = ""
    release: Release | None = Field(default=None, description="it is being carried out")
    refusals_counted: int = 0
    refusals_left: float | None = Field(default=None, description="how many more are written down one by one")
    refusals_filled_at: AwareDatetime | None = None
    unread: list[UnreadSignal] = Field(default=[])


class ResumedTransfer(TransferInput):
    """The input of the next run of a transfer: what the first one was given, and what the last one knew."""

    memory: TransferMemory | None = None
