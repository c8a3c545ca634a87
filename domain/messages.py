"""What crosses a boundary: one frozen message per workflow, signal, update, query and activity.

Times are aware datetimes, durations are seconds in a field that says so, money is `Decimal`. No message carries a
secret: a ticket travels sealed (see `Upload.sealed_ticket`).
"""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.steps import StepName, StepState
from domain.vocabulary import (
    HOME,
    CheckKind,
    ConsequenceKind,
    LicenceKind,
    MailKind,
    Scenario,
    TransferState,
    UndoReason,
)


class Message(BaseModel):
    """Frozen, so that nobody changes what is already in a history; unknown fields are ignored, so that it may grow."""

    model_config = ConfigDict(frozen=True)


# --- TransferWorkflow: input, signals, update, result ------------------------------------------------------------


class TransferInput(Message):
    """Start a transfer: "Omgeving overdragen" pressed by the old side."""

    environment_id: UUID
    requested_by: str = "unknown"
    transfer_id: UUID | None = Field(default=None, description="made by the workflow when it is left out")
    runbook_url: str = Field(default="", description="where operators find docs/operations.md, for the Temporal UI")
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

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.reason} (by {self.requested_by})" if self.reason else f"by {self.requested_by}"


class Reschedule(Message):
    """Move on another evening than the one that is planned."""

    evening: date = Field(description="the day on which its window opens, on the clock of the window")
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


# --- status (query) ----------------------------------------------------------------------------------------------


class StepStatus(Message):
    """One line of the story, for `status`, `watch` and the Temporal UI."""

    step: StepName
    state: StepState
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    detail: str = ""


class EnvironmentSummary(Message):
    """An environment as a transfer speaks of it."""

    environment_id: UUID
    name: str
    url: str
    licence_number: str
    schema_name: str
    mailbox_address: str
    cell: str = Field(default=HOME, description="the database that its schema is in")


class MailProblem(Message):
    """A mail that did not arrive; it never stops a transfer and can be sent again."""

    kind: MailKind
    recipient: str
    problem: str


class CloneProgress(Message):
    """How far a clone is; also the clone activity's heartbeat detail."""

    phase: str
    rows_done: int = 0
    rows_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    tables_done: int = 0
    tables_total: int = 0
    elapsed_seconds: float = 0.0

    @property
    def rows_per_second(self) -> float:
        """Return the mean rate so far, rows per second."""
        return self.rows_done / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Return how long the bytes still to be read take at the rate so far; None before the first and after the last.

        Of a clone these are the rows: what comes after them, indexes above all, is not in it.
        """
        if not 0 < self.bytes_done < self.bytes_total or self.elapsed_seconds <= 0:
            return None
        return (self.bytes_total - self.bytes_done) * self.elapsed_seconds / self.bytes_done


class StepSeen(Message):
    """How far the work of a step is, told by the work itself now and then."""

    step: StepName
    progress: CloneProgress


class TransferStatus(Message):
    """The answer to the `status` query: what is, what was, and what it waits for."""

    transfer_id: UUID
    workflow_id: str
    state: TransferState
    scenario: Scenario | None = None
    old: EnvironmentSummary | None = None
    new: EnvironmentSummary | None = None
    steps: list[StepStatus] = []
    waiting_for: str = ""
    ticket_expires_at: AwareDatetime | None = None
    starts_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    evenings_tried: int = 0
    comparison: "ComparisonSummary | None" = None
    mail_problems: list[MailProblem] = []
    undo_reason: UndoReason | None = None
    undo_detail: str = ""


# --- prepare: freeze and ticket ------------------------------------------------------------------------------------


class QuoteLost(Message):
    """An open quote that does not survive the move."""

    administration: str
    number: str
    customer: str
    amount: Decimal


class BankToReactivate(Message):
    """A bank connection that must be activated again in the new environment."""

    administration: str
    bank: str
    iban: str


class Obstacle(Message):
    """Something in the environment's schema that cannot be carried exactly."""

    what: str = Field(description="the object, e.g. function env_x.total()")
    why: str = Field(description="the reason, ending in what to do")


