"""Beating while work goes on: a cancel reaches an activity by its beats, and silence tells that a worker is gone.

Beats cost no history but reach only who asks the server for pending activities. Long work therefore also shows how far
it is where the API looks, and tells its workflow, seldom: that is what the page in the Temporal UI shows.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio import activity
from temporalio.service import RPCError

from domain.errors import Unavailable
from domain.messages import CloneProgress, StepSeen
from domain.ports import ReportProgress
from domain.steps import StepName

_log = logging.getLogger(__name__)

# Well inside the heartbeat time-out, and often enough for people who watch.
_BEAT_SECONDS = 2.0
# Each telling is four events in a history. Short work tells nothing; what is tried again and again tells ever less.
_SECONDS_BETWEEN_TELLINGS = 20.0
_TELLINGS = 40
_SIGNAL = "step_seen"
_RPC_TIMEOUT = timedelta(seconds=3)

Show = Callable[[StepSeen], Awaitable[None]]


@asynccontextmanager
async def heartbeats(step: StepName | None = None, show: Show | None = None) -> AsyncIterator[ReportProgress]:
    """Beat until the block ends, also while one long statement runs; what is reported travels with the beats.

    Args:
        step: The transfer's step that this is the work of; its workflow is told now and then how far it is.
        show: Shows how far it is to those who do not ask the workflow.
    """
    newest: CloneProgress | None = None

    def report(progress: CloneProgress) -> None:
        nonlocal newest
        newest = progress
        activity.heartbeat(progress)

    async def beat() -> None:
        while True:
            activity.heartbeat(*(() if newest is None else (newest,)))
            await asyncio.sleep(_BEAT_SECONDS)

    async def tell(step: StepName) -> None:
        tellings = ProgressSignals(step)
        shown: CloneProgress | None = None
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            if newest is None:
                continue
            if show and newest != shown:
                shown = newest
                await _show(show, StepSeen(step=step, progress=newest))
            await tellings.tell(newest)

    # Two tasks: a server that is slow to take the news must not keep the beats from coming.
    tasks = [asyncio.create_task(beat()), *([asyncio.create_task(tell(step))] if step else [])]
    try:
        yield report
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _show(show: Show, sight: StepSeen) -> None:
    """Show it; a database that does not take it must not disturb the work."""
    try:
        await show(sight)
    except Unavailable as error:
        _log.debug("it could not be shown how far %s is: %s", sight.step.value, error)


class ProgressSignals:
    """What one attempt tells its workflow: only when there is news, and not too often."""

    def __init__(self, step: StepName) -> None:
        self._step = step
        self._left = _TELLINGS // activity.info().attempt
        self._told: CloneProgress | None = None
        self._told_at = time.monotonic()  # work that is over before the first telling needs none

    async def tell(self, progress: CloneProgress) -> None:
        """Tell how far it is, if it is time to; a server that does not take it must not disturb the work."""
        if not self._left or progress == self._told or time.monotonic() - self._told_at < _SECONDS_BETWEEN_TELLINGS:
            return
        self._left -= 1
        self._told, self._told_at = progress, time.monotonic()
        info = activity.info()
        # This run only: whatever has taken over the workflow's id knows nothing of this work.
        workflow = activity.client().get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
        try:
            await workflow.signal(_SIGNAL, StepSeen(step=self._step, progress=progress), rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            _log.debug("the workflow was not told how far %s is: %s", self._step.value, error)
