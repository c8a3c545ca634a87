"""Five hundred customers in one portfolio, on skipped time, with environments in memory."""

import asyncio
import uuid
from contextlib import suppress
from datetime import timedelta

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.portfolio import PortfolioActivities
from domain.portfolio import (
    ItemDone,
    ItemOrder,
    ItemsRead,
    ItemState,
    MovePortfolio,
    PortfolioDecision,
    ReadItems,
    portfolio_workflow_id,
)
from workflows.portfolio import PortfolioWorkflow
from workflows.sandbox import sandbox
from workflows.task_queues import TRANSFERS

MANY = 500
SICK, UNEQUAL = frozenset(range(100, 110)), frozenset({7})


class Books:
    """What the database and the transfers would know."""

    def __init__(self) -> None:
        self.states = dict.fromkeys(range(1, MANY + 1), ItemState.WAITING)
        self.sick = set(SICK)
        self.released: list[int] = []
        self.rejected: list[int] = []
        self.moved: list[int] = []
        self.at_work = self.most_at_work = 0

    async def read(self, order: ReadItems) -> ItemsRead:
        found = sorted(n for n, state in self.states.items() if state is order.state and n > order.after)
        ended = {*self.released, *self.rejected}
        left = [n for n, s in self.states.items() if s in (ItemState.WAITING, ItemState.READY)]
        moving = [n for n, s in self.states.items() if s is ItemState.MOVING and n not in ended]
        return ItemsRead(numbers=tuple(found[:50]), settled=not left and not moving)

    async def look(self, order: ItemOrder) -> ItemDone:
        return self._now(order, ItemState.REFUSED if order.number in self.sick else ItemState.READY)

    async def move(self, order: ItemOrder) -> ItemDone:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        await asyncio.sleep(0)
        self.at_work -= 1
        self.moved.append(order.number)
        return self._now(order, ItemState.MOVING)

    async def release(self, order: ItemOrder) -> ItemDone:
        if order.number not in UNEQUAL and order.number not in self.released:
            self.released.append(order.number)
        return ItemDone(state=self.states[order.number])

    async def cancel(self, order: ItemOrder) -> ItemDone:
        return self._now(order, ItemState.CANCELLED)

    def _now(self, order: ItemOrder, state: ItemState) -> ItemDone:
        self.states[order.number] = state
        return ItemDone(state=state)

    async def until(self, state: ItemState, count: int) -> None:
        while list(self.states.values()).count(state) != count:  # noqa: ASYNC110 - a worker of another task changes it
            await asyncio.sleep(0.02)


async def test_five_hundred_customers_and_what_becomes_of_each(skipping: WorkflowEnvironment) -> None:
    """A firm that takes over another would be moved by hand, or by a script that dies half-way."""
    books, portfolio_id = Books(), uuid.uuid4()
    activities = PortfolioActivities(books)
    worker = Worker(
        skipping.client,
        task_queue=TRANSFERS,
        workflows=[PortfolioWorkflow],
        activities=[
            activities.read_portfolio_items,
            activities.look_at_portfolio_item,
            activities.move_portfolio_item,
            activities.release_portfolio_item,
            activities.cancel_portfolio_item,
        ],
        workflow_runner=sandbox(),
    )
    async with worker:
        with skipping.with_time_skipping_disabled():
            handle = await skipping.client.start_workflow(
                PortfolioWorkflow.run,
                MovePortfolio(portfolio_id=portfolio_id, at_once=8),
                id=portfolio_workflow_id(portfolio_id),
                task_queue=TRANSFERS,
            )
            await books.until(ItemState.READY, MANY - len(SICK))
            assert books.moved == []
            by = PortfolioDecision(requested_by="support")
            await handle.signal(PortfolioWorkflow.begin, by)
            await books.until(ItemState.MOVING, MANY - len(SICK))
            assert len(books.moved) == len({*books.moved})
            assert books.most_at_work <= 8
            books.sick.clear()
            one = PortfolioDecision(requested_by="support", number=min(SICK))
            await handle.signal(PortfolioWorkflow.retry, one)
            await books.until(ItemState.MOVING, MANY - len(SICK) + 1)
            assert books.states[min(SICK)] is ItemState.MOVING
            await handle.signal(PortfolioWorkflow.retry, by)
            await books.until(ItemState.MOVING, MANY)
            await handle.signal(PortfolioWorkflow.release_equal, by)
            while len(books.released) < MANY - len(UNEQUAL):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
            assert not {*books.released} & UNEQUAL
            books.rejected.extend(UNEQUAL)
            described = await handle.describe()
            assert described.run_id != handle.first_execution_run_id  # its history was long
        while described.status is WorkflowExecutionStatus.RUNNING:
            newest = skipping.client.get_workflow_handle(handle.id, run_id=described.run_id)
            with suppress(RPCError):  # it has looked once more by itself, and ended, or goes on in another run
                await skipping.fast_forward(newest, timedelta(hours=2))
            described = await handle.describe()
        with skipping.with_time_skipping_disabled():
            ended = await handle.result()
    assert ended.settled
