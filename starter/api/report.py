"""The comparison as a page that an accountant can read and print, in their language."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from uuid import UUID
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from adapters.mail.formatting import Formatter
from domain import messages as m
from domain.comparison import CONTENTS
from domain.vocabulary import CheckKind, Language

# Words from a database are on this page: nothing in it may run, be fetched, or be framed.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# Some 3,000 administrations; nobody reads more on one page, and a browser stands still on it.
_MOST_CHECKS = 30_000
_WORDS = {
    Language.DUTCH: {
        "title": "Vergelijking van oude en nieuwe omgeving",
        "transfer": "Overdracht",
        "old": "Oud",
        "new": "Nieuw",
        "equal": "Alles is gelijk.",
        "different": "{} controles verschillen.",
        "proved": "{} regels in {} tabellen zijn byte voor byte vergeleken.",
        "made": "Gemaakt op {}.",
        "carried": "Meegenomen: {} openstaande mails en {} openstaande scans.",
        "held": "Sindsdien binnengekomen en bewaard tot het vrijgeven: {} mails en {} scans.",
        "row": "Regel",
        "side": "Omgeving",
        "both": "oud = nieuw",
        "total": "Totaal",
        "missing": "ontbreekt",
        "show": "Regels",
        "more_rows": "Er zijn meer regels; het CSV- of Excel-bestand heeft ze alle.",
        "no_rows": "De regels staan in het CSV- of Excel-bestand.",
        "more": "En nog {} controles; verschillen staan vooraan.",
    },
    Language.ENGLISH: {
        "title": "Comparison of the old and the new environment",
        "transfer": "Transfer",
        "old": "Old",
        "new": "New",
        "equal": "Everything is equal.",
        "different": "{} checks differ.",
        "proved": "{} rows in {} tables were compared byte for byte.",
        "made": "Made on {}.",
        "carried": "Came along: {} open mails and {} open scans.",
        "held": "Came in since, and kept until the release: {} mails and {} scans.",
        "row": "Row",
        "side": "Environment",
        "both": "old = new",
        "total": "Total",
        "missing": "missing",
        "show": "Rows",
        "more_rows": "There are more rows; the CSV or Excel file has them all.",
        "no_rows": "The rows are in the CSV or Excel file.",
        "more": "And {} more checks; differences come first.",
    },
}
_TEMPLATES = Environment(loader=PackageLoader("starter.api"), autoescape=True, undefined=StrictUndefined)


@dataclass(frozen=True, slots=True)
class RowsShown:
    """The first rows behind a check, and whether there are more."""

    rows: list[m.ComparedRow] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class ReportPage:
    """What is on the page. A check without an entry in `rows` is shown without them."""

    transfer_id: UUID
    old: m.EnvironmentSummary
    new: m.EnvironmentSummary
    report: m.ComparisonReport
    proof: m.Verification | None
    rows: Mapping[tuple[UUID, CheckKind], RowsShown]


def report_page(page: ReportPage, language: Language, zone: ZoneInfo) -> str:
    """Return the comparison as one HTML document; every word from a database is escaped.

    Takes seconds for thousands of administrations: call it outside the event loop.
    """
    formatter = Formatter(language, zone)
    checks = page.report.checks
    shown = shown_checks(page.report, _MOST_CHECKS)
    sections: dict[UUID, list[m.Check]] = {}
    for check in shown:
        sections.setdefault(check.administration_id, []).append(check)
    return _TEMPLATES.get_template("comparison.html").render(
        page=page,
        rows=dict(page.rows),
        language=language,
        words=_WORDS[language],
        formatter=formatter,
        contents=CONTENTS,
        unequal=sum(not check.equal for check in checks),
        sections=list(sections.values()),
        more=len(checks) - len(shown),
    )


def shown_checks(report: m.ComparisonReport, most: int) -> list[m.Check]:
    """Return at most so many checks of a comparison: those that differ, and then the others in their order."""
    if len(report.checks) <= most:
        return list(report.checks)
    return sorted(report.checks, key=attrgetter("equal"))[:most]
