"""What the service answers. The names are those of its description, docs/openapi.json; a test compares the two.

Moments are aware, in UTC. A field that a newer service adds is ignored; a word that it adds to an enumeration is kept
as it is, and is equal to its text. One file, in the order of the description.
"""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

__all__ = [
    "Accepted",
    "BankToReactivate",
    "BookedYear",
    "CalledBackView",
    "Check",
    "CheckKind",
    "ChecklistItem",
    "ChecklistLine",
    "ChecklistView",
    "CloneProgress",
    "CloudEvent",
    "ColumnView",
    "ComparedRow",
    "ComparedRowsView",
    "ComparisonSummary",
    "ComparisonView",
    "DeliveryOutcome",
    "DeliveryView",
    "DisabledBecause",
    "EnvironmentLineView",
    "EnvironmentPage",
    "EnvironmentStatus",
    "EnvironmentView",
    "Estimate",
    "EveningView",
    "EventData",
    "EventEnvironment",
    "EventPage",
    "EventView",
    "FieldProblem",
    "Figures",
    "Finding",
    "InboxCounts",
    "ItemState",
    "LicenceEvening",
    "LicenceKind",
    "LicenceView",
    "Liveness",
    "MailKind",
    "MailProblem",
    "MailView",
    "NameProblem",
    "NameView",
    "Phase",
    "PlannedView",
    "PortfolioItem",
    "PortfolioLine",
    "PortfolioPage",
    "PortfolioStanding",
    "PreviewView",
    "ProblemDetail",
    "QuoteLost",
    "Readiness",
    "RetirementView",
    "Scenario",
    "Sentences",
    "StepName",
    "StepState",
    "StepView",
    "TicketFile",
    "TicketView",
    "TransferLine",
    "TransferPage",
    "TransferState",
    "TransferView",
    "UndoReason",
    "UnreachableAddress",
    "UploadPreview",
    "UploadView",
    "WebhookPage",
    "WebhookSecret",
    "WebhookView",
]


class _Word(StrEnum):
    """An enumeration that takes words of newer services: a backend must not fail on a mail it has never heard of."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_ = value.upper()
        word._value_ = value
        return word


class TransferState(_Word):
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


class RetirementState(_Word):
    """How far the end of an old environment is."""

    NONE = "none"
    PLANNED = "planned"
    REMOVING = "removing"
    REMOVED = "removed"


class DeliveryOutcome(_Word):
    """What became of a mail or a scan that came in."""

    DELIVERED = "delivered"
    HELD = "held"
    DUPLICATE = "duplicate"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class UndoReason(_Word):
    """Why a transfer was undone."""

    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"


class Scenario(_Word):
    """From what kind of licence to what kind."""

    SWITCH = "switch"
    OUTSOURCE = "outsource"
    INSOURCE = "insource"


class LicenceKind(_Word):
    """Who holds a licence."""

    FIRM = "firm"
    SELF_MANAGED = "self_managed"


class Language(_Word):
    """The language a recipient reads."""

    DUTCH = "nl"
    ENGLISH = "en"


class MailKind(_Word):
    """Every mail that the service can send."""

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


class ItemState(_Word):
    """How far one environment of a portfolio is, as long as its transfer does not say so."""

    WAITING = "waiting"
    READY = "ready"
    REFUSED = "refused"
    MOVING = "moving"
    CANCELLED = "cancelled"


class DisabledBecause(_Word):
    """Why an endpoint is told nothing any more."""

    BY_HAND = "by_hand"
    GAVE_UP = "gave_up"
    GONE = "gone"


class CheckKind(_Word):
    """The comparisons of both environments."""

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


class EnvironmentStatus(_Word):
    """What an environment is good for now."""

    ACTIVE = "active"
    READ_ONLY = "read_only"
    BUILDING = "building"
    AWAITING_RELEASE = "awaiting_release"
    RETIRED = "retired"


class Phase(_Word):
    """When a point of a check list is due."""

    BEFORE_RELEASE = "before_release"
    AFTER_RELEASE = "after_release"


class ChecklistItem(_Word):
    """Every point of the manual's check lists."""

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


class StepName(_Word):
    """The steps of a transfer, in their order."""

    FREEZE = "freeze"
    HASH = "hash"
    TICKET = "ticket"
    AWAIT_UPLOAD = "await_upload"
    WAIT_FOR_EVENING = "wait_for_evening"
    CLONE = "clone"
    VERIFY = "verify"
    BANKS = "banks"
    CONSEQUENCES = "consequences"
    COMPARE = "compare"
    CERTIFY = "certify"
    NOTIFY = "notify"
    AWAIT_RELEASE = "await_release"
    CHECK = "check"
    RELEASE = "release"


