"""The live display: pure functions from messages to what a terminal shows."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console, RenderableType

from adapters.transfer.queries import EnvironmentRecord, TransferEvent
from domain import messages as m
from domain.steps import STEPS, StepName, StepState
from domain.vocabulary import (
    CheckKind,
    EnvironmentStatus,
    LicenceKind,
    MailKind,
    Scenario,
    TransferState,
    UndoReason,
)
from starter.cli import panels as display
from starter.cli import tables
from starter.client.errors import NoWorker
from starter.client.models import RetriedActivity, Source, TransferSnapshot

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NOW = datetime(2026, 7, 1, 20, 0, tzinfo=UTC)
TRANSFER_ID = UUID("00000000-0000-4000-8000-000000000001")


def shown(renderable: RenderableType, width: int = 160) -> str:
    """Return the plain characters that a terminal of this width would show."""
    console = Console(width=width, record=True, file=StringIO(), legacy_windows=False)
    console.print(renderable)
    return console.export_text()


def environment(name: str = "Enyoi", licence: str = "10001") -> m.EnvironmentSummary:
    """Return an environment's summary."""
    return m.EnvironmentSummary(
        environment_id=TRANSFER_ID,
        name=name,
        url="https://jansen.sb.example/enyoi",
        licence_number=licence,
        schema_name="env_1",
        mailbox_address="enyoi@jansen.mailbox.sb.example",
    )


def status(state: TransferState = TransferState.CLONING, **changes: object) -> m.TransferStatus:
    """Return a status in the middle of the story: frozen, ticket issued, the rest to come."""
    steps = [m.StepStatus(step=step.name, state=StepState.PENDING) for step in STEPS]
    steps[0] = m.StepStatus(
        step=StepName.FREEZE,
        state=StepState.DONE,
        started_at=NOW - timedelta(seconds=90),
        finished_at=NOW - timedelta(seconds=88),
        detail="3 administrations, 22 tables fenced",
    )
    steps[4] = m.StepStatus(step=StepName.CLONE, state=StepState.RUNNING, started_at=NOW - timedelta(seconds=65))
    given: dict[str, object] = {
        "transfer_id": TRANSFER_ID,
        "workflow_id": f"transfer-{TRANSFER_ID}",
        "state": state,
        "scenario": Scenario.SWITCH,
        "old": environment(),
        "new": environment("Enyoi BV", "10002"),
        "steps": steps,
    }
    return m.TransferStatus.model_validate(given | changes)


def test_a_transfer_shows_its_route_steps_and_times() -> None:
    """Shows from where to where, what is done, and since when."""
    text = shown(display.transfer(status(), now=NOW, zone=AMSTERDAM))
    assert "switch" in text
    assert "cloning" in text
    assert "Enyoi BV" in text
    assert "licence 10002" in text
    assert "✔  Freeze the environment" in text
    assert "2.0 s" in text
    assert "▶  Clone the administrations" in text
    assert "1 min 05 s" in text
    assert "·  Await the release" in text


def test_the_clone_line_shows_rows_rate_and_tables() -> None:
    """Shows rows, rate and tables of a clone."""
    clone = m.CloneProgress(
        phase="load", rows_done=50_000, rows_total=200_000, tables_done=3, tables_total=22, elapsed_seconds=0.5
    )
    text = shown(display.transfer(status(), clone, now=NOW, zone=AMSTERDAM))
    assert "load" in text
    assert "50,000 of 200,000 rows" in text
    assert "100,000 rows/s" in text
    assert "3 of 22 tables" in text


def test_the_clone_line_says_how_long_the_rows_still_take() -> None:
    """Shows the time left once there is a rate."""
    clone = m.CloneProgress(
        phase="rows", rows_done=1, rows_total=4, bytes_done=50_000_000, bytes_total=200_000_000, elapsed_seconds=25
    )
    text = shown(display.clone_line(clone))
    assert "50 of 200 MB" in text
    assert "1 min 15 s of rows left" in text
    assert clone.model_copy(update={"bytes_done": 0}).seconds_left is None
    assert clone.model_copy(update={"bytes_done": 200_000_000}).seconds_left is None


def test_more_rows_than_were_estimated_do_not_break_the_bar() -> None:
    """Shows more rows than estimated as a full bar."""
    clone = m.CloneProgress(phase="load", rows_done=12, rows_total=10, elapsed_seconds=1)
    assert "12 of 12 rows" in shown(display.clone_line(clone))
    assert shown(display.clone_line(m.CloneProgress(phase="starting"))).strip() == "starting …"


