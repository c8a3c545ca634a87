"""What people see in a terminal: pure functions from messages to Rich renderables.

Whatever a customer typed becomes a `Text`, never markup, and loses the characters that would steer the terminal.
"""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from domain import messages as m
from domain.errors import all_errors
from domain.steps import STEPS, StepName, StepState
from domain.vocabulary import UNDONE_BECAUSE, TransferState
from starter.client.errors import NoAnswer
from starter.client.models import TransferSnapshot

_TITLES = {step.name: step.title for step in STEPS}
_MARKS = {
    StepState.PENDING: ("·", "dim"),
    StepState.RUNNING: ("▶", "bold cyan"),
    StepState.DONE: ("✔", "green"),
    StepState.FAILED: ("✖", "bold red"),
    StepState.UNDOING: ("↺", "bold yellow"),
    StepState.UNDONE: ("↩", "yellow"),
}
STATE_STYLES = {
    TransferState.RELEASED: "bold green",
    TransferState.UNDOING: "bold yellow",
    TransferState.UNDONE: "bold yellow",
}
_BAR_WIDTH = 40


def plain(text: str, style: str = "") -> Text:
    """Return somebody's text on one line, with nothing in it that styles, links, moves the cursor or hides."""
    shown = "".join(
        " " if character.isspace() else "�" if unicodedata.category(character)[0] == "C" else character
        for character in text
    )
    return Text(shown, style=style)


def moment(when: datetime | None, zone: ZoneInfo, *, seconds: bool = False) -> str:
    """Return a moment as the wall clock in `zone` showed it, or nothing; what has happened is told to the second."""
    return when.astimezone(zone).strftime(f"%Y-%m-%d %H:%M{':%S' if seconds else ''} %Z") if when else ""


