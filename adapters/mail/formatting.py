"""How dates, amounts and the product's own words read in a mail, in Dutch and in English."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency

from domain.vocabulary import CheckKind, Language

_LOCALES = {Language.DUTCH: Locale("nl", "NL"), Language.ENGLISH: Locale("en", "GB")}
_BANKS = {"rabobank": "Rabobank", "knab": "KNAB", "abn_amro": "ABN AMRO", "ing": "ING", "asn": "ASN", "sns": "SNS"}
_CHECKS = {
    CheckKind.BANK_BALANCE: ("Banksaldo", "Bank balance"),
    CheckKind.TRIAL_BALANCE: ("Kolommenbalans", "Trial balance"),
    CheckKind.RELATIONS: ("Klanten/crediteuren", "Customers/creditors"),
    CheckKind.SALES_PRODUCTS: ("Verkoopproducten", "Sales products"),
    CheckKind.OPEN_ITEMS_DEBTOR: ("Openstaande posten (debiteur)", "Open items (debtor)"),
    CheckKind.OPEN_ITEMS_CREDITOR: ("Openstaande posten (crediteur)", "Open items (creditor)"),
    CheckKind.VAT_RETURNS: ("Btw-aangiften", "VAT returns"),
    CheckKind.FIXED_ASSETS: ("Vaste activa", "Fixed assets"),
    CheckKind.BANK_AND_CASH_ACCOUNTS: ("Bankrekeningen en Kassen", "Bank accounts and cash accounts"),
    CheckKind.BANK_CONNECTIONS: ("Bankkoppelingen", "Bank connections"),
    CheckKind.BANK_TRANSACTIONS: ("Bankmutaties", "Bank transactions"),
    CheckKind.INVOICES_TO_SEND: ("Te verzenden verkoopfacturen", "Sales invoices to send"),
}


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
        if self.language is Language.ENGLISH:
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
        return _CHECKS[kind][self.language is Language.ENGLISH]

    def _place(self) -> str:
        if self._zone.key != "Europe/Amsterdam":
            return self._zone.key
        return "Amsterdam time" if self.language is Language.ENGLISH else "Amsterdamse tijd"
