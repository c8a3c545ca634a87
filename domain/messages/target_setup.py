"""What a move changes in the new environment, and the comparison that people are asked to make."""

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


class ConsequencesApplied(Message):
    consequences: list[Consequence]


class CompareEnvironments(Message):
    transfer_id: UUID
    evening: int = Field(default=1, description=EVENING)


class Check(Message):
    """One comparison, computed on both sides: what a person reads, and whether every figure behind it is equal."""

    administration_id: UUID
    administration: str
    check: CheckKind
    old: str
    new: str
    equal: bool
    differences: list[str] = Field(default=[])


class ComparisonSummary(Message):
    checks: int
    unequal: int
    administrations: int


class ComparisonReport(Message):
    """The checks that the manual tells people to make, per administration, old beside new."""

    made_at: AwareDatetime
    checks: list[Check]

    def summary(self) -> ComparisonSummary:
        """Return the report's figures."""
        return ComparisonSummary(
            checks=len(self.checks),
            unequal=sum(not check.equal for check in self.checks),
            administrations=len({check.administration_id for check in self.checks}),
        )