def duration(seconds: float) -> str:
    """Return a duration as people say it: 0.4 s, 12 s, 3 min 05 s, 2 h 10 min, 29 d 23 h."""
    if seconds < 10:  # noqa: PLR2004 - tenths tell something below ten seconds only
        return f"{max(seconds, 0):.1f} s"
    whole = int(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if not minutes:
        return f"{whole} s"
    if not hours:
        return f"{minutes} min {whole % 60:02} s"
    if not days:
        return f"{hours} h {minutes % 60:02} min"
    return f"{days} d {hours % 24} h"


def transfer(
    status: m.TransferStatus, clone: m.CloneProgress | None = None, *, now: datetime, zone: ZoneInfo
) -> RenderableType:
    """Return a whole transfer: from where to where, each step with its time, the copy under way, what it waits for.

    Args:
        status: The answer to the `status` query.
        clone: The heartbeat of a clone or verification that runs at this moment.
        now: What running steps and waits are measured against.
        zone: The wall clock on which moments are shown.
    """
    parts: list[RenderableType] = [_route(status), Padding(_steps(status, now), (1, 0))]
    if clone is not None:
        parts.append(Padding(clone_line(clone), (0, 0, 1, 0)))
    parts.extend(_remarks(status, now, zone))
    title = Text(f" {status.state.value} ", style=STATE_STYLES.get(status.state, "bold cyan"))
    if status.scenario:
        title = Text.assemble(Text(f" {status.scenario.value} ·"), title)
    return Panel(Group(*parts), title=title, title_align="left", padding=(1, 2), border_style="dim")


def clone_line(clone: m.CloneProgress) -> RenderableType:
    """Return the copy's progress on one line: the bar, rows, rows per second, bytes, tables, and the time left."""
    if not clone.rows_total and not clone.rows_done:
        return plain(f"{clone.phase} …", "cyan")  # there are no figures yet
    line = Table.grid(padding=(0, 2))
    line.add_row(
        plain(clone.phase, "cyan"),
        ProgressBar(
            total=max(clone.rows_total, clone.rows_done, 1), completed=clone.rows_done, width=_BAR_WIDTH, pulse=False
        ),
        Text(f"{clone.rows_done:,} of {max(clone.rows_total, clone.rows_done):,} rows"),
        Text(f"{clone.rows_per_second:,.0f} rows/s", style="bold"),
        Text(f"{clone.bytes_done / 1e6:,.0f} of {clone.bytes_total / 1e6:,.0f} MB"),
        Text(f"{clone.tables_done} of {clone.tables_total} tables"),
        Text("" if clone.seconds_left is None else f"{duration(clone.seconds_left)} of rows left", style="dim"),
    )
    return line


def _route(status: m.TransferStatus) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for word, environment in (("from", status.old), ("to", status.new)):
        if environment:
            grid.add_row(
                Text(word, style="dim"),
                plain(environment.name, "bold"),
                plain(f"licence {environment.licence_number}"),
                plain(environment.url, "cyan"),
            )
    return Group(grid, Text(f"{status.workflow_id} · transfer {status.transfer_id}", style="dim"))


def _steps(status: m.TransferStatus, now: datetime) -> Table:
    table = Table.grid(padding=(0, 2))
    for step in status.steps:
        mark, style = _MARKS[step.state]
        idle = "dim" if step.state is StepState.PENDING else ""
        table.add_row(
            Text(mark, style=style),
            Text(_TITLES[step.step], style=idle),
            Text(_took(step, now), style="dim", justify="right"),
            plain(step.detail),
        )
    return table


def _took(step: m.StepStatus, now: datetime) -> str:
    if step.started_at is None:
        return ""
    return duration(((step.finished_at or now) - step.started_at).total_seconds())


def _remarks(status: m.TransferStatus, now: datetime, zone: ZoneInfo) -> list[RenderableType]:
    """Return what it waits for and what needs attention, one line each."""
    lines: list[RenderableType] = []
    if status.waiting_for and not status.state.is_final:
        lines.append(Text.assemble(("Waits for: ", "bold"), plain(status.waiting_for)))
    if status.state is TransferState.SCHEDULED and status.starts_at:
        remaining = duration((status.starts_at - now).total_seconds())
        lines.append(Text(f"Starts at {moment(status.starts_at, zone)}, in {remaining}."))
    if status.state is TransferState.AWAITING_UPLOAD and status.ticket_expires_at:
        lines.append(Text(f"The ticket is good until {moment(status.ticket_expires_at, zone)}."))
    if status.comparison:
        compared = status.comparison
        lines.append(
            Text(
                f"Compared: {compared.checks} checks over {compared.administrations} administrations, "
                + ("all equal." if not compared.unequal else f"{compared.unequal} differ."),
                style="green" if not compared.unequal else "bold red",
            )
        )
    if status.undo_reason:
        detail = f": {status.undo_detail}" if status.undo_detail else ""
        turned = "Undone" if status.state is TransferState.UNDONE else "Being undone"
        lines.append(plain(f"{turned} because {UNDONE_BECAUSE[status.undo_reason]}{detail}", "yellow"))
    lines.extend(
        plain(
            f"The mail {problem.kind.value} to {problem.recipient} did not arrive: {problem.problem} "
            "(`sb-transfer resend` sends it again)",
            "red",
        )
        for problem in status.mail_problems
    )
    return lines


def preview(found: m.Preview) -> RenderableType:
    """Return what a move will do: what is lost, what has to be done again, and what forbids it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")

    def row(title: str, texts: Iterable[str], none: str, style: str = "", *, of: str = "") -> None:
        lines = [plain(text, style) for text in texts]
        if more := found.left_out.get(of):
            lines.append(plain(f"and {more:,} more", style))
        grid.add_row(title, Group(*lines) if lines else Text(none, style="dim"))

    row("Environment", [f"{found.environment.name} · {found.environment.url}"], "")
    row("Holder", [f"{found.holder_name} ({found.licence_kind.value}), licence {found.environment.licence_number}"], "")
    size = found.estimate
    takes = "" if size.seconds is None else f", in about {duration(size.seconds)}"
    row("Carried", [f"{found.tables} tables, about {size.rows:,} rows, {size.bytes / 1e6:,.1f} MB{takes}"], "")
    row("Administrations", found.administrations, "none", of="administrations")
    row(
        "Quotes lost",
        (
            f"{quote.number} for {quote.customer}, € {quote.total} incl. VAT ({quote.administration})"
            for quote in found.open_quotes
        ),
        "none",
        "yellow",
        of="open_quotes",
    )
    row("Banks carried", map(_bank, found.banks_carried), "none", of="banks_carried")
    row("Banks to activate again", map(_bank, found.banks_to_reactivate), "none", "yellow", of="banks_to_reactivate")
    row("Apps to activate again", found.app_connections, "none", "yellow", of="app_connections")
    row("Users to link again", found.users_to_relink, "none", "yellow", of="users_to_relink")
    row(
        "Cannot be mailed",
        (f"{one.address}: {one.why}" for one in found.unreachable),
        "nobody",
        "yellow",
        of="unreachable",
    )
    row(
        "Cannot be carried",
        (str(side) for one in found.obstacles for side in (one.nl, one)),
        "nothing: all of it comes along",
        "bold red",
        of="obstacles",
    )
    if found.unasked:
        names = ", ".join(found.unasked)
        row(
            "Not found out in time", [f"{names}: the look after the freeze asks their rows"], "", "yellow", of="unasked"
        )
    return Panel(grid, title="What the move will do", title_align="left", padding=(1, 2), border_style="dim")


def _bank(connection: m.BankToReactivate) -> str:
    return f"{connection.bank} {connection.iban} ({connection.administration})"


def snapshot(seen: TransferSnapshot, *, now: datetime, zone: ZoneInfo) -> RenderableType:
    """Return a transfer as it was seen; with a remark when no worker answered and only the database told."""
    picture = transfer(seen.status, seen.clone, now=now, zone=zone)
    remarks = [
        plain(f"{trouble.activity} is tried again (attempt {trouble.attempt}): {trouble.problem}", "yellow")
        for trouble in seen.troubles
    ]
    if seen.unanswered:
        why = all_errors().get(seen.unanswered, NoAnswer).default_english()
        remarks.append(Text(f"This is what the database knows. {why}", style="yellow"))
    return Group(picture, *remarks) if remarks else picture


def timeline(status: m.TransferStatus, zone: ZoneInfo) -> RenderableType:
    """Return when each step began and how long it took, with a bar on one common scale."""
    begun = [step for step in status.steps if step.started_at is not None]
    if not begun:
        return Text("Nothing has happened yet.", style="dim")
    first = min(step.started_at for step in begun if step.started_at is not None)
    last = max(step.finished_at or step.started_at or first for step in begun)
    whole = max((last - first).total_seconds(), 1e-9)
    table = columns("began", "step", "took", "")
    table.columns[-1].no_wrap = True
    for step in begun:
        started = step.started_at or first
        ended = step.finished_at or last
        before = int((started - first).total_seconds() / whole * _BAR_WIDTH)
        during = max(int((ended - started).total_seconds() / whole * _BAR_WIDTH), 1)
        table.add_row(
            started.astimezone(zone).strftime("%H:%M:%S.%f")[:-3],
            _TITLES[step.step],
            Text(_took(step, last), justify="right"),
            Text(" " * min(before, _BAR_WIDTH - 1) + "━" * during, style=_bar_style(step.step)),
        )
    return table


def _bar_style(step: StepName) -> str:
    """Return a colour: what waits for people is dim, what works is not."""
    waits = (StepName.AWAIT_UPLOAD, StepName.WAIT_FOR_EVENING, StepName.AWAIT_RELEASE)
    return "dim" if step in waits else "cyan"


def columns(*titles: str) -> Table:
    """Return a plain table to fill; cells must be `Text`, or strings of our own making."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
