"""What the client answers, where no message of the domain says it already."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from domain import messages as m
from domain.certificate import Certificate


class Source(StrEnum):
    """Who told where a transfer stands."""

    WORKFLOW = "workflow"
    DATABASE = "database"


class RetriedActivity(m.Message):
    """Something that failed and is tried again by itself."""

    activity: str
    attempt: int = Field(description="the attempt that runs or comes next, counted from 1")
    problem: str


class TransferSnapshot(m.Message):
    """Where a transfer stands at this moment.

    `told_by` is the database where the workflow was not asked or did not answer: then steps have no details, and
    `troubles` are unknown.
    """

    status: m.TransferStatus
    clone: m.CloneProgress | None = Field(default=None, description="the clone or verification under way")
    troubles: list[RetriedActivity] = Field(default=[], description="what is being tried again by itself")
    told_by: Source = Source.WORKFLOW
    unanswered: str = Field(default="", description="the code of the error for which the workflow did not answer")


class PreparedTransfer(m.Message):
    """A transfer that awaits its upload, and the ticket that the new side needs for it."""

    transfer_id: UUID
    workflow_id: str
    ticket_file_name: str
    # The right to take over an environment: not shown, not logged, not in JSON.
    ticket: bytes = Field(repr=False, exclude=True)
    preview: m.Preview


class Compared(m.Message):
    """Two environments compared: every row byte for byte, and the checks that the manual asks for."""

    old: m.EnvironmentSummary
    new: m.EnvironmentSummary
    ignored_columns: dict[str, list[str]] = Field(description="by table: what a move changes on purpose")
    verification: m.Verification
    report: m.ComparisonReport

    @property
    def equal(self) -> bool:
        """Tell whether nothing differs that should not."""
        return self.verification.equal and all(check.equal for check in self.report.checks)


class SideChecked(m.Message):
    """One environment, held against a certificate."""

    side: str
    checked: bool
    changes: list[m.TableDifference] = Field(default=[])

    @property
    def told(self) -> str:
        """Return the verdict in words."""
        if not self.checked:
            return "not checked: it has been released, and people work in it."
        if not self.changes:
            return "as certified, every row."
        return "1 difference." if len(self.changes) == 1 else f"{len(self.changes)} differences."


class CertificateChecked(m.Message):
    """A genuine certificate, held against the databases."""

    certificate: Certificate
    sides: list[SideChecked] = Field(default=[])

    @property
    def equal(self) -> bool:
        """Tell whether nothing that was checked differs."""
        return not any(side.changes for side in self.sides)
