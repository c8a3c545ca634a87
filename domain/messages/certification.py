"""That nothing changes unseen between the freeze and the release."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import Message
from domain.messages.clone import TableDifference
from domain.messages.scheduling import EVENING
from domain.vocabulary import HOME


class HashFrozen(Message):
    """Read every row of the frozen environment once: what it is now is what must arrive."""

    transfer_id: UUID
    schema_name: str
    cell: str = HOME


class FrozenHashed(Message):
    hashed_at: AwareDatetime
    tables: int
    rows: int


class IssueCertificate(Message):
    """Read every row of the opened environment once, and sign what is proved."""

    transfer_id: UUID
    source_schema: str
    target_schema: str
    evening: int = Field(default=1, description=EVENING)
    source_cell: str = HOME
    target_cell: str = HOME


class CertificateIssued(Message):
    key_id: str = Field(description="the name of the key that signed")
    issued_at: AwareDatetime


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
    left_out: int = Field(default=0, description="how many more there are than the lists name")

    @property
    def drift(self) -> str:
        """Return what has changed, in words; nothing when both are as they were."""
        found = [("old", change) for change in self.old_changes] + [("new", change) for change in self.new_changes]
        told = [f"{change.table} in the {side} environment: {change.problem}" for side, change in found[:5]]
        if more := len(found) + self.left_out - len(told):
            told.append(f"{more:,} more changes")
        return "; ".join(told)
