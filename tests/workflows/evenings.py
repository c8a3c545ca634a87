"""Evenings that come at once, and work that does not get done in them."""

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.errors import Unavailable
from domain.vocabulary import TransferState
from tests.workflows.story import Transfer, reach, skip
from tests.workflows.world import WINDOW, Gate

A_MOMENT = timedelta(milliseconds=300)
# Windows that are too short for what is never done; no time is skipped while an activity runs, so they pass for real.
# `SHORT` is for an evening in which nothing has to be done, `BUSY` for one in which something has, on a busy machine.
SHORT = timedelta(seconds=4)
BUSY = timedelta(seconds=15)


async def asked(world: Gate, name: str, times: int = 1) -> None:
    """Wait until an activity has been asked for so often."""
    async with asyncio.timeout(60):
        while world.count()[name] < times:  # noqa: ASYNC110 - the world has no event for it
            await asyncio.sleep(0.02)


class Evenings:
    """The evenings of one transfer, whose clock runs ahead of everybody's by what was skipped."""

    def __init__(self, skipping: WorkflowEnvironment, transfer: Transfer) -> None:
        self._skipping = skipping
        self._transfer = transfer
        self._ahead = timedelta(0)
        self._skips: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Let the planned evening begin."""
        status = await reach(self._transfer, TransferState.SCHEDULED)
        assert status.starts_at
        wait = status.starts_at - datetime.now(UTC) - self._ahead + A_MOMENT
        self._ahead += wait - A_MOMENT
        # Not awaited: time is not skipped past an activity that runs.
        self._skips.append(asyncio.create_task(skip(self._skipping, self._transfer, wait)))


def away(world: Gate, name: str) -> None:
    """Let the database be away for an activity until `back` says otherwise."""

    async def again() -> None:
        world.failures[name] = [Unavailable()]

    world.hooks[name] = again


def back(world: Gate, name: str) -> None:
    del world.hooks[name]
    world.failures.pop(name, None)


async def put_off(world: Gate, transfer: Transfer, times: int) -> m.TransferStatus:
    """Wait until a transfer is planned again; one whose evening nobody began has been `scheduled` all the while."""
    await asked(world, "postpone", times)
    decided_at = [order for order in world.orders if isinstance(order, m.PostponeStart)][-1].decided_at
    async with asyncio.timeout(60):
        evening = WINDOW.start_after(decided_at)
        while (status := await reach(transfer, TransferState.SCHEDULED)).starts_at != evening:  # noqa: ASYNC110 - Temporal tells nobody
            await asyncio.sleep(0.02)
    return status