class StepState(_Word):
    """Where a step stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class EnvironmentView(_Answer):
    """An environment by the names that people use."""

    environment_id: UUID
    name: str
    url: str
    licence_number: str


class EnvironmentLineView(_Answer):
    """An environment in a list."""

    environment_id: UUID
    name: str
    url: str
    licence_number: str
    holder_name: str
    status: EnvironmentStatus


class EnvironmentPage(_Answer):
    """Environments by licence and name."""

    items: list[EnvironmentLineView]
    next_cursor: str | None


class LicenceView(_Answer):
    """Who holds a licence."""

    licence_number: str
    holder_name: str
    kind: LicenceKind
    in_use: bool
    cancelled_at: AwareDatetime | None


class RegisteredLicenceView(_Answer):
    """A licence as it is registered."""

    licence_number: str
    holder_name: str
    kind: LicenceKind
    host: str
    contact_email: str
    language: Language
    cancelled: bool


class RegisteredEnvironmentView(_Answer):
    """An environment as it is registered."""

    environment_id: UUID
    licence_number: str
    name: str
    url: str
    url_part: str
    mailbox_address: str
    login_email: str | None
    status: EnvironmentStatus


class NameProblem(_Answer):
    """Why an upload with this name or url part would be refused."""

    field: Literal["name", "url_part"]
    type: str
    detail: str


class NameView(_Answer):
    """What a name and a url part would become, and what is wrong with them."""

    name: str
    url_part: str
    url: str | None
    problems: list[NameProblem]


class UploadPreview(_Answer):
    """What a ticket would do under a licence; it has not been used."""

    transfer_id: UUID
    environment_name: str
    holder_name: str
    new_holder: str
    scenario: Scenario
    expires_at: AwareDatetime


class ChecklistLine(_Answer):
    """A point of the manual's check lists."""

    item: ChecklistItem
    phase: Phase
    ticked_by: str | None
    ticked_at: AwareDatetime | None


class ChecklistView(_Answer):
    """Every point, in the manual's order: what to compare before the release, and what to do after it."""

    items: list[ChecklistLine]


class StepView(_Answer):
    """One step of the story."""

    step: StepName
    state: StepState
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class CloneProgress(_Answer):
    """How far the copy or its proof is; rows, bytes and tables."""

    phase: str
    rows_done: int = 0
    rows_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    tables_done: int = 0
    tables_total: int = 0
    elapsed_seconds: float = 0.0


class ComparisonSummary(_Answer):
    """How many comparisons were made, and how many of them differ."""

    checks: int
    unequal: int
    administrations: int


class MailProblem(_Answer):
    """A mail that did not arrive; it never stops a transfer."""

    kind: MailKind
    recipient: str
    problem: str


class TransferView(_Answer):
    """Where a transfer stands. What belongs to the other side is None."""

    transfer_id: UUID
    state: TransferState
    scenario: Scenario | None
    old: EnvironmentView | None
    new: EnvironmentView | None
    new_holder: str | None
    waiting_for: str
    ticket_expires_at: AwareDatetime | None
    starts_at: AwareDatetime | None
    steps: list[StepView]
    progress: CloneProgress | None
    comparison: ComparisonSummary | None
    mail_problems: list[MailProblem] | None
    undo_reason: UndoReason | None
    undo_detail: str | None


class TransferLine(_Answer):
    """A transfer in a list."""

    transfer_id: UUID
    state: TransferState
    scenario: Scenario | None
    environment_name: str | None
    new_name: str | None
    source_licence: str | None
    target_licence: str | None
    new_holder: str | None
    starts_at: AwareDatetime | None
    created_at: AwareDatetime
    undo_reason: UndoReason | None


class TransferPage(_Answer):
    """Transfers from new to old."""

    items: list[TransferLine]
    next_cursor: str | None


class QuoteLost(_Answer):
    """A quote that is open, and expires by the move."""

    administration: str
    number: str
    customer: str
    total: Decimal


class BankToReactivate(_Answer):
    """A bank connection."""

    administration: str
    bank: str
    iban: str


class UnreachableAddress(_Answer):
    """An address to which mail will not arrive."""

    address: str
    why: str


class Finding(_Answer):
    """Something in the environment that cannot be carried exactly, and what to do about it."""

    what: str
    why: str
    remedy: str


class Estimate(_Answer):
    """How large an environment is, and how long moving it takes; no seconds where nothing was moved before."""

    rows: int
    bytes: int
    seconds: float | None = None


