"""Copying an environment and proving the copy."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import Message
from domain.messages.scheduling import EVENING
from domain.vocabulary import HOME


class CloneAdministrations(Message):
    transfer_id: UUID
    source_schema: str
    target_schema: str
    evening: int = Field(default=1, description=EVENING)
    closes_at: AwareDatetime | None = Field(
        default=None, description="it does not begin when it could not be ready by then, with all that follows it"
    )
    grace_until: AwareDatetime | None = Field(
        default=None, description="it may be ready as late as this when it takes longer than such moves usually do"
    )
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
    evening: int = Field(default=1, description=EVENING)
    source_cell: str = HOME
    target_cell: str = HOME


class TableDifference(Message):
    table: str
    problem: str
    keys: list[str] = Field(default=[], description="the first differing rows' keys")
    redefined: bool = Field(default=False, description="whether it is defined otherwise, come or gone")


class Verification(Message):
    tables: int
    rows: int
    seconds: float
    differences: list[TableDifference] = Field(default=[])
    left_out: int = Field(default=0, description="how many more there are than the list names")

    @property
    def equal(self) -> bool:
        """Tell whether every row of every table is byte for byte the same on both sides."""
        return not self.differences


class DropClone(Message):
    transfer_id: UUID
