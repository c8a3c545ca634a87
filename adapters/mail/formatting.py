"""How dates, amounts and the product's own words read in a mail, in Dutch and in English."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from domain.vocabulary import CheckKind, Language

_DAYS = {
    Language.DUTCH: ("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag"),
    Language.ENGLISH: ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_MONTHS = {
    Language.DUTCH: (
        *("januari", "februari", "maart", "april", "mei", "juni"),
        *("juli", "augustus", "september", "oktober", "november", "december"),
    ),
    Language.ENGLISH: (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
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
        self._zone = zone

    def day(self, moment: datetime) -> str:
        """Return the date in the zone: `dinsdag 24 november 2026`."""
        local = moment.astimezone(self._zone)
        weekday = _DAYS[self.language][local.weekday()]
        return f"{weekday} {local.day} {_MONTHS[self.language][local.month - 1]} {local.year}"

    def clock(self, moment: datetime) -> str:
        """Return the wall clock in the zone: `22:00`; with seconds where there are any."""
        local = moment.astimezone(self._zone)
        return f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"

    def moment(self, moment: datetime) -> str:
        """Return date, wall clock and whose clock it is."""
        if self.language is Language.ENGLISH:
            return f"{self.day(moment)} at {self.clock(moment)} ({self._place()})"
        return f"{self.day(moment)} om {self.clock(moment)} uur ({self._place()})"

    def money(self, amount: Decimal) -> str:
        """Return euros: `€ 1.234,56` or `€1,234.56`."""
        written = f"{abs(amount):,.2f}"
        sign = "-" if amount < 0 else ""
        if self.language is Language.ENGLISH:
            return f"{sign}€{written}"
        return f"€ {sign}{written.translate(str.maketrans(',.', '.,'))}"

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
