"""What the manual's comparisons are about: the columns of the rows behind each, and their words in both languages.

Everything that shows a comparison (page, mail, command line, spreadsheet) reads this one table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from domain.vocabulary import CheckKind

# A word in Dutch and in English.
Words = tuple[str, str]


class Form(Enum):
    """How the values of a column read."""

    TEXT = auto()
    WORD = auto()
    MONEY = auto()
    NUMBER = auto()
    DATE = auto()
    BANK = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One value of each row behind a check, under the name that the check's statement gives it.

    Attributes:
        name: The name in the statement and in JSON.
        title: What people read above it.
        form: How a value reads.
        total: Whether it is added up.
        headline: Whether its total stands in the check's own line.
    """

    name: str
    title: Words
    form: Form = Form.TEXT
    total: bool = False
    headline: bool = False


@dataclass(frozen=True, slots=True)
class CheckContents:
    """What one check is about.

    Attributes:
        title: What the manual calls it.
        one: What a row is.
        several: What rows are.
        columns: The row's values, behind its name.
        tally: The column whose words are counted in the check's line.
    """

    title: Words
    one: Words
    several: Words
    columns: tuple[Column, ...]
    tally: str = ""

    @property
    def totals(self) -> list[str]:
        """Return the columns that are added up."""
        return [column.name for column in self.columns if column.total]


_NAME = Column("name", ("Naam", "Name"))
_ACCOUNT = Column("ledger_account", ("Grootboek", "Ledger account"))
_BALANCE = Column("balance", ("Saldo", "Balance"), Form.MONEY, total=True, headline=True)
_OPEN_ITEMS = (
    Column("items", ("Posten", "Items"), Form.NUMBER, total=True, headline=True),
    Column("amount", ("Openstaand", "Outstanding"), Form.MONEY, total=True, headline=True),
    Column("not_due", ("Niet vervallen", "Not due"), Form.MONEY, total=True),
    Column("days_1_to_30", ("1-30 dagen", "1-30 days"), Form.MONEY, total=True),
    Column("days_31_to_60", ("31-60 dagen", "31-60 days"), Form.MONEY, total=True),
    Column("days_61_to_90", ("61-90 dagen", "61-90 days"), Form.MONEY, total=True),
    Column("days_over_90", ("Ouder dan 90 dagen", "Over 90 days"), Form.MONEY, total=True),
)
_RELATION: tuple[Words, Words] = (("relatie", "relation"), ("relaties", "relations"))
_BANK_ACCOUNT: tuple[Words, Words] = (("rekening", "account"), ("rekeningen", "accounts"))

