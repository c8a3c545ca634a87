"""Where a transfer stands, as callers see it."""

from datetime import datetime
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import Message
from domain.messages.environment import EnvironmentSummary
from domain.messages.target_setup import ComparisonSummary
from domain.steps import StepName, StepState
from domain.vocabulary import MailKind, Scenario, TransferState, UndoReason


class StepStatus(Message):
    """One line of the story, for `status`, `watch` and the Temporal UI."""

    step: StepName
    state: StepState
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    detail: str = ""


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
    steps: list[StepStatus] = Field(default=[])
    waiting_for: str = ""
    ticket_expires_at: AwareDatetime | None = None
    starts_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    evenings_tried: int = 0
    comparison: ComparisonSummary | None = None
    mail_problems: list[MailProblem] = Field(default=[], description="of each kind of mail the first few")
    more_mail_problems: dict[MailKind, int] = Field(default={}, description="how many more there are, by kind")
    unreadable: list[str] = Field(
        default=[], description="what was sent under a key that is not there; it waits for it"
    )
    refused: str = Field(default="", description="the newest signal that was refused: when, which, whose and why")
    undo_reason: UndoReason | None = None
    undo_code: str = Field(default="", description="the code of the error for which it failed")
    undo_detail: str = ""


class TransferRecord(Message):
    """A row of `control.transfer`, for lists and reports."""

    transfer_id: UUID
    workflow_id: str
    environment_id: UUID
    environment_name: str
    new_environment_id: UUID | None
    new_name: str | None = None
    state: TransferState
    scenario: Scenario | None
    source_licence: str | None
    target_licence: str | None
    target_holder: str | None = None
    starts_at: datetime | None
    created_at: datetime
    undo_reason: UndoReason | None
