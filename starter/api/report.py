"""The comparison as a page that an accountant can read and print."""

from collections import defaultdict
from html import escape

from adapters.register import TransferResults
from domain import messages as m
from domain.errors import WrongMoment

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .6rem; }
th { border-bottom: 2px solid #9fb3c8; } td { border-bottom: 1px solid #e4ebf2; }
.different { background: #fdecea; font-weight: 600; } small { color: #5b6b7c; }
"""
_NAMES = {
    "bank_balance": "Banksaldo",
    "trial_balance": "Kolommenbalans",
    "relations": "Relaties",
    "sales_products": "Verkoopproducten",
    "open_items_debtor": "Openstaande posten debiteuren",
    "open_items_creditor": "Openstaande posten crediteuren",
    "vat_returns": "Btw-aangiften",
    "fixed_assets": "Vaste activa",
    "bank_and_cash_accounts": "Bank- en kasrekeningen",
    "bank_connections": "Bankkoppelingen",
    "bank_transactions": "Bankmutaties",
    "invoices_to_send": "Te verzenden facturen",
}


def report_page(results: TransferResults) -> str:
    """Return the comparison as one HTML document in Dutch; every word from a database is escaped.

    Raises:
        WrongMoment: It has not been made yet.
    """
    report = results.report
    if report is None:
        raise WrongMoment
    by_administration: dict[str, list[m.Check]] = defaultdict(list)
    for check in report.checks:
        by_administration[check.administration].append(check)
    unequal = sum(not check.equal for check in report.checks)
    verdict = "Alles is gelijk." if not unequal else f"{unequal} controles verschillen."
    sections = "".join(_section(name, checks) for name, checks in sorted(by_administration.items()))
    proof = results.verification
    proved = f"{proof.rows} regels in {proof.tables} tabellen zijn byte voor byte vergeleken." if proof else ""
    return (
        f'<!doctype html><html lang="nl"><head><meta charset="utf-8"><title>Vergelijking</title>'
        f"<style>{_STYLE}</style></head><body><h1>Vergelijking van oude en nieuwe omgeving</h1>"
        f"<p><strong>{verdict}</strong> {proved}<br><small>Gemaakt op {report.made_at:%d-%m-%Y %H:%M} UTC.</small></p>"
        f"{sections}</body></html>"
    )


def _section(administration: str, checks: list[m.Check]) -> str:
    rows = "".join(_row(check) for check in checks)
    head = "<tr><th>Controle</th><th>Oud</th><th>Nieuw</th><th>Uitkomst</th></tr>"
    return f"<h2>{escape(administration)}</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _row(check: m.Check) -> str:
    outcome = "gelijk" if check.equal else "; ".join(check.differences)
    cells = (_NAMES[check.check], check.old, check.new, outcome)
    inside = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="{"equal" if check.equal else "different"}">{inside}</tr>'
