"""Moving many environments: each activity does one thing with one of them, as often as it takes."""

from temporalio import activity

from activities.heartbeat import heartbeats
from domain.portfolio import ItemDone, ItemOrder, ItemsRead, PortfolioActivityName, ReadItems
from domain.ports import PortfolioMover


class PortfolioActivities:
    """Looks at, moves, releases and cancels items; part of no transfer's own story."""

    def __init__(self, mover: PortfolioMover) -> None:
        self._mover = mover

    @activity.defn(name=PortfolioActivityName.READ_ITEMS)
    async def read_portfolio_items(self, order: ReadItems) -> ItemsRead:
        return await self._mover.read(order)

    @activity.defn(name=PortfolioActivityName.LOOK_AT_ITEM)
    async def look_at_portfolio_item(self, order: ItemOrder) -> ItemDone:
        async with heartbeats():
            return await self._mover.look(order)

    @activity.defn(name=PortfolioActivityName.MOVE_ITEM)
    async def move_portfolio_item(self, order: ItemOrder) -> ItemDone:
        async with heartbeats():
            return await self._mover.move(order)

    @activity.defn(name=PortfolioActivityName.RELEASE_ITEM)
    async def release_portfolio_item(self, order: ItemOrder) -> ItemDone:
        async with heartbeats():
            return await self._mover.release(order)

    @activity.defn(name=PortfolioActivityName.CANCEL_ITEM)
    async def cancel_portfolio_item(self, order: ItemOrder) -> ItemDone:
        async with heartbeats():
            return await self._mover.cancel(order)
