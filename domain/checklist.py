"""What the manual tells people to check before the release and to do after it, each a point that somebody ticks.

The points before the release are comparisons ("Administraties controleren" of the manual, and for a customer who goes
on alone the eight of "Overstappen naar zelfstandig gebruik afronden"); those after it are "Wijzigingen na vrijgeven",
"Gebruikers uitnodigen" and what has to be activated again.
"""

from dataclasses import dataclass
from enum import StrEnum

from domain.vocabulary import Scenario


class Phase(StrEnum):
    """When a point is due."""

    BEFORE_RELEASE = "before_release"
    AFTER_RELEASE = "after_release"


class ChecklistItem(StrEnum):
    """Every point there is."""

    BANK_AND_CASH_ACCOUNTS = "bank_and_cash_accounts"
    BANK_CONNECTIONS = "bank_connections"
    BANK_TRANSACTIONS = "bank_transactions"
    TRIAL_BALANCE = "trial_balance"
    INVOICES_TO_SEND = "invoices_to_send"
    BANK_BALANCE = "bank_balance"
    RELATIONS = "relations"
    SALES_PRODUCTS = "sales_products"
    OPEN_ITEMS_DEBTOR = "open_items_debtor"
    OPEN_ITEMS_CREDITOR = "open_items_creditor"
    VAT_RETURNS = "vat_returns"
    FIXED_ASSETS = "fixed_assets"
    BECON_NUMBER = "becon_number"
    TAX_CONTACT_KIND = "tax_contact_kind"
    INVITE_USERS = "invite_users"
    REACTIVATE_BANKS = "reactivate_banks"
    REACTIVATE_APPS = "reactivate_apps"
    RELINK_MOBILE = "relink_mobile"
    MAILBOX_ADDRESS = "mailbox_address"
    BOOKMARKS = "bookmarks"


_I = ChecklistItem
# "Administraties controleren" of the manual.
_OF_A_FIRM = (
    *(_I.BANK_AND_CASH_ACCOUNTS, _I.BANK_CONNECTIONS, _I.BANK_TRANSACTIONS, _I.TRIAL_BALANCE),
    _I.INVOICES_TO_SEND,
)
# "Controleer de volgende gegevens in de nieuwe klantomgeving" of the manual.
_OF_WHO_GOES_ALONE = (
    *(_I.BANK_BALANCE, _I.TRIAL_BALANCE, _I.RELATIONS, _I.SALES_PRODUCTS),
    *(_I.OPEN_ITEMS_DEBTOR, _I.OPEN_ITEMS_CREDITOR, _I.VAT_RETURNS, _I.FIXED_ASSETS),
)
_AFTERWARDS = (
    *(_I.BECON_NUMBER, _I.TAX_CONTACT_KIND, _I.INVITE_USERS, _I.REACTIVATE_BANKS),
    *(_I.REACTIVATE_APPS, _I.RELINK_MOBILE, _I.MAILBOX_ADDRESS, _I.BOOKMARKS),
)


@dataclass(frozen=True, slots=True)
class ChecklistPoint:
    """A point of a transfer's list, and when it is due."""

    item: ChecklistItem
    phase: Phase


def checklist_of(scenario: Scenario | None) -> tuple[ChecklistPoint, ...]:
    """Return the points of a transfer, in the manual's order: eight before the release of an insource, else five."""
    before = _OF_WHO_GOES_ALONE if scenario is Scenario.INSOURCE else _OF_A_FIRM
    return (
        *(ChecklistPoint(item, Phase.BEFORE_RELEASE) for item in before),
        *(ChecklistPoint(item, Phase.AFTER_RELEASE) for item in _AFTERWARDS),
    )