CONTENTS: Mapping[CheckKind, CheckContents] = {
    CheckKind.BANK_BALANCE: CheckContents(
        ("Banksaldo", "Bank balance"),
        *_BANK_ACCOUNT,
        (
            _NAME,
            _ACCOUNT,
            _BALANCE,
            Column("ledger_balance", ("Saldo grootboek", "Ledger balance"), Form.MONEY, total=True, headline=True),
        ),
    ),
    CheckKind.TRIAL_BALANCE: CheckContents(
        ("Kolommenbalans", "Trial balance"),
        ("grootboekrekening", "ledger account"),
        ("grootboekrekeningen", "ledger accounts"),
        (
            Column("year", ("Boekjaar", "Year")),
            Column("opening", ("Beginbalans", "Opening"), Form.MONEY, total=True),
            Column("debit", ("Debet", "Debit"), Form.MONEY, total=True, headline=True),
            Column("credit", ("Credit", "Credit"), Form.MONEY, total=True, headline=True),
            Column("balance", ("Saldo", "Balance"), Form.MONEY, total=True, headline=True),
        ),
    ),
    CheckKind.RELATIONS: CheckContents(
        ("Klanten/crediteuren", "Customers/creditors"),
        *_RELATION,
        (
            Column("kind", ("Soort", "Kind"), Form.WORD),
            Column("city", ("Plaats", "City")),
            Column("email", ("E-mailadres", "E-mail")),
            Column("iban", ("IBAN", "IBAN")),
            Column("vat_number", ("Btw-nummer", "VAT number")),
            Column("payment_days", ("Betaaltermijn", "Payment days"), Form.NUMBER),
        ),
        tally="kind",
    ),
    CheckKind.SALES_PRODUCTS: CheckContents(
        ("Verkoopproducten", "Sales products"),
        ("product", "product"),
        ("producten", "products"),
        (
            Column("unit", ("Eenheid", "Unit"), Form.WORD),
            Column("unit_price", ("Prijs excl. btw", "Price excl. VAT"), Form.MONEY),
            Column("vat_code", ("Btw-tarief", "VAT rate"), Form.WORD),
            _ACCOUNT,
        ),
    ),
    CheckKind.OPEN_ITEMS_DEBTOR: CheckContents(
        ("Openstaande posten (debiteur)", "Open items (debtor)"), *_RELATION, _OPEN_ITEMS
    ),
    CheckKind.OPEN_ITEMS_CREDITOR: CheckContents(
        ("Openstaande posten (crediteur)", "Open items (creditor)"), *_RELATION, _OPEN_ITEMS
    ),
    CheckKind.VAT_RETURNS: CheckContents(
        ("Btw-aangiften", "VAT returns"),
        ("aangifte", "return"),
        ("aangiften", "returns"),
        (
            Column("status", ("Status", "Status"), Form.WORD),
            Column("filed_on", ("Ingediend op", "Filed on"), Form.DATE),
            Column("turnover_high", ("1a Omzet hoog", "1a Turnover high"), Form.MONEY, total=True),
            Column("vat_high", ("1a Btw hoog", "1a VAT high"), Form.MONEY, total=True),
            Column("turnover_low", ("1b Omzet laag", "1b Turnover low"), Form.MONEY, total=True),
            Column("vat_low", ("1b Btw laag", "1b VAT low"), Form.MONEY, total=True),
            Column("turnover_zero", ("1e Omzet nul of verlegd", "1e Turnover zero"), Form.MONEY, total=True),
            Column("input_vat", ("5b Voorbelasting", "5b Input VAT"), Form.MONEY, total=True),
            Column("amount", ("Te betalen", "To pay"), Form.MONEY, total=True, headline=True),
        ),
        tally="status",
    ),
    CheckKind.FIXED_ASSETS: CheckContents(
        ("Vaste activa", "Fixed assets"),
        ("activum", "asset"),
        ("activa", "assets"),
        (
            Column("purchased_on", ("Aangeschaft op", "Purchased on"), Form.DATE),
            Column("purchase_value", ("Aanschafwaarde", "Purchase value"), Form.MONEY, total=True),
            Column("depreciated", ("Afgeschreven", "Depreciated"), Form.MONEY, total=True),
            Column("residual_value", ("Restwaarde", "Residual value"), Form.MONEY, total=True),
            Column("book_value", ("Boekwaarde", "Book value"), Form.MONEY, total=True, headline=True),
        ),
    ),
    CheckKind.BANK_AND_CASH_ACCOUNTS: CheckContents(
        ("Bankrekeningen en Kassen", "Bank accounts and cash accounts"),
        *_BANK_ACCOUNT,
        (Column("kind", ("Soort", "Kind"), Form.WORD), _ACCOUNT, Column("bic", ("BIC", "BIC")), _BALANCE),
        tally="kind",
    ),
    CheckKind.BANK_CONNECTIONS: CheckContents(
        ("Bankkoppelingen", "Bank connections"),
        ("koppeling", "connection"),
        ("koppelingen", "connections"),
        (
            Column("bank", ("Bank", "Bank"), Form.BANK),
            Column("status", ("Status", "Status"), Form.WORD),
            Column("to_do", ("Wat je doet", "What to do"), Form.WORD),
        ),
        tally="status",
    ),
    CheckKind.BANK_TRANSACTIONS: CheckContents(
        ("Bankmutaties", "Bank transactions"),
        ("rekening en maand", "account and month"),
        ("rekeningen en maanden", "accounts and months"),
        (
            Column("transactions", ("Mutaties", "Transactions"), Form.NUMBER, total=True, headline=True),
            Column("unprocessed", ("Niet verwerkt", "Not processed"), Form.NUMBER, total=True),
            Column("money_in", ("Bij", "In"), Form.MONEY, total=True, headline=True),
            Column("money_out", ("Af", "Out"), Form.MONEY, total=True, headline=True),
        ),
    ),
    CheckKind.INVOICES_TO_SEND: CheckContents(
        ("Te verzenden verkoopfacturen", "Sales invoices to send"),
        ("factuur", "invoice"),
        ("facturen", "invoices"),
        (
            Column("customer", ("Klant", "Customer")),
            Column("invoice_date", ("Factuurdatum", "Invoice date"), Form.DATE),
            Column("due_date", ("Vervaldatum", "Due date"), Form.DATE),
            Column("amount", ("Excl. btw", "Excl. VAT"), Form.MONEY, total=True),
            Column("vat_amount", ("Btw", "VAT"), Form.MONEY, total=True),
            Column("total", ("Incl. btw", "Incl. VAT"), Form.MONEY, total=True, headline=True),
        ),
    ),
}

# The words of columns, and of the one row that is no ledger account; what is not here is shown as it is.
VALUES: Mapping[str, Words] = {
    "result_of_earlier_years": ("Resultaat voorgaande jaren", "Result of earlier years"),
    "active": ("actief", "active"),
    "needs_reactivation": ("opnieuw te activeren", "to be activated again"),
    "nothing": ("niets", "nothing"),
    "activate": ("activeer opnieuw", "activate again"),
    "debtor": ("klant", "customer"),
    "creditor": ("crediteur", "creditor"),
    "high": ("hoog", "high"),
    "low": ("laag", "low"),
    "zero": ("nul", "zero"),
    "piece": ("stuk", "piece"),
    "hour": ("uur", "hour"),
    "month": ("maand", "month"),
    "day": ("dag", "day"),
    "concept": ("concept", "draft"),
    "filed": ("ingediend", "filed"),
    "confirmed": ("bevestigd", "confirmed"),
    "bank": ("bank", "bank"),
    "cash": ("kas", "cash"),
}

# The same words when several are counted.
COUNTED: Mapping[str, Words] = {
    "debtor": ("klanten", "customers"),
    "creditor": ("crediteuren", "creditors"),
    "bank": ("banken", "banks"),
    "cash": ("kassen", "cash accounts"),
}
