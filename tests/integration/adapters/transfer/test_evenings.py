"""An evening on one page, as the database tells it: before, during and after."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from adapters.mail.smtp import SmtpClient
from adapters.transfer.evening_report import EveningReporter
from adapters.transfer.evenings import PostgresEvenings
from devstack.mail import MailCatcher
from domain import messages as m
from domain.window import Window
from tests.integration.services import AMSTERDAM, NEW_FIRM, OLD_FIRM, Services

WINDOW = Window(time(22), time(6), AMSTERDAM)
DAY = date(2030, 5, 7)
OPENS = datetime(2030, 5, 7, 22, tzinfo=AMSTERDAM)


class Planned(Services):
    """Moves that are planned for an evening, as rows."""

    def evenings(self, slots: int = 2) -> PostgresEvenings:
        return PostgresEvenings(self.pool, WINDOW, slots=slots)

    async def plan(
        self,
        licence: str = NEW_FIRM,
        *,
        state: str = "scheduled",
        begun: float | None = None,
        ready: float | None = None,
        size: int | None = 1_000_000,
        undo_reason: str | None = None,
        starts_at: datetime = OPENS,
    ) -> None:
        """Plan a move; `begun` and `ready` are seconds after the opening."""
        moments = [None if at is None else starts_at + timedelta(seconds=at) for at in (begun, ready)]
        await self.pool.execute(
            "insert into control.transfer (transfer_id, workflow_id, environment_id, state, target_licence, starts_at, "
            "begun_at, ready_at, size_bytes, hash_seconds, undo_reason) "
            "values ($1, 'x', $1, $2, $3, $4, $5, $6, $7, 10, $8)",
            *(uuid4(), state, licence, starts_at, *moments, size, undo_reason),
        )


@pytest.fixture
async def planned(dsn: str) -> AsyncIterator[Planned]:
    async with Planned(dsn) as planned:
        yield planned


async def test_an_evening_is_told_in_all_and_by_licence(planned: Planned) -> None:
    """Counts what is planned, begun, ready and failed; who cancelled before it had begun is not of the evening."""
    await planned.plan(begun=1, ready=11, state="released")
    await planned.plan(begun=2, state="cloning")
    await planned.plan(begun=2, state="undone", undo_reason="failed")
    await planned.plan(OLD_FIRM)
    await planned.plan(state="undone", undo_reason="cancelled")
    await planned.plan(starts_at=OPENS + timedelta(days=1))
    evening = await planned.evenings().evening(DAY)
    assert (evening.planned, evening.begun, evening.ready, evening.postponed, evening.failed) == (4, 3, 1, 0, 1)
    assert list(evening.by_licence) == [NEW_FIRM, OLD_FIRM]
    assert (evening.by_licence[OLD_FIRM].planned, evening.by_licence[OLD_FIRM].begun) == (1, 0)
    assert evening.closes_at == datetime(2030, 5, 8, 6, tzinfo=AMSTERDAM)


async def test_the_expected_end_goes_by_what_is_known(planned: Planned) -> None:
    """By the hashes until others have moved, then by what those took and how many went at once."""
    for _ in range(6):
        await planned.plan()
    # Each was read in ten seconds, and two go at once.
    assert (await planned.evenings().evening(DAY)).expected_end == OPENS + timedelta(seconds=6 * 60 / 2)
    before = OPENS - timedelta(days=1)
    for number in range(8):
        await planned.plan(begun=number * 10, ready=number * 10 + 40, state="released", starts_at=before)
    evening = await planned.evenings().evening(DAY)
    # Forty seconds each; 320 seconds of work were done in 110.
    assert evening.expected_end is not None
    assert (evening.expected_end - OPENS).total_seconds() == pytest.approx(6 * 40 / (320 / 110))
    assert evening.fits
    for _ in range(3_000):
        await planned.plan()
    assert not (await planned.evenings().evening(DAY)).fits


async def test_what_was_put_off_stays_in_its_evening(planned: Planned) -> None:
    """The morning after tells what did not move, though it is planned for another evening by then."""
    move = await planned.move()
    made = await planned.accept(move, await planned.ticket(move))
    order = m.PostponeStart(transfer_id=move.transfer_id, evening=1, decided_at=made.closes_at, why="too late")
    await planned.planner.postpone(order)
    opened = made.accepted.starts_at
    first = await planned.evenings().evening(opened.date())
    assert (first.planned, first.begun, first.postponed) == (1, 0, 1)
    assert [(one.name, one.licence_number, one.begun, one.why) for one in first.put_off] == [
        ("Enyoi", NEW_FIRM, False, "too late")
    ]
    second = await planned.evenings().evening(opened.date() + timedelta(days=1))
    assert (second.planned, second.postponed) == (1, 0)


async def test_operators_get_one_report_the_morning_after(planned: Planned, tmp_path: Path) -> None:
    """Whoever sleeps through the evening would not know that a firm was put off, or be told by every worker."""
    name = "Enyoi <script>alert(1)</script> https://kwaad.example"
    move = await planned.move(name)
    made = await planned.accept(move, await planned.ticket(move))
    order = m.PostponeStart(transfer_id=move.transfer_id, evening=1, decided_at=made.closes_at, why="no place was left")
    await planned.planner.postpone(order)
    await planned.plan(begun=2, state="undone", undo_reason="failed", starts_at=made.accepted.starts_at)
    closes = made.closes_at
    async with MailCatcher(tmp_path) as catcher:
        mail = SmtpClient(SecretStr(catcher.url), "SB <noreply@sb.example>")
        told = ("nacht@sb.example", "geen adres", "dag@sb.example")
        reporters = [EveningReporter(planned.pool, WINDOW, mail, told) for _ in range(3)]
        assert [await one.report(closes) for one in reporters] == [None] * 3
        morning = closes + timedelta(hours=1)
        found = await asyncio.gather(*(one.report(morning) for one in reporters))
        assert sorted(map(str, found)) == sorted([str(made.accepted.starts_at.date()), "None", "None"])
        assert [await one.report(morning + timedelta(hours=1)) for one in reporters] == [None] * 3
        sent = catcher.mails()
    assert sorted(str(one["To"]) for one in sent) == ["dag@sb.example", "nacht@sb.example"]
    parts = [part for kind in ("plain", "html") if (part := sent[0].get_body((kind,)))]
    plain, html = [part.get_content() for part in parts]
    assert "2 gepland, 0 klaar om te vergelijken, 1 uitgesteld, 1 mislukt" in " ".join(plain.split())
    assert plain.index("Uitgesteld") < plain.index("Mislukt") < plain.index("In English")
    assert "no place was left" in plain
    assert "<script>" not in html
    assert "https://kwaad" not in plain
    assert "1 uitgesteld, 1 mislukt" in str(sent[0]["Subject"])


async def test_an_evening_of_nobody_is_empty(planned: Planned) -> None:
    """Tells of an evening on which nobody moves that nothing is expected."""
    evening = await planned.evenings().evening()
    assert (evening.planned, evening.by_licence, evening.expected_end) == (0, {}, None)
    assert evening.closes_at > datetime.now(UTC)
