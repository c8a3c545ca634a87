"""The words of the manual as enumerations; their values are what the database, the API and Temporal show."""

from enum import StrEnum
from types import MappingProxyType
from typing import Final

# The cell (database) that `control` is in, and every environment unless its row says otherwise.
HOME: Final = "home"

# Where a payload that could not be read has a note of why, when a workflow meets it. It is never stored.
UNREADABLE: Final = "sb-transfer-unreadable"


class LicenceKind(StrEnum):
    """Who holds a licence."""

    FIRM = "firm"
    SELF_MANAGED = "self_managed"


class Language(StrEnum):
    """The language a recipient reads; Dutch unless the licence says otherwise."""

    DUTCH = "nl"
    ENGLISH = "en"


class Scenario(StrEnum):
    """The three moves that the manual describes."""

    SWITCH = "switch"
    OUTSOURCE = "outsource"
    INSOURCE = "insource"


class TransferState(StrEnum):
    """Where a transfer stands. RELEASED is the point of no return."""

    PREPARING = "preparing"
    AWAITING_UPLOAD = "awaiting_upload"
    SCHEDULED = "scheduled"
    CLONING = "cloning"
    AWAITING_RELEASE = "awaiting_release"
    RELEASED = "released"
    UNDOING = "undoing"
    UNDONE = "undone"

    @property
    def is_final(self) -> bool:
        """Tell whether nothing can follow any more."""
        return self in (TransferState.RELEASED, TransferState.UNDONE)


class UndoReason(StrEnum):
    """Why a transfer was undone."""

    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"


UNDONE_BECAUSE: Final = MappingProxyType(
    {
        UndoReason.EXPIRED: "the ticket expired",
        UndoReason.CANCELLED: "it was cancelled",
        UndoReason.REJECTED: "the new side rejected it",
        UndoReason.FAILED: "it failed",
    }
)


class EnvironmentStatus(StrEnum):
    """What an environment is good for now; only ACTIVE may be written by the application."""

    ACTIVE = "active"
    READ_ONLY = "read_only"
    BUILDING = "building"
    AWAITING_RELEASE = "awaiting_release"
    RETIRED = "retired"


class Bank(StrEnum):
    """The banks that the manual names. An environment may hold connections of others."""

    RABOBANK = "rabobank"
    KNAB = "knab"
    ABN_AMRO = "abn_amro"
    ING = "ing"


class ConnectionStatus(StrEnum):
    """State of a bank connection or an App Center connection."""

    ACTIVE = "active"
    NEEDS_REACTIVATION = "needs_reactivation"


class MailKind(StrEnum):
    """Every mail this service can send."""

    TICKET_ISSUED = "ticket_issued"
    UPLOAD_ACCEPTED = "upload_accepted"
    READY = "ready"
    RELEASED = "released"
    UNDONE = "undone"
    INVITATION = "invitation"
    TICKET_REMINDER = "ticket_reminder"
    RELEASE_REMINDER = "release_reminder"
    MAILBOX_CLOSED = "mailbox_closed"
    RETIREMENT_PLANNED = "retirement_planned"
    RETIRED = "retired"


class DeliveryOutcome(StrEnum):
    """What became of a mail or a scan that came in; the values are what `control.deliver_mail` returns."""

    DELIVERED = "delivered"
    HELD = "held"
    DUPLICATE = "duplicate"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class ConsequenceKind(StrEnum):
    """What a move changes in the new environment: the manual's "Let op" and "Wijzigingen na vrijgeven"."""

    QUOTES_EXPIRED = "quotes_expired"
    APP_CONNECTIONS_DEACTIVATED = "app_connections_deactivated"
    MOBILE_LINKS_UNLINKED = "mobile_links_unlinked"
    MAILBOX_ADDRESS_CHANGED = "mailbox_address_changed"
    MAILBOX_MESSAGES_CARRIED = "mailbox_messages_carried"
    SCANBOX_DOCUMENTS_CARRIED = "scanbox_documents_carried"
    BECON_NUMBERS_CLEARED = "becon_numbers_cleared"
    BECON_NUMBERS_TO_REVIEW = "becon_numbers_to_review"
    TAX_CONTACT_KINDS_TO_REVIEW = "tax_contact_kinds_to_review"


class CheckKind(StrEnum):
    """The comparisons that the manual tells people to make, in its order."""

    BANK_BALANCE = "bank_balance"
    TRIAL_BALANCE = "trial_balance"
    RELATIONS = "relations"
    SALES_PRODUCTS = "sales_products"
    OPEN_ITEMS_DEBTOR = "open_items_debtor"
    OPEN_ITEMS_CREDITOR = "open_items_creditor"
    VAT_RETURNS = "vat_returns"
    FIXED_ASSETS = "fixed_assets"
    BANK_AND_CASH_ACCOUNTS = "bank_and_cash_accounts"
    BANK_CONNECTIONS = "bank_connections"
    BANK_TRANSACTIONS = "bank_transactions"
    INVOICES_TO_SEND = "invoices_to_send"
