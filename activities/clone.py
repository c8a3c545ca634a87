"""Copying an environment, proving the copy, and taking it away again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity

from domain import messages as m
from domain.ports import CloneEngine, ReportProgress, Verifier
from domain.steps import ActivityName

# Well inside the heartbeat time-out, and often enough for people who watch.
_BEAT_SECONDS = 2.0


@asynccontextmanager
async def heartbeats() -> AsyncIterator[ReportProgress]:
    """Beat with the newest progress, also while one long statement runs; a cancel reaches an activity by its beats."""
    newest = m.CloneProgress(phase="starting")

    def report(progress: m.CloneProgress) -> None:
        nonlocal newest
        newest = progress
        activity.heartbeat(progress)

    async def beat() -> None:
        while True:
            activity.heartbeat(newest)
            await asyncio.sleep(_BEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield report
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


class CloneActivities:
    """The heavy database work."""

    def __init__(self, engine: CloneEngine, verifier: Verifier) -> None:
        self._engine = engine
        self._verifier = verifier

    @activity.defn(name=ActivityName.CLONE_ADMINISTRATIONS)
    async def clone_administrations(self, order: m.CloneAdministrations) -> m.CloneFinished:
        async with heartbeats() as report:
            return await self._engine.clone(order, report)

    @activity.defn(name=ActivityName.VERIFY_CLONE)
    async def verify_clone(self, order: m.VerifyClone) -> m.Verification:
        async with heartbeats() as report:
            return await self._verifier.verify(order, report)

    @activity.defn(name=ActivityName.DROP_CLONE)
    async def drop_clone(self, order: m.DropClone) -> None:
        await self._engine.drop(order)
