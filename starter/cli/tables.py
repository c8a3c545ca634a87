"""Lists for a terminal: transfers, events, mails, comparisons; pure functions from messages to Rich renderables."""

import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from adapters.mail.formatting import Formatter
from adapters.transfer.queries import EnvironmentRecord, TransferEvent
from domain import messages as m
from domain.vocabulary import Language, TransferState
from starter.cli.panels import STATE_STYLES, columns, duration, moment, plain

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT?[ ]?\d\d:")


def comparison(checks: Sequence[m.Check], zone: ZoneInfo) -> RenderableType:
    """Return the manual's comparisons, old beside new, with every difference spelled out."""
    words = Formatter(Language.ENGLISH, zone)
    table = columns("administration", "check", "old", "new", "")
    shown = None
    for check in checks:
        verdict = Text(words.verdict(check), style="green" if check.equal else "bold red")
        # The name stands at the first of an administration's checks; below it, it would only be noise.
        name = plain(check.administration) if check.administration_id != shown else Text()
        shown = check.administration_id
        figures = [plain(words.figures(check.check, side)) for side in (check.old, check.new)]
        table.add_row(name, words.check(check.check), *figures, verdict)
        for row in check.differences:
            table.add_row("", "", "", plain(words.difference(check.check, row), "red"), "")
    return table


def differences(found: m.Verification) -> RenderableType:
    """Return the verdict of a byte-exact comparison, with the tables and keys that differ."""
    head = f"{found.tables} tables, {found.rows:,} rows compared byte for byte in {duration(found.seconds)}: "
    if found.equal:
        return Text(f"{head}equal.", style="green")
    table = columns("table", "difference", "keys")
    for one in found.differences:
        table.add_row(plain(one.table), plain(one.problem), plain(", ".join(one.keys)))
    return Group(Text(f"{head}{len(found.differences)} differences.", style="bold red"), table)


def transfers(records: Sequence[m.TransferRecord], zone: ZoneInfo) -> RenderableType:
    """Return a list of transfers, two lines each: what and where it stands, then when and by what to name it."""
    if not records:
        return Text("No transfers.", style="dim")
    lines: list[RenderableType] = []
    for record in records:
        state = record.state.value + (f" ({record.undo_reason.value})" if record.undo_reason else "")
        kind = f"{record.scenario.value}, " if record.scenario else ""
        starts = f", starts {moment(record.starts_at, zone)}" if record.state is TransferState.SCHEDULED else ""
        licences = f"{record.source_licence or '?'} → {record.target_licence or '?'}"
        head = Text.assemble(
            plain(record.environment_name or "?", "bold"),
            "  ",
            Text(state, style=STATE_STYLES.get(record.state, "cyan")),
            plain(f"  {kind}{licences}{starts}"),
        )
        lines += [head, plain(f"  {moment(record.created_at, zone)}  {record.workflow_id}", "dim")]
    return Group(*lines)


def evening(one: m.Evening, zone: ZoneInfo) -> RenderableType:
    """Return how far an evening is: in all and by licence, and its expected end against the closing of the window."""
    counted = ("planned", "begun", "ready", "postponed", "failed")
    table = columns("licence", *counted)
    for number, licence in one.by_licence.items():
        name = plain(f"{number} {licence.holder_name}")
        table.add_row(name, *(str(getattr(licence, count)) for count in counted))
    if one.left_out:
        table.add_row(Text(f"and {one.left_out} more licences", style="dim"), *([""] * len(counted)))
    table.add_row(Text("all", style="bold"), *(Text(str(getattr(one, count)), style="bold") for count in counted))
    head = f"The window of {one.evening} is open from {moment(one.opens_at, zone)} to {moment(one.closes_at, zone)}."
    if one.expected_end is None:
        end = Text("When the last one is ready is not known.", style="dim") if one.planned else Text("Nobody moves.")
    elif one.fits:
        end = Text(f"The last one is expected to be ready at {moment(one.expected_end, zone)}.", style="green")
    else:
        end = Text(
            f"It does not fit: the last one would be ready at {moment(one.expected_end, zone)}. What is left when the "
            "window closes is planned for the next evening.",
            style="bold red",
        )
    not_moved = [
        plain(f"{what}: {move.name} to {move.licence_number}, {move.why}", "yellow")
        for what, moves in (("put off", one.put_off), ("failed", one.undone))
        for move in moves
    ]
    return Group(Text(head), table, end, *not_moved)


def environments(found: Sequence[EnvironmentRecord]) -> RenderableType:
    """Return environments, two lines each: who and what, and where."""
    if not found:
        return Text("No environments.", style="dim")
    lines: list[RenderableType] = []
    for one in found:
        head = Text.assemble(plain(f"{one.licence_number}/{one.name}", "bold"), f"  {one.status.value}")
        lines += [head, plain(f"  {one.url}  {one.environment_id}", "dim")]
    return Group(*lines)


def events(story: Sequence[TransferEvent], zone: ZoneInfo) -> RenderableType:
    """Return a transfer's story: when, what and who on one line, and why below it, readable at 80 columns."""
    if not story:
        return Text("Nothing has been written yet.", style="dim")
    lines: list[RenderableType] = []
    for event in story:
        facts = ", ".join(
            f"{name.replace('_', ' ')} {_told(value, zone)}"
            for name, value in event.detail.items()
            if value is not None and not isinstance(value, dict | list)
        )
        what = plain(event.kind.replace("_", " "), "bold")
        lines.append(Text.assemble(moment(event.at, zone, seconds=True), "  ", what, "  ", plain(event.actor, "dim")))
        lines += [Padding(plain(text), (0, 0, 0, 4)) for text in (event.reason, facts) if text]
    return Group(*lines)


def _told(value: object, zone: ZoneInfo) -> str:
    """Return a fact of an event; a moment as the clock showed it."""
    try:
        return moment(datetime.fromisoformat(str(value)), zone) if _MOMENT.match(str(value)) else str(value)
    except ValueError:
        return str(value)


def mails(sent: Sequence[tuple[str, str, str]]) -> RenderableType:
    """Return mails, one line each: kind, recipient, subject."""
    if not sent:
        return Text("No mail.", style="dim")
    table = columns("kind", "to", "subject")
    for kind, recipient, subject in sent:
        table.add_row(plain(kind), plain(recipient), plain(subject))
    return table
