"""Watching a transfer live: the terminal is redrawn while it moves, or one line is written for each change."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.live import Live

from domain import messages as m
from domain.errors import Unavailable
from domain.steps import STEPS, StepState
from domain.vocabulary import TransferState
from starter.cli import panels as display
from starter.client.client import TransferClient
from starter.client.comparison import OnComparison
from starter.client.models import Sight

_POLL_SECONDS = 0.25
_IDLE_POLL_SECONDS = 2.0
_TITLES = {step.name: step.title for step in STEPS}
# What is over in moments is looked at often, what waits for people is not.
_QUICK = (TransferState.PREPARING, TransferState.CLONING, TransferState.UNDOING)

Enough = Callable[[m.TransferStatus], bool]
Show = Callable[[Sight], None]


def is_over(status: m.TransferStatus) -> bool:
    """Tell whether nothing more will happen."""
    return status.state.is_final


async def sights(
    client: TransferClient, which: str, enough: Enough = is_over, *, poll_seconds: float | None = None
) -> AsyncIterator[Sight]:
    """Yield where a transfer stands, again and again, until it is enough.

    A server or a worker that is away for a while is waited for; only the first look must succeed.

    Args:
        client: Whom to ask.
        which: The transfer.
        enough: Tells whether to stop after a sight.
        poll_seconds: How often to look; often while it works and less so while it waits, when it is left out.
    """
    sight = await client.status(which)
    transfer_id = str(sight.status.transfer_id)  # a name may come to mean two environments while we watch
    yield sight
    while not enough(sight.status):
        usual = _POLL_SECONDS if sight.status.state in _QUICK else _IDLE_POLL_SECONDS
        await asyncio.sleep(poll_seconds or usual)
        try:
            sight = await client.status(transfer_id)
        except Unavailable:
            continue
        yield sight


@contextmanager
def screen(console: Console, zone: ZoneInfo) -> Iterator[Show]:
    """Give a function that shows a sight: redrawn in place on a terminal, line by line in a log or a pipe."""
    if not console.is_terminal:
        yield _Log(console).show
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:

        def show(sight: Sight) -> None:
            live.update(display.sight(sight, now=datetime.now(UTC), zone=zone), refresh=True)

        yield show


@contextmanager
def comparing(console: Console) -> Iterator[OnComparison]:
    """Give a function that shows how far a comparison is, on a terminal; elsewhere it says nothing."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda progress: live.update(display.clone_line(progress), refresh=True)


class _Log:
    """Writes what is new since the last sight, and nothing twice."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[str] = set()

    def show(self, sight: Sight) -> None:
        status = sight.status
        for step in status.steps:
            if step.state not in (StepState.PENDING, StepState.RUNNING):
                self._tell(f"{step.state.value}: {_TITLES[step.step]}" + (f" · {step.detail}" if step.detail else ""))
        for trouble in sight.troubles:
            self._tell(f"tried again: {trouble.activity} · {trouble.problem}")
        self._tell(f"{status.state.value}" + (f", waits for {status.waiting_for}" if status.waiting_for else ""))

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._console.print(display.plain(line), soft_wrap=True)


async def watch_until(
    client: TransferClient, which: str, console: Console, zone: ZoneInfo, enough: Enough = is_over
) -> Sight:
    """Show a transfer until it is enough; return the last sight."""
    last: Sight | None = None
    with screen(console, zone) as show:
        async for sight in sights(client, which, enough):
            show(sight)
            last = sight
    if last is None:
        raise AssertionError("the first look either succeeds or raises")
    return last
