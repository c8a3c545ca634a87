"""How dates, amounts, comparisons and the product's own words read, in Dutch and in English."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal

from domain.comparison import CONTENTS, COUNTED, VALUES, Column, Form, Words
from domain.messages import Check, ComparedRow, Figures
from domain.vocabulary import CheckKind, Language

_LOCALES = {Language.DUTCH: Locale("nl", "NL"), Language.ENGLISH: Locale("en", "GB")}
_BANKS = {"rabobank": "Rabobank", "knab": "KNAB", "abn_amro": "ABN AMRO", "ing": "ING", "asn": "ASN", "sns": "SNS"}


class Formatter:
    """The words of one language on the clock of one zone."""

    def __init__(self, language: Language, zone: ZoneInfo) -> None:
        self.language = language
        self._locale = _LOCALES[language]
        self._zone = zone

    def day(self, moment: datetime) -> str:
        """Return the date in the zone: `dinsdag 24 november 2026`."""
        return format_date(moment.astimezone(self._zone), "EEEE d MMMM y", locale=self._locale)

    def clock(self, moment: datetime) -> str:
        """Return the wall clock in the zone, without seconds: `22:00`."""
        return f"{moment.astimezone(self._zone):%H:%M}"

    def moment(self, moment: datetime) -> str:
        """Return date, wall clock and whose clock it is."""
        if self._english:
            return f"{self.day(moment)} at {self.clock(moment)} ({self._place()})"
        return f"{self.day(moment)} om {self.clock(moment)} uur ({self._place()})"

    def money(self, amount: Decimal) -> str:
        """Return euros: `€ 1.234,56` or `€1,234.56`."""
        # A plain space: mails are broken into lines at others as well, and programs look for this one.
        return format_currency(amount, "EUR", locale=self._locale).replace("\N{NO-BREAK SPACE}", " ")

    def bank(self, name: str) -> str:
        """Return a bank as people write it."""
        return _BANKS.get(name, name.replace("_", " ").title())

    def check(self, kind: CheckKind) -> str:
        """Return what the manual calls a comparison."""
        return self.word(CONTENTS[kind].title)

    def word(self, words: Words) -> str:
        """Return the one in this language."""
        return words[self._english]

    def number(self, number: int | Decimal) -> str:
        """Return a whole number: `1.234` or `1,234`."""
        return format_decimal(number, locale=self._locale)

    def inbox(self, mails: int, scans: int) -> str:
        """Return how many mails and scans came in: `3 mails en 1 scan`."""
        told = [
            f"{self.number(count)} {word if count == 1 else f'{word}s'}"
            for count, word in ((mails, "mail"), (scans, "scan"))
            if count
        ]
        return (" and " if self._english else " en ").join(told)

    def item(self, name: str) -> str:
        """Return what a row behind a comparison is called."""
        return self.word(VALUES.get(name, (name, name)))

    def value(self, column: Column, value: str | int | None) -> str:
        """Return one value of a row behind a comparison."""
        if value is None or value == "":
            return ""
        readers: dict[Form, Callable[[str], str]] = {
            Form.MONEY: lambda text: self.money(Decimal(text)),
            Form.NUMBER: lambda text: self.number(Decimal(text)),
            Form.DATE: lambda text: format_date(date.fromisoformat(text), "d MMM y", locale=self._locale),
            Form.BANK: self.bank,
            Form.WORD: self.item,
            Form.TEXT: str,
        }
        return readers[column.form](str(value))

    def figures(self, kind: CheckKind, side: Figures | None) -> str:
        """Return what one side of a comparison comes to: `5 rekeningen: saldo € 159.995,25`."""
        if side is None:
            return "does not have this administration" if self._english else "heeft deze administratie niet"
        contents = CONTENTS[kind]
        told = f"{self.number(side.rows)} {self.word(contents.one if side.rows == 1 else contents.several)}"
        parts = [f"{self.number(times)} {self._counted(word, times)}" for word, times in sorted(side.tally.items())]
        parts += [
            f"{_lowered(self.word(column.title))} {self.value(column, str(side.totals[column.name]))}"
            for column in contents.columns
            if column.headline and column.name in side.totals
        ]
        return f"{told}: {', '.join(parts)}" if parts else told

    def verdict(self, check: Check) -> str:
        """Return how a comparison came out, in a word or two."""
        if not check.equal:
            return "DIFFERENT" if self._english else "VERSCHIL"
        if check.check is CheckKind.BANK_CONNECTIONS:
            return "as expected" if self._english else "zoals verwacht"
        return "equal" if self._english else "gelijk"

    def difference(self, kind: CheckKind, row: ComparedRow) -> str:
        """Return what differs in a row behind a comparison: `2026-Q1: Te betalen € 1,00 (oud), € 2,00 (nieuw)`."""
        name = self.item(row.item)
        if row.old is None or row.new is None:
            which = ("old", "new") if self._english else ("oude", "nieuwe")
            only = "only in the {} environment" if self._english else "alleen in de {} omgeving"
            return f"{name}: {only.format(which[row.old is None])}"
        old, new = ("old", "new") if self._english else ("oud", "nieuw")
        told = [
            f"{self.word(column.title)} {self.value(column, row.old.get(column.name)) or '-'} ({old}), "
            f"{self.value(column, row.new.get(column.name)) or '-'} ({new})"
            for column in CONTENTS[kind].columns
            if row.old.get(column.name) != row.new.get(column.name)
        ]
        other = (
            "what is shown is equal, other facts differ"
            if self._english
            else "wat hier staat is gelijk, iets anders verschilt"
        )
        return f"{name}: {'; '.join(told) or other}"

    def _counted(self, word: str, times: int) -> str:
        return self.word(COUNTED[word]) if times != 1 and word in COUNTED else self.item(word)

    @property
    def _english(self) -> bool:
        return self.language is Language.ENGLISH

    def _place(self) -> str:
        if self._zone.key != "Europe/Amsterdam":
            return self._zone.key
        return "Amsterdam time" if self._english else "Amsterdamse tijd"


def _lowered(title: str) -> str:
    """Return a column's title within a sentence; codes and abbreviations stay."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