def test_a_scheduled_transfer_shows_the_start_on_the_amsterdam_clock() -> None:
    """Shows the start on the clock of Amsterdam."""
    scheduled = status(TransferState.SCHEDULED, starts_at=NOW + timedelta(hours=1, minutes=30), waiting_for="evening")
    text = shown(display.transfer(scheduled, now=NOW, zone=AMSTERDAM))
    assert "2026-07-01 23:30 CEST" in text
    assert "in 1 h 30 min" in text
    assert "Waits for: evening" in text


def test_an_undone_transfer_says_why_and_a_lost_mail_shows() -> None:
    """Shows the reason of an undo, and mail that did not arrive."""
    undone = status(
        TransferState.UNDONE,
        undo_reason=UndoReason.REJECTED,
        undo_detail="the balance is wrong",
        mail_problems=[m.MailProblem(kind=MailKind.UNDONE, recipient="a@b.example", problem="mailbox full")],
    )
    text = shown(display.transfer(undone, now=NOW, zone=AMSTERDAM))
    assert "Undone because the new side rejected it: the balance is wrong" in text
    assert "undone to a@b.example did not arrive: mailbox full" in text


def test_what_is_tried_again_and_a_silent_worker_show() -> None:
    """Shows what is tried again and that no worker answers."""
    trouble = RetriedActivity(activity="send_mail", attempt=4, problem="[421] closing")
    seen = TransferSnapshot(status=status(), troubles=[trouble], told_by=Source.DATABASE, unanswered=NoWorker.code())
    text = shown(display.snapshot(seen, now=NOW, zone=AMSTERDAM))
    assert "send_mail is tried again (attempt 4): [421] closing" in text
    assert "No worker answers" in text
    assert "tried again" not in shown(display.snapshot(TransferSnapshot(status=status()), now=NOW, zone=AMSTERDAM))