class Preview(Message):
    """What a move will do, told before anything happens."""

    environment: EnvironmentSummary
    holder_name: str
    licence_kind: LicenceKind
    administrations: list[str]
    open_quotes: list[QuoteLost]
    app_connections: list[str]
    banks_carried: list[BankToReactivate] = Field(description="Rabobank connections, which come along active")
    banks_to_reactivate: list[BankToReactivate]
    users_to_relink: list[str]
    obstacles: list[Obstacle]
    tables: int
    rows_estimate: int
    bytes_total: int


class FreezeEnvironment(Message):
    transfer_id: UUID
    environment_id: UUID
    workflow_id: str
    requested_by: str


class EnvironmentFrozen(Message):
    environment: EnvironmentSummary
    frozen_at: AwareDatetime
    administrations: int
    tables: int


class UnfreezeEnvironment(Message):
    transfer_id: UUID
    environment_id: UUID


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


# --- upload --------------------------------------------------------------------------------------------------------


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


# --- an evening that did not suffice -------------------------------------------------------------------------------

_EVENING = "which planned start this belongs to; what is left of an earlier one is refused"


class PostponeStart(Message):
    """Drop what an evening has made of the clone, keep the reservation and the freeze, and plan the next evening."""

    transfer_id: UUID
    evening: int = Field(ge=1, description="the planned start that is over")
    decided_at: AwareDatetime
    why: str


class RescheduleStart(Message):
    """Plan the start on an evening that somebody chose; reservation, freeze and ticket stay as they are."""

    transfer_id: UUID
    evening: int = Field(ge=1, description=_EVENING)
    on: date
    asked_at: AwareDatetime = Field(description="when the update reached the workflow; the evening must lie after it")
    requested_by: str
    reason: str
    event_key: UUID = Field(description="the same for every attempt, so that a retry does not tell the story twice")


class StartPlanned(Message):
    """The next planned start."""

    evening: int
    starts_at: AwareDatetime
    closes_at: AwareDatetime


# --- clone ---------------------------------------------------------------------------------------------------------


class CloneAdministrations(Message):
    transfer_id: UUID
    source_schema: str
    target_schema: str
    evening: int = Field(default=1, description=_EVENING)
    source_cell: str = HOME
    target_cell: str = HOME


class CloneFinished(Message):
    tables: int
    rows: int
    bytes: int
    seconds: float


class VerifyClone(Message):
    transfer_id: UUID
    source_schema: str
    target_schema: str
    evening: int = Field(default=1, description=_EVENING)
    source_cell: str = HOME
    target_cell: str = HOME


class TableDifference(Message):
    table: str
    problem: str
    keys: list[str] = Field(default=[], description="the first differing rows' keys")


class Verification(Message):
    tables: int
    rows: int
    seconds: float
    differences: list[TableDifference] = []

    @property
    def equal(self) -> bool:
        """Tell whether every row of every table is byte for byte the same on both sides."""
        return not self.differences


class HashFrozen(Message):
    """Read every row of the frozen environment once: what it is now is what must arrive."""

    transfer_id: UUID
    schema_name: str
    cell: str = HOME


class FrozenHashed(Message):
    hashed_at: AwareDatetime
    tables: int
    rows: int


class DropClone(Message):
    transfer_id: UUID


# --- banks, consequences, comparison, inspection -------------------------------------------------------------------


class ReconnectBanks(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=_EVENING)


class BankOutcome(Message):
    bank: str
    old: str
    new: str
    count: int


class BanksReconnected(Message):
    banks: list[BankOutcome]


class ApplyConsequences(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=_EVENING)


class Consequence(Message):
    kind: ConsequenceKind
    count: int


class ConsequencesApplied(Message):
    consequences: list[Consequence]


class CompareEnvironments(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=_EVENING)


class Check(Message):
    """One comparison, computed on both sides: what a person reads, and whether every figure behind it is equal."""

    administration_id: UUID
    administration: str
    check: CheckKind
    old: str
    new: str
    equal: bool
    differences: list[str] = []


class ComparisonReport(Message):
    """The checks that the manual tells people to make, per administration, old beside new."""

    made_at: AwareDatetime
    checks: list[Check]


