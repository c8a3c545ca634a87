"""What a move will do, told before anything happens."""

from decimal import Decimal
from uuid import UUID

from pydantic import Field

from domain.messages.base import Message
from domain.messages.environment import EnvironmentSummary
from domain.vocabulary import LicenceKind


class QuoteLost(Message):
    """An open quote that does not survive the move."""

    administration: str
    number: str
    customer: str
    total: Decimal = Field(description="with VAT")


class BankToReactivate(Message):
    """A bank connection that must be activated again in the new environment."""

    administration: str
    bank: str
    iban: str


class Finding(Message):
    """What cannot be carried exactly, in one language."""

    what: str = Field(description="the object, e.g. column of_what of total")
    why: str = Field(description="the reason")
    remedy: str = Field(description="what to do, so that it can be carried")

    def __str__(self) -> str:
        return f"{self.what}: {self.why}. {self.remedy}."


class Obstacle(Finding):
    """Something in an environment that cannot be carried exactly, in English, and in Dutch beside it."""

    nl: Finding


class Estimate(Message):
    """How large an environment is, and how long moving it takes; no seconds where nothing was moved before."""

    rows: int
    bytes: int
    seconds: float | None = None


class UnreachableAddress(Message):
    """An address that news of the move, or an invitation afterwards, cannot be sent to."""

    address: str
    why: str = Field(description="the reason, ending in what to do")


# A customer may have 60,000 open quotes; nobody reads more than some, and everybody else would wait for the rest.
MOST_SHOWN = 100


class PreviewEnvironment(Message):
    """Asks what a move of an environment will do."""

    environment_id: UUID


class Preview(Message):
    """What a move will do, told before anything happens; of each list the first hundred."""

    environment: EnvironmentSummary
    holder_name: str
    licence_kind: LicenceKind
    administrations: list[str]
    open_quotes: list[QuoteLost]
    app_connections: list[str]
    banks_carried: list[BankToReactivate] = Field(description="Rabobank connections, which come along active")
    banks_to_reactivate: list[BankToReactivate]
    users_to_relink: list[str]
    unreachable: list[UnreachableAddress] = Field(default=[], description="the first hundred")
    obstacles: list[Obstacle]
    unasked: list[str] = Field(
        default=[], description="tables whose rows were not looked at in time; they are when the environment is frozen"
    )
    tables: int
    estimate: Estimate
    left_out: dict[str, int] = Field(default={}, description="by list: how many more there are than it shows")

    def count(self, which: str) -> int:
        """Return how many there are in all of what a list shows."""
        shown: list[object] = getattr(self, which)
        return len(shown) + self.left_out.get(which, 0)
