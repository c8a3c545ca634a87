"""Many environments that move to one licence: what is asked for, and how each of them does."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import Field

from domain.messages import Message
from domain.vocabulary import TransferState

PORTFOLIO_WORKFLOW: Final = "PortfolioWorkflow"
PORTFOLIO_PREFIX: Final = "portfolio-"
LARGEST: Final = 5_000
# A move may be planned within a quarter of a year (`domain.errors.EveningInvalid`); some days are left for the look.
FURTHEST: Final = timedelta(days=85)


class PortfolioActivityName(StrEnum):
    """The registered names of its activities."""

    READ_ITEMS = "read_portfolio_items"
    LOOK_AT_ITEM = "look_at_portfolio_item"
    MOVE_ITEM = "move_portfolio_item"
    RELEASE_ITEM = "release_portfolio_item"
    CANCEL_ITEM = "cancel_portfolio_item"


class ItemState(StrEnum):
    """How far one environment is, as long as its transfer does not say so."""

    WAITING = "waiting"
    READY = "ready"
    REFUSED = "refused"
    MOVING = "moving"
    CANCELLED = "cancelled"


class Work(StrEnum):
    """What is done with one item after another."""

    LOOK = "look"
    MOVE = "move"
    RELEASE = "release"
    CANCEL = "cancel"


class AtWork(Message):
    """What a run was at when its history was long: the next one goes on behind that number."""

    work: Work
    state: ItemState
    after: int
    requested_by: str = ""


class MovePortfolio(Message):
    """Look at all of a portfolio, and move it once somebody says so."""

    portfolio_id: UUID
    at_once: int = Field(default=4, ge=1, le=50, description="how many are looked at, or begun, side by side")
    begin: bool = Field(default=False, description="do not wait for anybody after the look")
    begun: bool = Field(default=False, description="what an earlier run knows: somebody has said so")
    at: AtWork | None = None


class ReadItems(Message):
    """Which items are in a state, from a number on."""

    portfolio_id: UUID
    state: ItemState
    after: int = 0


class ItemsRead(Message):
    """The next items, in order; none when there are no more."""

    numbers: tuple[int, ...] = ()
    settled: bool = Field(default=False, description="whether nothing of the portfolio is left to do")


class ItemOrder(Message):
    """Do something with one item."""

    portfolio_id: UUID
    number: int
    requested_by: str = ""


class ItemDone(Message):
    """What became of it."""

    state: ItemState


class PortfolioDecision(Message):
    """Somebody says what happens to a portfolio."""

    requested_by: str = ""
    number: int | None = Field(default=None, description="try again this item alone; all that were refused if left out")


class PortfolioItem(Message):
    """One environment of a portfolio, and where it stands."""

    number: int
    environment_id: UUID
    name: str
    state: ItemState
    evening: date | None = None
    transfer_id: UUID | None = None
    transfer_state: TransferState | None = None
    equal: bool | None = Field(default=None, description="whether its comparison found no difference, once it is made")
    code: str | None = None
    problem: str | None = None


class PortfolioLine(Message):
    """A portfolio in a list of them."""

    portfolio_id: UUID
    licence_number: str
    name_pattern: str
    first_evening: date | None
    per_night: int
    upload: bool = Field(description="false: the new side uploads, and gets the tickets as one file")
    created_by: str
    created_at: datetime
    counts: dict[str, int] = Field(description="items by state; those that move by the state of their transfer")


class PortfolioStanding(PortfolioLine):
    """Where a whole portfolio stands."""

    items: tuple[PortfolioItem, ...]


class PortfolioPage(Message):
    """Portfolios from new to old."""

    items: tuple[PortfolioLine, ...]
    next_cursor: UUID | None = Field(description="`cursor` of the next page; null at the end")


def portfolio_workflow_id(portfolio_id: UUID) -> str:
    """Return the id of the workflow that moves a portfolio."""
    return f"{PORTFOLIO_PREFIX}{portfolio_id}"


def evening_of(number: int, *, first: date | None, per_night: int) -> date | None:
    """Return the evening of an item, counted from 1; None as long as nobody knows the first one."""
    return None if first is None else first + timedelta(days=(number - 1) // per_night)


def name_of(pattern: str, name: str) -> str:
    """Return what an environment is called under its new licence."""
    return pattern.replace("{name}", name)