@pytest.mark.parametrize("hostile", ["[red]Enyoi[/red]", "[/]", "[link=https://evil.example]klik[/link]", "[blink"])
def test_customers_text_is_never_markup(hostile: str) -> None:
    """Shows customers' text as text."""
    text = shown(display.transfer(status(old=environment(hostile)), now=NOW, zone=AMSTERDAM))
    assert hostile in text


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b[31mroot", "a\rb", "a\nb", "\x9b31m", "abc\u202etxt", "\x07"])
def test_customers_text_cannot_steer_the_terminal(hostile: str) -> None:
    """Takes control characters out of customers' text."""
    made = display.plain(hostile).plain
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or character == "\u202e" for character in made)
    assert len(made) == len(hostile)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.99, "10.0 s"),
        (59.9, "59 s"),
        (60, "1 min 00 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 00 min"),
        (86_399, "23 h 59 min"),
        (2_592_000 - 1, "29 d 23 h"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """Shows durations in days, hours or minutes as people say them."""
    assert display.duration(seconds) == text


def test_the_preview_tells_what_is_lost() -> None:
    """Names what is lost."""
    found = m.Preview(
        environment=environment(),
        holder_name="Jansen [& Zn]",
        licence_kind=LicenceKind.FIRM,
        administrations=["Enyoi Holding"],
        open_quotes=[
            m.QuoteLost(administration="Enyoi Holding", number="OFF-7", customer="[bold]Vis", total=Decimal("12.50"))
        ],
        app_connections=["Shopify"],
        banks_carried=[m.BankToReactivate(administration="Enyoi Holding", bank="rabobank", iban="NL1")],
        banks_to_reactivate=[m.BankToReactivate(administration="Enyoi Holding", bank="ing", iban="NL2")],
        users_to_relink=["piet@enyoi.example"],
        obstacles=[
            m.Obstacle(
                what="index by_total of line",
                why="it is not valid",
                remedy="Rebuild it",
                nl=m.Finding(what="index by_total van line", why="hij is niet geldig", remedy="Bouw hem opnieuw"),
            )
        ],
        unasked=["journal_line"],
        tables=22,
        estimate=m.Estimate(rows=20_000, bytes=3_400_000, seconds=95.2),
    )
    text = shown(display.preview(found))
    for piece in (
        "Jansen [& Zn]",
        "OFF-7 for [bold]Vis, € 12.50 incl. VAT",
        "Shopify",
        "rabobank NL1",
        "ing NL2",
        "piet@",
    ):
        assert piece in text
    assert "index by_total van line: hij is niet geldig. Bouw hem opnieuw." in text
    assert "index by_total of line: it is not valid. Rebuild it." in text
    assert "journal_line" in text
    assert "1 min 35 s" in text


def test_a_comparison_spells_out_every_difference() -> None:
    """Shows each difference with both figures."""
    checks = [
        m.Check(
            administration_id=TRANSFER_ID,
            administration="Enyoi",
            check=CheckKind.TRIAL_BALANCE,
            old=m.Figures(rows=1, totals={"debit": Decimal("1.00")}),
            new=m.Figures(rows=1, totals={"debit": Decimal("2.00")}),
            equal=False,
            differences=[
                m.ComparedRow(item="8000 Omzet", old={"debit": "1.00"}, new={"debit": "2.00"}, equal=False),
                m.ComparedRow(item="8010 Kosten", old={"debit": "1.00"}, new=None, equal=False),
            ],
        ),
        m.Check(
            administration_id=TRANSFER_ID,
            administration="Enyoi",
            check=CheckKind.RELATIONS,
            old=m.Figures(rows=4, tally={"debtor": 3, "creditor": 1}),
            new=m.Figures(rows=4, tally={"debtor": 3, "creditor": 1}),
            equal=True,
        ),
    ]
    text = " ".join(shown(tables.comparison(checks, AMSTERDAM)).split())
    for piece in (
        "DIFFERENT",
        "8000 Omzet: Debit €1.00 (old), €2.00 (new)",
        "only in the old environment",
        "3 customers",
    ):
        assert piece in text
    assert "equal" in text


def test_a_story_is_readable_in_eighty_columns() -> None:
    """On a telephone or a split screen each word of a reason stood on a line of its own."""
    story = [
        TransferEvent(
            event_id=1,
            at=NOW,
            actor="Anna [de] Vries (10001)",
            kind="undo_begun",
            reason="the table journal_line differs in 3 rows: " + "keys 1, 2, 3 " * 10,
            detail='{"reason": "failed"}',
        )
    ]
    console = Console(width=80, record=True, file=StringIO())
    console.print(tables.events(story, AMSTERDAM))
    lines = console.export_text().splitlines()
    assert "undo begun  Anna [de] Vries (10001)" in lines[0]
    assert re.search(r"\d\d:\d\d:\d\d CES?T", lines[0])
    assert len(lines) <= 5
    assert "keys 1, 2, 3 " * 10 in " ".join(" ".join(lines).split()) + " "


def test_environments_are_listed_with_what_other_commands_take() -> None:
    """Somebody who searches an environment wants to type its name into the next command."""
    found = EnvironmentRecord(
        **environment(name="[b]Enyoi").model_dump(),
        url_part="enyoi",
        status=EnvironmentStatus.ACTIVE,
        login_email=None,
        schema_version=1,
        created_at=NOW,
    )
    text = shown(tables.environments([found]))
    for piece in ("10001/[b]Enyoi  active", "https://jansen.sb.example/enyoi", str(TRANSFER_ID)):
        assert piece in text


def test_a_verification_names_tables_and_keys() -> None:
    """Names tables and keys of differing rows."""
    found = m.Verification(
        tables=2,
        rows=10,
        seconds=0.1,
        differences=[m.TableDifference(table="journal_line", problem="1 row differs", keys=["7"])],
    )
    text = shown(tables.differences(found))
    assert "journal_line" in text
    assert "1 row differs" in text
    assert "7" in text
    assert "equal" in shown(tables.differences(found.model_copy(update={"differences": []})))


def test_the_timeline_puts_steps_on_one_scale() -> None:
    """Draws all steps on one scale."""
    text = shown(display.timeline(status(), AMSTERDAM))
    freeze, clone = (line for line in text.splitlines() if "━" in line)
    assert freeze.startswith("21:58:30.000")
    assert clone.startswith("21:58:55.000")
    assert shown(display.timeline(status(steps=[]), AMSTERDAM)).strip() == "Nothing has happened yet."


def test_the_list_shows_each_transfer_at_eighty_columns() -> None:
    """Breaks no word of it."""
    record = m.TransferRecord(
        transfer_id=TRANSFER_ID,
        workflow_id=f"transfer-{TRANSFER_ID}",
        environment_id=TRANSFER_ID,
        environment_name="[i]Enyoi",
        new_environment_id=None,
        state=TransferState.UNDONE,
        scenario=None,
        source_licence="10001",
        target_licence=None,
        starts_at=None,
        created_at=NOW,
        undo_reason=UndoReason.EXPIRED,
    )
    text = shown(tables.transfers([record], AMSTERDAM), width=80)
    assert "[i]Enyoi" in text
    assert "undone (expired)" in text
    assert f"transfer-{TRANSFER_ID}" in text
    assert shown(tables.transfers([], AMSTERDAM)).strip() == "No transfers."
