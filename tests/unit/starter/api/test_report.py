"""The comparison as a page."""

import uuid
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from domain import messages as m
from domain.vocabulary import CheckKind, Language
from starter.api import report

ZONE = ZoneInfo("Europe/Amsterdam")
TRANSFER = uuid.UUID("11111111-2222-4333-8444-555555555555")
HOSTILE = "<script>alert('1')</script>"


def comparison(*checks: m.Check, rows: list[m.ComparedRow] | None = None) -> report.ReportPage:
    """Return the page of a comparison of these checks, with the rows behind the first of them."""
    old, new = (
        m.EnvironmentSummary(
            environment_id=uuid.uuid4(),
            name=name,
            url=f"https://kantoor.sb.example/{name}",
            licence_number="1",
            schema_name="env_x",
            mailbox_address="x@sb.example",
        )
        for name in ("oud", "nieuw")
    )
    made = m.ComparisonReport(made_at=datetime(2026, 11, 29, 21, 0, tzinfo=UTC), checks=list(checks))
    shown = {(checks[0].administration_id, checks[0].check): report.RowsShown(rows or [], more=bool(rows))}
    return report.ReportPage(transfer_id=TRANSFER, old=old, new=new, report=made, proof=None, rows=shown)


def check(administration: str, *, equal: bool = True) -> m.Check:
    """Return one comparison."""
    return m.Check(
        administration_id=uuid.uuid4(),
        administration=administration,
        check=CheckKind.RELATIONS,
        old=m.Figures(rows=1234, tally={HOSTILE: 1}),
        new=m.Figures(rows=1234, tally={"1 & 1": 1}),
        equal=equal,
        differences=[] if equal else [m.ComparedRow(item=HOSTILE, old={}, new=None, equal=False)],
    )


def test_words_of_a_database_are_text() -> None:
    """Escapes names, figures, rows and differences."""
    rows = [m.ComparedRow(item=HOSTILE, old={"city": HOSTILE}, new={"city": "b"}, equal=False)]
    made = comparison(check(HOSTILE), check("b", equal=False), rows=rows)
    page = report.report_page(made, Language.DUTCH, ZONE)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 7
    assert "1 &amp; 1" in page
    assert "1 controles verschillen." in page
    assert "1.234 relaties" in page
    assert '<section class="check different">' in page


def test_the_page_names_the_transfer_and_both_environments() -> None:
    """An accountant files the page: it must say what was compared with what."""
    page = report.report_page(comparison(check("a")), Language.ENGLISH, ZONE)
    for piece in (str(TRANSFER), "oud, https://kantoor.sb.example/oud", "nieuw, https://kantoor.sb.example/nieuw"):
        assert piece in page


def test_two_administrations_of_one_name_are_two() -> None:
    """Figures of the one would stand under the other."""
    page = report.report_page(comparison(check("Enyoi"), check("Enyoi")), Language.DUTCH, ZONE)
    assert page.count("<h2>Enyoi</h2>") == 2


def test_a_long_comparison_is_capped_with_a_count_and_differences_first() -> None:
    """Shows every difference of a comparison that is too long for a page, and how much is left out."""
    made = comparison(*(check(f"{n:05}") for n in range(30_010)), check("99999", equal=False))
    page = report.report_page(made, Language.ENGLISH, ZONE)
    assert page.count("<section class=") == 30_000
    assert page.count('"check different"') == 1
    assert "And 11 more checks" in page
