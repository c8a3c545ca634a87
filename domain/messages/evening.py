"""An evening on one page: how many move, how far they are, and whether they all fit in it."""

from datetime import date
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages.base import Message


class LicenceEvening(Message):
    """What an evening is to one licence: the moves to it."""

    holder_name: str
    planned: int
    begun: int
    ready: int
    postponed: int
    failed: int


class NotMoved(Message):
    """A move that its evening did not bring to an end."""

    transfer_id: UUID
    name: str = Field(description="the environment's, as it is called on the old side")
    licence_number: str = Field(description="of the licence that it goes to")
    begun: bool = Field(description="its clone had begun, and was taken away again")
    why: str = Field(description="as the log of the transfer tells it")
    why_nl: str = Field(description="the same in Dutch, where it is known")


class Evening(Message):
    """Every move that is, or was, planned for an evening."""

    evening: date = Field(description="the day on which its window opens")
    opens_at: AwareDatetime
    closes_at: AwareDatetime
    planned: int
    begun: int = Field(description="their clone has begun")
    ready: int = Field(description="proved and certified: they can be released")
    postponed: int = Field(description="put off to another evening")
    failed: int = Field(description="undone, for something failed")
    by_licence: dict[str, LicenceEvening] = Field(description="by the licence that they go to; the largest hundred")
    put_off: list[NotMoved] = Field(description="those that were put off to another evening; the first hundred")
    undone: list[NotMoved] = Field(description="those that failed and were undone; the first hundred")
    left_out: int = Field(description="how many more licences there are")
    expected_end: AwareDatetime | None = Field(
        description="when the last one is ready, as far as anybody knows; null when nothing is known or nobody moves"
    )

    @property
    def fits(self) -> bool:
        """Tell whether all of them are expected to be ready in time."""
        return self.expected_end is None or self.expected_end <= self.closes_at
