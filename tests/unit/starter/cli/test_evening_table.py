"""What operators read of an evening at noon."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from domain import messages as m
from starter.cli import tables

OPENS = datetime(2026, 12, 1, 21, tzinfo=UTC)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


@pytest.mark.parametrize(
    ("takes", "said"),
    [
        (timedelta(hours=3), "expected to be ready at 2026-12-02 01:00"),
        (timedelta(hours=30), "It does not fit"),
        (None, "not known"),
    ],
)
def test_an_evening_tells_whether_it_fits(takes: timedelta | None, said: str) -> None:
    """Says when the last move will be ready, that it will be too late, or that nobody knows."""
    counts = {"planned": 3, "begun": 1, "ready": 1, "postponed": 0, "failed": 0}
    evening = m.Evening(
        evening=date(2026, 12, 1),
        opens_at=OPENS,
        closes_at=OPENS + timedelta(hours=8),
        by_licence={"10002": m.LicenceEvening(holder_name="[red]Zuid", **counts)},
        put_off=[
            m.NotMoved(
                transfer_id=UUID(int=1), name="[b]Enyoi", licence_number="10002", begun=True, why="late", why_nl=""
            )
        ],
        undone=[],
        left_out=2,
        expected_end=OPENS + takes if takes else None,
        **counts,
    )
    console = Console(file=StringIO(), width=140)
    console.print(tables.evening(evening, AMSTERDAM))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert said in " ".join(shown.split())
    assert "10002 [red]Zuid" in shown
    assert "and 2 more licences" in shown
    assert "put off: [b]Enyoi to 10002, late" in shown
