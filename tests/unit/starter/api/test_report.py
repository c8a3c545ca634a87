"""The comparison as a page."""

import uuid
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from domain import messages as m
from domain.vocabulary import CheckKind, Language
from starter.api import report

ZONE = ZoneInfo("Europe/Amsterdam")
HOSTILE = "<script>alert('1')</script>"


def comparison(*checks: m.Check) -> m.ComparisonReport:
    """Return a comparison of these checks."""
    return m.ComparisonReport(made_at=datetime(2026, 11, 29, 21, 0, tzinfo=UTC), checks=list(checks))


def check(administration: str, *, equal: bool = True) -> m.Check:
    """Return one comparison."""
    return m.Check(
        administration_id=uuid.uuid4(),
        administration=administration,
        check=next(iter(CheckKind)),
        old=HOSTILE,
        new="1 & 1",
        equal=equal,
        differences=[] if equal else [HOSTILE],
    )


def test_words_of_a_database_are_text() -> None:
    """Escapes names, figures and differences."""
    page = report.report_page(comparison(check(HOSTILE), check("b", equal=False)), None, Language.DUTCH, ZONE)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4
    assert "1 &amp; 1" in page
    assert "1 controles verschillen." in page
    assert '<tr class="different">' in page


def test_a_long_comparison_is_capped_with_a_count_and_differences_first() -> None:
    """Shows every difference of a comparison that is too long for a page, and how much is left out."""
    made = comparison(*(check(f"{n:05}") for n in range(30_010)), check("99999", equal=False))
    page = report.report_page(made, None, Language.ENGLISH, ZONE)
    assert page.count("<tr class=") == 30_000
    assert page.count('"different"') == 1
    assert "And 11 more checks" in page
