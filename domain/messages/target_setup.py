"""What a move changes in the new environment, and the comparison that people are asked to make."""

from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import Message
from domain.messages.scheduling import EVENING
from domain.vocabulary import CheckKind, ConsequenceKind


class ReconnectBanks(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=EVENING)


class BankOutcome(Message):
    bank: str
    old: str
    new: str
    count: int


class BanksReconnected(Message):
    banks: list[BankOutcome]


class ApplyConsequences(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=EVENING)


class Consequence(Message):
    kind: ConsequenceKind
    count: int
    open: int | None = Field(default=None, description="of mail and scans: how many nobody has processed yet")


class ConsequencesApplied(Message):
    consequences: list[Consequence]


class CompareEnvironments(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=EVENING)


class Figures(Message):
    """One side of a check: how many rows are behind it, and what is added up and counted of them.

    `totals` and `tally` are by the names of `domain.comparison`; money has two decimals.
    """

    rows: int = 0
    totals: dict[str, Decimal] = Field(default={})
    tally: dict[str, int] = Field(default={}, description="by the word of the tallied column, the first twelve")


class ComparedRow(Message):
    """One row behind a check, on both sides: values by the columns of `domain.comparison`; null where it is missing."""

    item: str
    old: dict[str, str | int | None] | None
    new: dict[str, str | int | None] | None
    equal: bool


class Check(Message):
    """One comparison, computed on both sides, and whether everything behind it is equal."""

    administration_id: UUID
    administration: str = Field(description="its name, with what tells it from another of that name")
    check: CheckKind
    old: Figures | None = Field(description="null where this side does not have the administration")
    new: Figures | None = Field(description="likewise")
    equal: bool = Field(description="bank connections: every one is as the move has to leave it")
    differences: list[ComparedRow] = Field(default=[], description="the first five rows that differ")


class BookedYear(Message):
    """A year of an administration in which something was booked: there can be an auditfile of it."""

    administration_id: UUID
    administration: str
    year: int
    lines: int = Field(description="of the journal")


class WriteAuditfile(Message):
    """Asks for one side's books of a year, to be kept where those who may not look into environments read them."""

    transfer_id: UUID
    old_side: bool
    administration_id: UUID
    year: int


class AuditfileWritten(Message):
    """What was kept."""

    size: int = Field(description="bytes, before they were compressed")


class ComparisonSummary(Message):
    checks: int
    unequal: int
    administrations: int


class InboxCounts(Message):
    """What came along of mail and scans, and what has come in since and waits for the end of the move."""

    mails_open: int = Field(description="of those that came along: not processed yet")
    scans_open: int = Field(description="likewise")
    mails_held: int = Field(description="waiting when the comparison was made")
    scans_held: int = Field(description="likewise")


class ComparisonReport(Message):
    """The checks that the manual tells people to make, per administration, old beside new."""

    made_at: AwareDatetime
    checks: list[Check]
    years: list[BookedYear] = Field(default=[], description="of the old environment")
    inbox: InboxCounts | None = Field(default=None, description="of a move; null where two environments are compared")

    def summary(self) -> ComparisonSummary:
        """Return the report's figures."""
        return ComparisonSummary(
            checks=len(self.checks),
            unequal=sum(not check.equal for check in self.checks),
            administrations=len({check.administration_id for check in self.checks}),
        )