class PreviewView(_Answer):
    """What a move will do, told before anything happens; of each list the first hundred."""

    environment: EnvironmentView
    holder_name: str
    licence_kind: LicenceKind
    administrations: list[str]
    open_quotes: list[QuoteLost]
    app_connections: list[str]
    banks_carried: list[BankToReactivate]
    banks_to_reactivate: list[BankToReactivate]
    users_to_relink: list[str]
    unreachable: list[UnreachableAddress] = []
    obstacles: list[Finding]
    unasked: list[str] = []
    tables: int
    estimate: Estimate
    left_out: dict[str, int] = {}


class Accepted(_Answer):
    """Something that goes on by itself."""

    transfer_id: UUID
    state: TransferState


class TicketView(_Answer):
    """What is known of a transfer's ticket; the file itself is kept nowhere."""

    file_name: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    for_licence: str | None
    made_at: AwareDatetime | None
    used_at: AwareDatetime | None
    revoked_at: AwareDatetime | None


class TicketFile(_Answer):
    """A ticket file: whoever has it may take the environment over, so it is neither shown nor written to JSON."""

    file_name: str
    content: bytes = Field(repr=False, exclude=True)


class UploadView(_Answer):
    """An accepted upload: where the environment will live, and exactly when its move starts."""

    transfer_id: UUID
    scenario: Scenario
    new_environment_id: UUID
    name: str
    url: str
    starts_at: AwareDatetime


class Figures(_Answer):
    """One side of a check: how many rows are behind it, and what is added up and counted of them, by name."""

    rows: int = 0
    totals: dict[str, Decimal] = {}
    tally: dict[str, int] = {}


class ComparedRow(_Answer):
    """One row behind a check, on both sides: values by the names of the columns; None where it is missing."""

    item: str
    old: dict[str, str | int | None] | None
    new: dict[str, str | int | None] | None
    equal: bool


class Check(_Answer):
    """One comparison of both environments; of `differences` the first five."""

    administration_id: UUID
    administration: str
    check: CheckKind
    old: Figures | None
    new: Figures | None
    equal: bool
    differences: list[ComparedRow] = []


class ColumnView(_Answer):
    """A value that each row behind a check has."""

    name: str
    title: str


class BookedYear(_Answer):
    """A year of an administration in which something was booked: there can be an auditfile of it."""

    administration_id: UUID
    administration: str
    year: int
    lines: int


class ComparedRowsView(_Answer):
    """So many of the rows behind one check, those that differ first."""

    check: CheckKind
    columns: list[ColumnView]
    rows: list[ComparedRow]
    next_after: int | None


class InboxCounts(_Answer):
    """What came along of mail and scans, and what has come in since and waits for the end of the move."""

    mails_open: int
    scans_open: int
    mails_held: int
    scans_held: int


class ComparisonView(_Answer):
    """So many checks of a comparison, and what there is in all."""

    made_at: AwareDatetime
    total: int
    unequal: int
    inbox: InboxCounts | None
    checks: list[Check]
    next_after: int | None


class HeldItemView(_Answer):
    """A mail or a scan that came while its environment moved; who sent it is null while that is not yours to see."""

    item_id: int
    kind: Literal["mail", "scan"]
    address: str
    sender: str | None
    subject: str | None
    received_at: AwareDatetime
    bytes: int
    set_aside: bool


class HeldItemsView(_Answer):
    """So many of the items that wait for the end of a transfer, in their order, and how many there are."""

    mails: int
    scans: int
    items: list[HeldItemView]
    next_after: int | None


class HeldAnywhereView(HeldItemView):
    """The same among those of all transfers: whom it came for, and the newest transfer of that environment."""

    environment_id: UUID | None
    environment_name: str | None
    licence_number: str | None
    transfer_id: UUID | None


class HeldAnywherePage(_Answer):
    """So many of the items that wait for the end of any transfer, in their order, and how many there are."""

    mails: int
    scans: int
    items: list[HeldAnywhereView]
    next_after: int | None


class RetirementView(_Answer):
    """The end of an old environment, as it is planned."""

    environment_id: UUID
    transfer_id: UUID
    due_at: AwareDatetime


class RetirementStandingView(_Answer):
    """How far the end of an old environment is."""

    environment_id: UUID
    state: RetirementState
    due_at: AwareDatetime | None
    retired_at: AwareDatetime | None


class CalledBackView(_Answer):
    """An environment that stays."""

    environment_id: UUID


class DeliveryView(_Answer):
    """What became of a mail or a scan."""

    outcome: DeliveryOutcome


