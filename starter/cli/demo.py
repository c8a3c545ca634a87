"""The whole move, three times, on a stack of its own that is gone afterwards: `sb-transfer demo`."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rich.rule import Rule
from rich.text import Text

from adapters.settings import Settings
from devstack.seed import SHOW_MOVES, ShowMove, make_books
from devstack.stack import Stack
from domain import messages as m
from domain.errors import Misconfigured, TransferError, Unavailable
from domain.vocabulary import Scenario, TransferState
from starter.cli import panels as display
from starter.cli import tables
from starter.cli.demo_report import DemoReport, collect, problems_of
from starter.cli.output import ExitCode, Output, complain
from starter.cli.watch import Show, screen
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.models import TransferSnapshot
from starter.client.polling import snapshots

_ACTOR = "demo"
_POLL_SECONDS = 0.1
_OWN_SERVERS = ("SB_TRANSFER_", "TEMPORAL_")


async def demo(
    output: Output, *, scenario: Scenario | None = None, journal_lines: int = 20_000, keep: Path | None = None
) -> ExitCode:
    """Move real environments in all three scenarios and show everything that a move does.

    The servers are this demo's own, whatever the environment names: a demo must not seed anybody's database.

    Args:
        output: Where it is told.
        scenario: One of the three only.
        journal_lines: The size of the largest environment.
        keep: A folder to keep the stack's data in; a temporary one, removed at the end, when it is left out.

    Returns:
        OK when every move ended released with two equal sides, else DIFFERENT.

    Raises:
        Unavailable: A server did not start, or the moves did not end in time.
    """
    moves = [move for move in SHOW_MOVES if scenario in (None, move.scenario)]
    patience = 180 + journal_lines / 500
    try:
        async with asyncio.timeout(patience), _stage(keep) as (stack, client, settings):
            _introduce(stack, output)
            await _seed(settings, journal_lines, output)
            reports = [await _Move(move, client, settings, stack, output).run() for move in moves]
    except TimeoutError:
        raise Unavailable(
            f"The demo did not end within {display.duration(patience)}. Run it with --keep and look."
        ) from None
    problems = [f"{report.scenario.value}: {problem}" for report in reports for problem in problems_of(report)]
    output.answer(reports, *_conclusion(reports, problems))
    for problem in problems:
        complain(problem)
    return ExitCode.DIFFERENT if problems else ExitCode.OK


@asynccontextmanager
async def _stage(keep: Path | None) -> AsyncIterator[tuple[Stack, TransferClient, Settings]]:
    """Start the stack and connect; leave no process, and no file unless they are to be kept."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_SERVERS)}
    with _folder(keep) as folder:
        async with Stack(folder, environment=environment, lasts=keep is not None) as stack:
            variables = stack.process_environment()
            settings = settings_of(variables)
            async with connect(settings, environment=variables) as client:
                yield stack, client, settings


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise Misconfigured(f"{keep} is not empty, and a demo begins anew. Choose another folder with --keep.")
        yield keep
        return
    folder = Path(tempfile.mkdtemp(prefix="sb-transfer-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def _seed(settings: Settings, journal_lines: int, output: Output) -> None:
    seeded = await make_books(settings, journal_lines=journal_lines)
    output.say(
        Text(f"Seeded {len(seeded.environments)} environments, {seeded.rows:,} rows, in {seeded.seconds:.1f} s.")
    )


def _introduce(stack: Stack, output: Output) -> None:
    output.say(
        Text("PostgreSQL, Temporal, a mail catcher and the worker run, for this demo only.", style="green"),
        Text(f"Temporal's own page, while it lasts: {stack.info.ui_url}"),
    )


class _Move:
    """One move of the demo, through the public client only."""

    def __init__(
        self, move: ShowMove, client: TransferClient, settings: Settings, stack: Stack, output: Output
    ) -> None:
        self._move = move
        self._client = client
        self._settings = settings
        if stack.info.mail_dir is None:
            raise AssertionError("the demo's mail server is its own")
        self._mails = stack.info.mail_dir
        self._output = output

    async def run(self) -> DemoReport:
        """Prepare, upload, start, watch, compare, release; return everything that came of it."""
        move, output, zone = self._move, self._output, self._settings.zone
        output.say(
            Text(),
            Rule(Text(f"{move.scenario.value}: {move.environment} from {move.old_licence} to {move.new_licence}")),
        )
        environment = await self._client.environment(f"{move.old_licence}/{move.environment}")
        preview = await self._client.preview(str(environment.environment_id))
        output.say(display.preview(preview))
        with screen(output.people, zone) as show:
            prepared = await self._client.prepare(
                str(environment.environment_id),
                requested_by=_ACTOR,
                on_progress=lambda status: show(TransferSnapshot(status=status)),
            )
            transfer_id = str(prepared.transfer_id)
            accepted = await self._client.upload(
                prepared.ticket,
                licence=move.new_licence,
                name=move.new_name,
                login_email=move.login_email,
                uploaded_by=_ACTOR,
            )
            await self._client.start_now(transfer_id, by=_ACTOR)
            await self._follow(transfer_id, TransferState.AWAITING_RELEASE, show)
            await self._client.release(transfer_id, by=_ACTOR, note="the demo has compared")
            last = await self._follow(transfer_id, TransferState.RELEASED, show)
        output.say(
            Text(
                f"It would have started at {display.moment(accepted.starts_at, zone)}; the demo sent start_now "
                "instead of waiting for the evening."
            )
        )
        result = await self._client.result(transfer_id)
        results = await self._client.results(transfer_id)
        report = await collect(self._client, result, self._mails)
        self._tell(last.status, report, results.report.checks if results.report else [])
        return report

    async def _follow(self, transfer_id: str, state: TransferState, show: Show) -> TransferSnapshot:
        """Show the transfer until it is in a state.

        Raises:
            TransferError: It turned back instead.
        """
        reached = (state, TransferState.UNDONE, TransferState.RELEASED)
        async for snapshot in snapshots(
            self._client, transfer_id, lambda s: s.state in reached, poll_seconds=_POLL_SECONDS
        ):
            show(snapshot)
            last = snapshot
        if last.status.state is not state:
            raise TransferError(f"The transfer is {last.status.state.value}: {last.status.undo_detail}")
        return last

    def _tell(self, status: m.TransferStatus, report: DemoReport, checks: Sequence[m.Check]) -> None:
        self._output.say(
            Text("\nTimeline", style="bold"),
            display.timeline(status, self._settings.zone),
            Text("\nComparison", style="bold"),
            tables.comparison(checks, self._settings.zone),
            Text("\nMail", style="bold"),
            tables.mails([(mail.kind, mail.to, mail.subject) for mail in report.mails]),
        )


def _conclusion(reports: Sequence[DemoReport], problems: Sequence[str]) -> list[Text]:
    rows = sum(report.rows for report in reports)
    seconds = sum(report.clone_seconds + report.verify_seconds for report in reports)
    verdict = (
        Text("Every row is equal on both sides, and every check.", style="green")
        if not problems
        else Text(f"{len(problems)} things are not as they should be.", style="bold red")
    )
    return [
        Text(f"\n{len(reports)} environments moved: {rows:,} rows cloned and verified in {seconds:.1f} s."),
        verdict,
    ]
