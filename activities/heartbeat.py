"""Beating while work goes on: a cancel reaches an activity by its beats, and silence tells that a worker is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity

from domain.messages import CloneProgress
from domain.ports import ReportProgress

# Well inside the heartbeat time-out, and often enough for people who watch.
_BEAT_SECONDS = 2.0


@asynccontextmanager
async def heartbeats() -> AsyncIterator[ReportProgress]:
    """Beat until the block ends, also while one long statement runs; what is reported travels with the beats."""
    newest: CloneProgress | None = None

    def report(progress: CloneProgress) -> None:
        nonlocal newest
        newest = progress
        activity.heartbeat(progress)

    async def beat() -> None:
        while True:
            activity.heartbeat(*(() if newest is None else (newest,)))
            await asyncio.sleep(_BEAT_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield report
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
