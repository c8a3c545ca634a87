"""Many environments to one licence: a look at all of them first, then the ordinary transfers, so many at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.portfolio import PortfolioActivities
from domain.errors import NotItsTransfer
from domain.portfolio import (
    PORTFOLIO_WORKFLOW,
    AtWork,
    ItemDone,
    ItemOrder,
    ItemsRead,
    ItemState,
    MovePortfolio,
    PortfolioDecision,
    ReadItems,
    Work,
    portfolio_workflow_id,
)
from workflows import policies
from workflows.activity_calls import perform
from workflows.refusals import asked, refusal
from workflows.renewal import REFUSED, grow, is_long
from workflows.unknown_signals import LeavesUnknownSignals

# How often it looks whether all have ended, when nobody asks for anything.
_LOOK_AGAIN: Final = timedelta(hours=1)
_NOT_ENDED: Final = (ItemState.WAITING, ItemState.READY, ItemState.REFUSED, ItemState.MOVING)
_Activity = Callable[[Any, ItemOrder], Awaitable[ItemDone]]
_ACTIVITIES: Final[Mapping[Work, _Activity]] = MappingProxyType(
    {
        Work.LOOK: PortfolioActivities.look_at_portfolio_item,
        Work.MOVE: PortfolioActivities.move_portfolio_item,
        Work.RELEASE: PortfolioActivities.release_portfolio_item,
        Work.CANCEL: PortfolioActivities.cancel_portfolio_item,
    }
)


@workflow.defn(name=PORTFOLIO_WORKFLOW)
class PortfolioWorkflow(LeavesUnknownSignals):
    """Leads many environments through their moves; how far each is stands in the database, and so does the report."""

    def __init__(self) -> None:
        self._order: MovePortfolio | None = None
        self._begin = self._cancel = self._release = False
        self._retry: list[int | None] = []
        self._by = ""

    @workflow.run
    async def run(self, *given: Any) -> ItemsRead:
        """Look, wait for somebody to say so, move, and serve what is asked until all have ended.

        Raises:
            ApplicationError: This is no order, or not the workflow that carries it out.
        """
        order = self._order = asked(given, MovePortfolio)
        if workflow.info().workflow_id != portfolio_workflow_id(order.portfolio_id):
            raise refusal(NotItsTransfer())
        await self._go_on(order.at)
        while True:
            await self._each(Work.LOOK, ItemState.WAITING)
            await self._until_begun()
            if not self._cancel:
                await self._each(Work.MOVE, ItemState.READY)
            while not self._retry:
                if self._cancel:
                    self._cancel = False
                    await self._cancel_from(ItemState.WAITING)
                if self._release:
                    self._release = False
                    await self._each(Work.RELEASE, ItemState.MOVING)
                left = await self._read(ItemState.MOVING, 0)
                if left.settled:
                    self._show("has ended")
                    return left
                self._show("waits for its transfers")
                self._renew_if_long(None)
                try:
                    await workflow.wait_condition(lambda: self._is_asked() or is_long(), timeout=_LOOK_AGAIN)
                except TimeoutError:
                    continue
            await self._look_again()

    @workflow.signal(description="Move all that can be moved. Input: requested_by.")
    def begin(self, *given: Any) -> None:
        """Go on after the look."""
        self._begin = self._heard(given) or self._begin

    @workflow.signal(description="Release all in which the comparison found no difference. Input: requested_by.")
    def release_equal(self, *given: Any) -> None:
        """Release what is equal."""
        self._release = self._heard(given) or self._release

    @workflow.signal(
        description="Look again at what was refused, or at one number, and move it. Input: requested_by, number."
    )
    def retry(self, *given: Any) -> None:
        """Try again what was refused."""
        if self._heard(given):
            self._retry.append(asked(given, PortfolioDecision).number)

    @workflow.signal(description="Cancel what has not begun to be cloned. Input: requested_by.")
    def cancel_rest(self, *given: Any) -> None:
        """Begin nothing more."""
        self._cancel = self._heard(given) or self._cancel

    def _heard(self, given: tuple[Any, ...]) -> bool:
        """Tell whether a signal is one; what is none is dropped."""
        grow(REFUSED)
        try:
            self._by = asked(given, PortfolioDecision).requested_by
        except ApplicationError as error:
            workflow.logger.warning("a signal was dropped: %s", error)
            return False
        return True

    def _is_asked(self) -> bool:
        return bool(self._retry) or self._cancel or self._release

    async def _look_again(self) -> None:
        """Look at what was refused, or at those only that were named."""
        wanted, self._retry = self._retry, []
        if None in wanted:
            await self._each(Work.LOOK, ItemState.REFUSED)
        places = asyncio.Semaphore(self._known.at_once)
        named = sorted({number for number in wanted if number is not None})
        await asyncio.gather(*(self._one(Work.LOOK, number, places) for number in named))

    async def _until_begun(self) -> None:
        if not (self._known.begun or self._known.begin or self._begin or self._cancel):
            self._show("all have been looked at; it waits until somebody begins, or cancels")
            await workflow.wait_condition(lambda: self._begin or self._cancel or is_long())
            self._renew_if_long(None)
        self._begin = False
        self._order = self._known.model_copy(update={"begun": True})

    async def _go_on(self, at: AtWork | None) -> None:
        """Finish what the run before was at."""
        if at is None:
            return
        self._by = at.requested_by
        self._order = self._known.model_copy(update={"at": None})
        if at.work is Work.CANCEL:
            await self._cancel_from(at.state, at.after)
        else:
            await self._each(at.work, at.state, at.after)

    async def _cancel_from(self, state: ItemState, after: int = 0) -> None:
        for one in _NOT_ENDED[_NOT_ENDED.index(state) :]:
            await self._each(Work.CANCEL, one, after)
            after = 0

    async def _each(self, work: Work, state: ItemState, after: int = 0) -> None:
        """Do something with every item that is in a state, so many at once; what fails is met by the next look."""
        while (found := await self._read(state, after)).numbers and not (work is Work.MOVE and self._cancel):
            self._show(f"{work}: from number {found.numbers[0]} on")
            places = asyncio.Semaphore(self._known.at_once)
            await asyncio.gather(*(self._one(work, number, places) for number in found.numbers))
            after = found.numbers[-1]
            self._renew_if_long(AtWork(work=work, state=state, after=after, requested_by=self._by))

    async def _one(self, work: Work, number: int, places: asyncio.Semaphore) -> None:
        order = ItemOrder(portfolio_id=self._known.portfolio_id, number=number, requested_by=self._by)
        async with places:
            try:
                await perform(_ACTIVITIES[work], order, policies.PORTFOLIO, f"{work} {number}")
            except ActivityError as error:
                workflow.logger.warning("%s of item %s: %s", work, number, error.cause)

    async def _read(self, state: ItemState, after: int) -> ItemsRead:
        order = ReadItems(portfolio_id=self._known.portfolio_id, state=state, after=after)
        return await perform(PortfolioActivities.read_portfolio_items, order, policies.RECORD, f"which are {state}")

    def _renew_if_long(self, at: AtWork | None) -> None:
        """Go on in a new run once the history is long; the database knows how far every item is."""
        if is_long() and not (self._begin or self._is_asked()):
            workflow.continue_as_new(self._known.model_copy(update={"at": at}))

    @property
    def _known(self) -> MovePortfolio:
        if self._order is None:
            raise AssertionError("it has been read")
        return self._order

    def _show(self, at: str) -> None:
        workflow.set_current_details(f"Portfolio `{self._known.portfolio_id}`: {at}.")
