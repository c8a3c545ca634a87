"""Waiting is part of the job: with reminders on the way, and no longer than the window is open."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any

from temporalio import workflow

from workflows import renewal
from workflows.activity_calls import is_cancel

# The server takes no timer of zero.
_AT_ONCE_SECONDS = 0.001


def _seconds_until(moment: datetime) -> float:
    return (moment - workflow.now()).total_seconds()


async def wait_and_remind(
    until: Callable[[], bool],
    reminders: Iterable[datetime],
    remind: Callable[[], None],
    *,
    at_most: datetime | None = None,
    summary: str | None = None,
) -> None:
    """Wait for something, and remind of it at these moments as long as it has not come.

    A moment that has passed when its turn comes is left out: after three weeks without a worker people get one
    reminder, not three at once.

    Args:
        until: Tells whether it has come.
        reminders: In order; endless if need be.
        remind: Reminds, without waiting.
        at_most: When to give up; never when it is left out.
        summary: What operators read beside that moment's timer.

    Raises:
        TimeoutError: It has not come by `at_most`.
        HistoryLong: The workflow goes on in a new run.
    """
    for moment in reminders:
        if (pause := _seconds_until(moment)) <= 0:
            continue
        try:
            await wait_until(until, timeout_seconds=pause, summary="a reminder")
        except TimeoutError:
            remind()
        else:
            return
    seconds = None if at_most is None else max(_seconds_until(at_most), _AT_ONCE_SECONDS)
    await wait_until(until, timeout_seconds=seconds, summary=summary)


async def wait_until(until: Callable[[], bool], *, timeout_seconds: float | None, summary: str | None) -> None:
    """Wait for something; when the history has become long meanwhile, leave the run, to wait in the next.

    Raises:
        TimeoutError: It has not come in time.
        HistoryLong: The workflow goes on in a new run.
    """
    await workflow.wait_condition(lambda: until() or renewal.is_due(), timeout=timeout_seconds, timeout_summary=summary)
    if not until():
        raise renewal.HistoryLong


async def done_before(
    closes_at: datetime | None,
    work: Coroutine[Any, Any, None],
    grace_until: Callable[[], datetime | None] = lambda: None,
) -> bool:
    """Do work and return whether it was done before the window closed; what was not done by then has been stopped.

    At the closing `grace_until` is asked until when it may go on, if so.

    Work that failed by then raises what it raises. A cancel of the workflow stops it too, and is raised also when the
    work was done before it heard of the cancel: an activity that ends before its next heartbeat never hears.
    """
    running = asyncio.create_task(work)
    seconds = None if closes_at is None else max(_seconds_until(closes_at), _AT_ONCE_SECONDS)
    try:
        try:
            await workflow.wait_condition(running.done, timeout=seconds, timeout_summary="the window closes")
        except TimeoutError:
            if (until := grace_until()) is None:
                raise
            seconds = max(_seconds_until(until), _AT_ONCE_SECONDS)
            await workflow.wait_condition(running.done, timeout=seconds, timeout_summary="the grace of the window ends")
    except TimeoutError:
        await _stop(running)
        if _was_stopped(running):
            return False
    except asyncio.CancelledError:
        await _stop(running)
        raise
    await running
    return True


async def _stop(running: "asyncio.Task[None]") -> None:
    """Cancel work and wait for its end; a cancel of the workflow meanwhile comes after that."""
    running.cancel()
    cancelled = False
    while not running.done():
        try:
            await workflow.wait_condition(running.done)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        _was_stopped(running)
        raise asyncio.CancelledError


def _was_stopped(running: "asyncio.Task[None]") -> bool:
    if running.cancelled():
        return True
    error = running.exception()
    return error is not None and is_cancel(error)