class ComparisonSummary(Message):
    checks: int
    unequal: int
    administrations: int


class OpenForInspection(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=_EVENING)


class OpenedForInspection(Message):
    opened_at: AwareDatetime
    remind_every_seconds: int = Field(
        default=7 * 24 * 3600, ge=1, description="how often the new side is reminded of the release"
    )


class IssueCertificate(Message):
    """Read every row of the opened environment once, and sign what is proved."""

    transfer_id: UUID
    source_schema: str
    target_schema: str
    evening: int = Field(default=1, description=_EVENING)
    source_cell: str = HOME
    target_cell: str = HOME


class CertificateIssued(Message):
    key_id: str = Field(description="the name of the key that signed")
    issued_at: AwareDatetime


# How the event log begins to tell why a release was refused; callers recognise it by this.
SOMETHING_HAS_CHANGED = "something has changed"


class CheckUnchanged(Message):
    """Read every row of both environments once more, before the release."""

    transfer_id: UUID
    source_schema: str
    target_schema: str
    requested_by: str
    event_key: UUID = Field(description="the same for every attempt, so that a retry does not tell the story twice")
    source_cell: str = HOME
    target_cell: str = HOME


class UnchangedChecked(Message):
    tables: int
    rows: int
    old_changes: list[TableDifference] = Field(default=[], description="in the old environment since its freeze")
    new_changes: list[TableDifference] = Field(default=[], description="in the new one since it was opened")

    @property
    def drift(self) -> str:
        """Return what has changed, in words; nothing when both are as they were."""
        found = [("old", change) for change in self.old_changes] + [("new", change) for change in self.new_changes]
        told = [f"{change.table} in the {side} environment: {change.problem}" for side, change in found[:5]]
        if len(found) > len(told):
            told.append(f"{len(found) - len(told)} more changes")
        return "; ".join(told)


# --- release and after ---------------------------------------------------------------------------------------------


class ReleaseEnvironment(Message):
    transfer_id: UUID
    released_by: str
    note: str
    released_at: AwareDatetime


class EnvironmentReleased(Message):
    old_mailbox_address: str
    new_mailbox_address: str
    forward_until: AwareDatetime
    users_invited: int


class MailboxForwardingInput(Message):
    """Start of `MailboxForwardingWorkflow`: the old address goes on working for 30 days (manual, Let op)."""

    transfer_id: UUID
    old_mailbox_address: str
    forward_until: AwareDatetime
    runbook_url: str = ""


class CloseMailboxForwarding(Message):
    transfer_id: UUID
    old_mailbox_address: str


# --- mail, event log, undo -----------------------------------------------------------------------------------------


class SendMail(Message):
    """Send one kind of mail to everybody it is for, or to one address only; who and what is read from the database."""

    transfer_id: UUID
    kind: MailKind
    only_to: str | None = None
    occurrence: int = Field(default=1, ge=1, description="counts the mails of one kind: a reminder comes again")
    tell_delays: bool = Field(default=False, description="return what is to be tried again instead of failing")


class MailSent(Message):
    sent: int
    problems: list[MailProblem] = []
    waiting: list[MailProblem] = Field(default=[], description="not taken yet: the same order again may deliver it")


class RecordEvent(Message):
    event_key: UUID = Field(description="the same for every attempt, so that a retry does not tell the story twice")
    transfer_id: UUID
    actor: str
    kind: str
    reason: str = ""


class BeginUndo(Message):
    transfer_id: UUID
    environment_id: UUID
    workflow_id: str
    reason: UndoReason
    detail: str = ""
    requested_by: str = ""


class FinishUndo(Message):
    transfer_id: UUID


class TransferRecord(Message):
    """A row of `control.transfer`, for lists and reports."""

    transfer_id: UUID
    workflow_id: str
    environment_id: UUID
    environment_name: str
    new_environment_id: UUID | None
    state: TransferState
    scenario: Scenario | None
    source_licence: str | None
    target_licence: str | None
    starts_at: datetime | None
    created_at: datetime
    undo_reason: UndoReason | None


TransferStatus.model_rebuild()
