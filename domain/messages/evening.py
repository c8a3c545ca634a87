"""An evening on one page: how many move, how far they are, and whether they all fit in it."""

from datetime import date

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
    left_out: int = Field(description="how many more licences there are")
    expected_end: AwareDatetime | None = Field(
        description="when the last one is ready, as far as anybody knows; null when nothing is known or nobody moves"
    )

    @property
    def fits(self) -> bool:
        """Tell whether all of them are expected to be ready in time."""
        return self.expected_end is None or self.expected_end <= self.closes_at
