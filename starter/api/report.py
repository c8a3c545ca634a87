"""The comparison as a page that an accountant can read and print, in their language."""

from itertools import groupby
from operator import attrgetter
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from adapters.mail.formatting import Formatter
from domain import messages as m
from domain.vocabulary import Language

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
        "equal": "Alles is gelijk.",
        "different": "{} controles verschillen.",
        "proved": "{} regels in {} tabellen zijn byte voor byte vergeleken.",
        "made": "Gemaakt op {}.",
        "heads": ("Controle", "Oud", "Nieuw", "Uitkomst"),
        "same": "gelijk",
        "more": "En nog {} controles; verschillen staan vooraan.",
    },
    Language.ENGLISH: {
        "title": "Comparison of the old and the new environment",
        "equal": "Everything is equal.",
        "different": "{} checks differ.",
        "proved": "{} rows in {} tables were compared byte for byte.",
        "made": "Made on {}.",
        "heads": ("Check", "Old", "New", "Outcome"),
        "same": "equal",
        "more": "And {} more checks; differences come first.",
    },
}
_NAME = attrgetter("administration")
_TEMPLATES = Environment(loader=PackageLoader("starter.api"), autoescape=True, undefined=StrictUndefined)


def report_page(report: m.ComparisonReport, proof: m.Verification | None, language: Language, zone: ZoneInfo) -> str:
    """Return the comparison as one HTML document; every word from a database is escaped.

    Takes seconds for thousands of administrations: call it outside the event loop.
    """
    formatter = Formatter(language, zone)
    shown = shown_checks(report, _MOST_CHECKS)
    return _TEMPLATES.get_template("comparison.html").render(
        language=language,
        words=_WORDS[language],
        formatter=formatter,
        unequal=sum(not check.equal for check in report.checks),
        proof=proof,
        made=formatter.moment(report.made_at),
        sections=[(name, list(checks)) for name, checks in groupby(sorted(shown, key=_NAME), _NAME)],
        more=len(report.checks) - len(shown),
    )


def shown_checks(report: m.ComparisonReport, most: int) -> list[m.Check]:
    """Return at most so many checks of a comparison: those that differ, and then the others in their order."""
    if len(report.checks) <= most:
        return list(report.checks)
    return sorted(report.checks, key=attrgetter("equal"))[:most]
