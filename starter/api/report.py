"""The comparison as a page that an accountant can read and print, in their language."""

from collections import defaultdict
from html import escape
from zoneinfo import ZoneInfo

from adapters.mail.formatting import Formatter
from adapters.transfer.queries import TransferResults
from domain import messages as m
from domain.errors import WrongMoment
from domain.vocabulary import Language

# Words from a database are on this page: nothing in it may run, be fetched, or be framed.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .6rem; }
th { border-bottom: 2px solid #9fb3c8; } td { border-bottom: 1px solid #e4ebf2; }
.different { background: #fdecea; font-weight: 600; } small { color: #5b6b7c; }
"""
_WORDS = {
    Language.DUTCH: {
        "title": "Vergelijking van oude en nieuwe omgeving",
        "equal": "Alles is gelijk.",
        "different": "{} controles verschillen.",
        "proved": "{} regels in {} tabellen zijn byte voor byte vergeleken.",
        "made": "Gemaakt op {}.",
        "heads": ("Controle", "Oud", "Nieuw", "Uitkomst"),
        "same": "gelijk",
    },
    Language.ENGLISH: {
        "title": "Comparison of the old and the new environment",
        "equal": "Everything is equal.",
        "different": "{} checks differ.",
        "proved": "{} rows in {} tables were compared byte for byte.",
        "made": "Made on {}.",
        "heads": ("Check", "Old", "New", "Outcome"),
        "same": "equal",
    },
}


def report_page(results: TransferResults, language: Language, zone: ZoneInfo) -> str:
    """Return the comparison as one HTML document; every word from a database is escaped.

    Raises:
        WrongMoment: It has not been made yet.
    """
    report = results.report
    if report is None:
        raise WrongMoment
    words, wording = _WORDS[language], Formatter(language, zone)
    by_administration: dict[str, list[m.Check]] = defaultdict(list)
    for check in report.checks:
        by_administration[check.administration].append(check)
    unequal = sum(not check.equal for check in report.checks)
    verdict = str(words["different"]).format(unequal) if unequal else words["equal"]
    sections = "".join(_section(name, checks, wording) for name, checks in sorted(by_administration.items()))
    proof = results.verification
    proved = str(words["proved"]).format(proof.rows, proof.tables) if proof else ""
    made = str(words["made"]).format(wording.moment(report.made_at))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{words["title"]}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{words['title']}</h1>"
        f"<p><strong>{verdict}</strong> {proved}<br><small>{made}</small></p>"
        f"{sections}</body></html>"
    )


def _section(administration: str, checks: list[m.Check], wording: Formatter) -> str:
    rows = "".join(_row(check, wording) for check in checks)
    head = "".join(f"<th>{title}</th>" for title in _WORDS[wording.language]["heads"])
    return f"<h2>{escape(administration)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(check: m.Check, wording: Formatter) -> str:
    outcome = str(_WORDS[wording.language]["same"]) if check.equal else "; ".join(check.differences)
    cells = (wording.check(check.check), check.old, check.new, outcome)
    inside = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="{"equal" if check.equal else "different"}">{inside}</tr>'