class EventView(_Answer):
    """One line of a transfer's audit log."""

    event_id: int
    at: AwareDatetime
    actor: str
    kind: str
    reason: str
    detail: dict[str, JsonValue]


class MailView(_Answer):
    """What became of a mail that was asked for again."""

    kind: MailKind
    sent: int
    problems: list[MailProblem]


class PlannedView(_Answer):
    """The evening that a move waits for."""

    transfer_id: UUID
    starts_at: AwareDatetime
    closes_at: AwareDatetime


class EventEnvironment(_Answer):
    """An environment by the names that its half knows it by."""

    environment_id: UUID
    name: str
    licence_number: str


class EventData(_Answer):
    """What happened to a transfer; what belongs to the other side, or to the platform only, is null."""

    transfer_id: UUID
    kind: str
    state: TransferState | None = None
    undo_reason: UndoReason | None = None
    old: EventEnvironment | None = None
    new: EventEnvironment | None = None
    starts_at: AwareDatetime | None = None
    actor: str | None = None
    reason: str | None = None
    detail: dict[str, JsonValue] | None = None


class CloudEvent(_Answer):
    """An event as CloudEvents 1.0 has it; `sequence` is its position in the feed."""

    specversion: str = "1.0"
    id: str
    source: str = "urn:sb-transfer"
    type: str
    subject: str
    time: AwareDatetime
    datacontenttype: str = "application/json"
    sequence: str
    data: EventData


class EventPage(_Answer):
    """Events in the order in which they became readable, and where to go on."""

    items: list[CloudEvent]
    after: int
    more: bool


class PortfolioItem(_Answer):
    """One environment of a portfolio, and where it stands."""

    number: int
    environment_id: UUID
    name: str
    state: ItemState
    evening: date | None = None
    transfer_id: UUID | None = None
    transfer_state: TransferState | None = None
    equal: bool | None = None
    code: str | None = None
    problem: str | None = None


class PortfolioLine(_Answer):
    """A portfolio in a list of them."""

    portfolio_id: UUID
    licence_number: str
    name_pattern: str
    first_evening: date | None
    per_night: int
    upload: bool
    created_by: str
    created_at: AwareDatetime
    counts: dict[str, int]


class PortfolioStanding(PortfolioLine):
    """Where a whole portfolio stands."""

    items: tuple[PortfolioItem, ...]


class PortfolioPage(_Answer):
    """Portfolios from new to old."""

    items: list[PortfolioLine]
    next_cursor: UUID | None


class WebhookView(_Answer):
    """An endpoint, and how its deliveries go."""

    webhook_id: UUID
    url: str
    licence: str | None
    types: list[str]
    description: str
    enabled: bool
    disabled_because: DisabledBecause | None
    disabled_at: AwareDatetime | None
    failing_since: AwareDatetime | None
    last_problem: str | None
    last_delivered_at: AwareDatetime | None
    next_attempt_at: AwareDatetime | None
    pending: int
    previous_secret_until: AwareDatetime | None
    created_at: AwareDatetime


class WebhookSecret(WebhookView):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(repr=False)


class WebhookPage(_Answer):
    """Webhooks by their id."""

    items: list[WebhookView]
    next_cursor: UUID | None


class LicenceEvening(_Answer):
    """What an evening is to one licence: the moves to it."""

    holder_name: str
    planned: int
    begun: int
    ready: int
    postponed: int
    failed: int


class NotMoved(_Answer):
    """A move that its evening did not bring to an end."""

    transfer_id: UUID
    name: str
    licence_number: str
    begun: bool
    why: str
    why_nl: str


class EveningView(_Answer):
    """How far an evening is, or will be, and whether all of it fits in its window."""

    evening: date
    opens_at: AwareDatetime
    closes_at: AwareDatetime
    planned: int
    begun: int
    ready: int
    postponed: int
    failed: int
    by_licence: dict[str, LicenceEvening]
    put_off: list[NotMoved]
    undone: list[NotMoved]
    left_out: int
    expected_end: AwareDatetime | None


class Liveness(_Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(_Answer):
    """What the service stands on; `ready` when all of it is there."""

    ready: bool
    database: str
    migrations: str
    temporal: str
    payload_keys: str


class Sentences(_Answer):
    """One thing said in both languages."""

    nl: str
    en: str


class FieldProblem(_Answer):
    """What is wrong with one part of a request."""

    where: str
    problem: str


class ProblemDetail(_Answer):
    """A problem detail (RFC 9457) as it is sent; `sb_transfer_client.errors` has a class for each type."""

    type: str
    title: str
    status: int
    detail: str
    details: Sentences
    instance: str
    errors: tuple[FieldProblem, ...] = ()
