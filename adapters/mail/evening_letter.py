"""The letter of the morning after: what an evening moved, what it put off and why, and what failed."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from adapters.mail.formatting import Formatter
from adapters.mail.messages import RenderedMail, environment_for, one_line, rendered, unlinked
from domain.messages import Evening, NotMoved
from domain.vocabulary import Language

_TEMPLATE = "evening_report.jinja"
_LONGEST_WHY = 300


def evening_letter(evening: Evening, zone: ZoneInfo, *, support: str = "") -> RenderedMail:
    """Return the report of an evening, in Dutch with English below it, as a subject, text and HTML."""
    nl, en = Formatter(Language.DUTCH, zone), Formatter(Language.ENGLISH, zone)
    values: dict[str, Any] = {
        "language": Language.DUTCH.value,
        "transfer": None,
        "support": support,
        "evening": evening,
        "nl": nl,
        "en": en,
        "licences_nl": [
            f"{number} {_name(one.holder_name)}: {nl.number(one.ready)} van {nl.number(one.planned)} klaar"
            + (f", {nl.number(one.postponed)} uitgesteld" if one.postponed else "")
            + (f", {nl.number(one.failed)} mislukt" if one.failed else "")
            for number, one in evening.by_licence.items()
        ],
        "put_off_nl": [*map(_put_off_nl, evening.put_off), *_more("en nog", evening.postponed, evening.put_off, nl)],
        "put_off_en": [*map(_put_off_en, evening.put_off), *_more("and", evening.postponed, evening.put_off, en)],
        "undone_nl": [
            *(f"{_of(one)}: {_why(one.why_nl or one.why)}" for one in evening.undone),
            *_more("en nog", evening.failed, evening.undone, nl),
        ],
        "undone_en": [
            *(f"{_of(one)}: failed. {_why(one.why)}" for one in evening.undone),
            *_more("and", evening.failed, evening.undone, en),
        ],
    }
    return rendered(environment_for("text"), environment_for("html"), _TEMPLATE, values)


def _put_off_nl(one: NotMoved) -> str:
    if one.begun:
        told = "het venster sloot voordat alles klaar was; wat er was gekloond, is weggehaald"
    else:
        told = "niet begonnen, want er was geen plaats of geen tijd meer"
    return f"{_of(one)}: {told}. {_why(one.why)}"


def _put_off_en(one: NotMoved) -> str:
    told = "the window closed before all was done, and the clone was taken away" if one.begun else "it did not begin"
    return f"{_of(one)}: {told}. {_why(one.why)}"


def _of(one: NotMoved) -> str:
    return f"{_name(one.name)} → {one.licence_number}"


def _more(words: str, of_all: int, told: Sequence[NotMoved], formatter: Formatter) -> list[str]:
    return [f"{words} {formatter.number(of_all - len(told))}"] if of_all > len(told) else []


def _name(text: str) -> str:
    return unlinked(str(one_line(text)))


def _why(text: str) -> str:
    return unlinked(str(one_line(text, _LONGEST_WHY)))
