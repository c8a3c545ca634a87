"""Watching a transfer live: the terminal is redrawn while it moves, or one line is written for each change."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.live import Live

from domain import messages as m
from domain.steps import STEPS, StepState
from domain.vocabulary import TransferState
from starter.cli import panels as display
from starter.cli import tables
from starter.cli.output import ExitCode, Output
from starter.client.client import TransferClient
from starter.client.comparison import OnComparison
from starter.client.models import TransferSnapshot
from starter.client.polling import Enough, is_over, snapshots

_EVENING_SECONDS = 2.0
_TITLES = {step.name: step.title for step in STEPS}
Show = Callable[[TransferSnapshot], None]


@contextmanager
def screen(console: Console, zone: ZoneInfo) -> Iterator[Show]:
    """Give a function that shows a snapshot: redrawn in place on a terminal, line by line in a log or a pipe."""
    if not console.is_terminal:
        yield _Log(console).show
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:

        def show(snapshot: TransferSnapshot) -> None:
            live.update(display.snapshot(snapshot, now=datetime.now(UTC), zone=zone), refresh=True)

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
    """Writes what is new since the last snapshot, and nothing twice."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[str] = set()

    def show(self, snapshot: TransferSnapshot) -> None:
        status = snapshot.status
        for step in status.steps:
            if step.state not in (StepState.PENDING, StepState.RUNNING):
                self._tell(f"{step.state.value}: {_TITLES[step.step]}" + (f" · {step.detail}" if step.detail else ""))
        for trouble in snapshot.troubles:
            self._tell(f"tried again: {trouble.activity} · {trouble.problem}")
        self._tell(f"{status.state.value}" + (f", waits for {status.waiting_for}" if status.waiting_for else ""))

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._console.print(display.plain(line), soft_wrap=True)


async def follow_evening(client: TransferClient, console: Console, zone: ZoneInfo) -> m.Evening:
    """Return how far the evening is; on a terminal it is shown again and again until nothing is left to be done."""
    evening = await client.evening()
    if not console.is_terminal:
        return evening
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            live.update(tables.evening(evening, zone), refresh=True)
            if evening.ready + evening.postponed + evening.failed >= evening.planned:
                return evening
            await asyncio.sleep(_EVENING_SECONDS)
            evening = await client.evening(evening.evening)


def answer_with(output: Output, snapshot: TransferSnapshot) -> ExitCode:
    """Answer with where a transfer stands; the exit code tells a script whether it was undone."""
    output.answer(snapshot, display.snapshot(snapshot, now=datetime.now(UTC), zone=output.zone))
    return code_of(snapshot)


def code_of(snapshot: TransferSnapshot) -> ExitCode:
    """Return the exit code that says whether a transfer was undone."""
    undone = snapshot.status.state in (TransferState.UNDOING, TransferState.UNDONE)
    return ExitCode.DIFFERENT if undone else ExitCode.OK


async def watch_until(
    client: TransferClient, which: str, console: Console, zone: ZoneInfo, enough: Enough = is_over
) -> TransferSnapshot:
    """Show a transfer until it is enough; return the last snapshot."""
    last: TransferSnapshot | None = None
    with screen(console, zone) as show:
        async for snapshot in snapshots(client, which, enough):
            show(snapshot)
            last = snapshot
    if last is None:
        raise AssertionError("the first look either succeeds or raises")
    return last
