"""What callers send."""

from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Header, Path, UploadFile
from pydantic import AfterValidator, AwareDatetime, Base64Bytes, ConfigDict, Field, model_validator

from domain.checklist import ChecklistItem
from domain.errors import LoginEmailInvalid, NameInvalid
from domain.messages import Message
from domain.naming import checked_email, licence_spelling, normalised_name
from domain.portfolio import LARGEST, ItemState
from domain.vocabulary import Language, LicenceKind, MailKind, Scenario, TransferState, UndoReason
from domain.webhooks import every_type
from starter.api.idempotency import KEY_HEADER, KEY_PATTERN, unquoted

_LONGEST_REASON = 500
_MOST_PER_PAGE = 200
# What is read of a customer is kept by no browser and no proxy.
NO_STORE = {"Cache-Control": "no-store"}
# PostgreSQL's text holds every character but this one.
TEXT = r"^[^\u0000]*$"
Text = Annotated[str, Field(max_length=300, pattern=TEXT)]
LicenceNumber = Annotated[str, Field(max_length=100, pattern=TEXT), AfterValidator(licence_spelling)]
Reason = Annotated[str, Field(max_length=_LONGEST_REASON, pattern=TEXT)]
TransferId = Annotated[UUID, Path(description="the transfer's id, as `Location` gave it")]
IdempotencyKey = Annotated[
    str,
    Header(
        alias=KEY_HEADER,
        pattern=KEY_PATTERN,
        description="a new one for each new request; the same one when an answer got lost, and nothing is done twice",
    ),
    AfterValidator(unquoted),
]


class ListQuery(Message):
    """Which transfers, and how many."""

    state: tuple[TransferState, ...] = ()
    scenario: Scenario | None = None
    licence: LicenceNumber | None = Field(default=None, description="from or to this licence")
    environment_id: UUID | None = Field(default=None, description="from or to this environment")
    outcome: Literal["released"] | UndoReason | None = Field(default=None, description="how it ended")
    search: Text | None = Field(default=None, description="what stands in a name, url or licence, or begins the id")
    limit: Annotated[int, Field(ge=1, le=_MOST_PER_PAGE)] = 50
    cursor: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="`next_cursor` of the page before"
    )


class _Body(Message):
    """A body with a field that we do not know is a mistake of its sender's."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Address = Annotated[str, Field(min_length=1, max_length=320, pattern=TEXT)]
# RFC 5322, 2.1.1: no line of a mail is longer.
ItemKey = Annotated[str, Field(max_length=998, pattern=TEXT)]
Content = Annotated[Base64Bytes, Field(min_length=1, description="the bytes as they came, in base64; at most 25 MiB")]
ReceivedAt = Annotated[AwareDatetime, Field(ge=datetime(1990, 1, 1, tzinfo=UTC), le=datetime(2199, 12, 31, tzinfo=UTC))]


class MailDelivery(_Body):
    """A mail that came for an address."""

    kind: Literal["mail"] = "mail"
    address: Address = Field(description="whom it came for: the envelope's recipient")
    message_id: ItemKey = Field(
        default="", description="its Message-ID, by which it is taken in once; its bytes if empty"
    )
    raw: Content
    received_at: ReceivedAt


class ScanDelivery(_Body):
    """A document that was scanned for the environment that an address leads to."""

    kind: Literal["scan"] = "scan"
    address: Address = Field(description="the mailbox address of the environment")
    document_id: ItemKey = Field(description="by which it is taken in once")
    name: Annotated[str, Field(max_length=255, pattern=TEXT)] = ""
    content: Content
    received_at: ReceivedAt


class UploadForm(_Body):
    """A ticket, and what the environment will be called under the licence that takes it over."""

    ticket: Annotated[UploadFile, Field(description="the `<url>-overdracht-ticket.avr`, unchanged")]
    name: Text
    url_part: Text | None = None
    licence: LicenceNumber | None = Field(default=None, description="whose; a licence's users upload for theirs")
    reason: Reason = Field(default="", description="why support does this for the customer")


class TicketForm(_Body):
    """A ticket that somebody wants to look at before it is used."""

    ticket: Annotated[UploadFile, Field(description="the `<url>-overdracht-ticket.avr`, unchanged")]
    licence: LicenceNumber | None = Field(default=None, description="under which it would be uploaded")


class IncidentForm(_Body):
    """The five things that the manual's incident asks for, and why."""

    ticket: Annotated[UploadFile, Field(description="the `<url>-overdracht-ticket.avr`, unchanged")]
    licence: LicenceNumber
    name: Text
    url_part: Text
    login_email: Text
    reason: Reason = Field(description="the incident's number, or who asked")


class StartBody(_Body):
    """Start a transfer: "Omgeving overdragen"."""

    environment_id: UUID
    for_licence: Annotated[LicenceNumber, Field(min_length=1)] | None = Field(
        default=None, description="bind the ticket to this licence: stolen, it is worth nothing anywhere else"
    )
    reason: Reason = Field(default="", description="why support does this for the customer")


class ReasonBody(_Body):
    """Do what the path says; support gives its reason."""

    reason: Reason = ""


class ReleaseBody(_Body):
    """Open the new environment for good: "Vrijgeven"."""

    note: Reason = Field(default="", description="kept in the log")
    reason: Reason = Field(default="", description="why support does this for the customer")


class TickBody(_Body):
    """A point of the manual's check lists."""

    item: ChecklistItem
    done: bool = Field(default=True, description="false clears it again")
    reason: Reason = Field(default="", description="why support does this for the customer")


class RejectBody(_Body):
    """Undo the transfer after comparing."""

    reason: Annotated[
        str, Field(min_length=1, max_length=_LONGEST_REASON, pattern=r"^[^\u0000]*[^\u0000\s][^\u0000]*$")
    ]


class RescheduleBody(_Body):
    """Move on another evening."""

    evening: date = Field(
        ge=date(2000, 1, 1),
        le=date(2199, 12, 31),
        description="the day on which the window opens, on its own clock; within three months",
    )
    reason: Reason = Field(default="", description="kept in the log")


class CorrectionBody(_Body):
    """What is to be another of what was uploaded; what is left out stays."""

    name: Text | None = None
    url_part: Text | None = Field(default=None, description="empty for the one that follows from the name")
    login_email: Text | None = Field(default=None, description="of a move to a self-managed licence")
    reason: Reason = Field(default="", description="kept in the log")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.name is None and self.url_part is None and self.login_email is None:
            raise ValueError("give name, url_part or login_email")
        return self


class MailBody(_Body):
    """Send one kind of mail again."""

    kind: MailKind
    to: Annotated[str, Field(max_length=254, pattern=TEXT)] | None = Field(
        default=None, description="one other address; those it did not reach when left out"
    )
    reason: Reason = ""


def _known_types(types: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [one for one in types if one not in every_type()]:
        raise ValueError(f"there is no event of type {unknown[0]}")
    return types


Position = Annotated[int, Field(ge=0, lt=2**63)]
EventTypes = Annotated[
    tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=100), AfterValidator(_known_types)
]
Url = Annotated[str, Field(min_length=1, max_length=2_000, pattern=TEXT)]
WebhookId = Annotated[UUID, Path(description="the webhook's id")]


class EventQuery(Message):
    """Which events, and from where on."""

    after: Position = Field(default=0, description="`after` of the page before; 0 for the beginning")
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    type: EventTypes = Field(default=(), description="only events of these types")


class WebhookQuery(Message):
    """Which webhooks, and how many."""

    licence: LicenceNumber | None = Field(default=None, description="only those of this licence")
    limit: Annotated[int, Field(ge=1, le=_MOST_PER_PAGE)] = 50
    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before")


class WebhookBody(_Body):
    """Register an endpoint."""

    url: Url = Field(description="where events are sent: https, and nowhere inside the network")
    types: EventTypes = Field(default=(), description="only events of these types; all, if left out")
    licence: Annotated[LicenceNumber, Field(min_length=1)] | None = Field(
        default=None,
        description="tell of this licence's half; left out, a licence's users get theirs and the platform everything",
    )
    description: Text = ""
    after: Position | None = Field(
        default=None, description="the position in the feed behind which it begins; now, if left out"
    )


class WebhookChanges(_Body):
    """What is to be another with an endpoint; what is left out stays."""

    url: Url | None = None
    types: EventTypes | None = None
    description: Text | None = None
    enabled: bool | None = Field(default=None, description="on again: it goes on where it stopped")


class RedeliverBody(_Body):
    """Send again."""

    after: Position = Field(description="everything behind this position in the feed")


def _address(given: str) -> str:
    try:
        return checked_email(given)
    except LoginEmailInvalid:
        raise ValueError("is no e-mail address") from None


def _name(given: str) -> str:
    try:
        return normalised_name(given)
    except NameInvalid:
        raise ValueError("is empty, or cannot be shown") from None


def _number(given: str) -> str:
    if not given:
        raise ValueError("has nothing that can be seen")
    return given


RegisteredNumber = Annotated[
    LicenceNumber, AfterValidator(_number), Path(min_length=1, description="the licence's number at the platform")
]
RegisteredId = Annotated[UUID, Path(description="the environment's id at the platform")]


class LicenceBody(_Body):
    """A licence that environments hang under."""

    holder_name: Annotated[Text, AfterValidator(_name)] = Field(description="who holds it, as mails and pages say")
    kind: LicenceKind = Field(description="stays as it is once it is registered")
    host: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = Field(
        description="the first part of its environments' urls; stays as it is once it is registered"
    )
    contact_email: Annotated[Address, AfterValidator(_address)] = Field(description="who is told of its transfers")
    language: Language = Field(default=Language.DUTCH, description="in which it is told")
    cancelled: bool | None = Field(
        default=None, description="whether its holder has cancelled it; left as it was if left out"
    )


class EnvironmentBody(_Body):
    """An environment that may be moved one day."""

    licence: Annotated[LicenceNumber, Field(min_length=1)] = Field(description="under which it hangs")
    name: Text
    url_part: Text | None = Field(default=None, description="what its url ends in; the name's own if left out")
    mailbox_address: Address | None = Field(
        default=None, description="where its mail comes in; follows from the url if left out"
    )
    login_email: Text | None = Field(default=None, description="with which a self-managed customer logs in")


PortfolioId = Annotated[UUID, Path(description="the portfolio's id, as `Location` gave it")]


class PortfolioListQuery(Message):
    """Which portfolios, and how many."""

    limit: Annotated[int, Field(ge=1, le=_MOST_PER_PAGE)] = 50
    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before")


class PortfolioQuery(Message):
    """Which items of a portfolio, and how many."""

    after: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0, description="the number of the last item that was read"
    )
    limit: Annotated[int, Field(ge=1, le=_MOST_PER_PAGE)] = 200
    state: ItemState | TransferState | None = Field(
        default=None, description="only items in this state, as `counts` names it"
    )


class PortfolioBody(_Body):
    """Move many environments to one licence."""

    licence: Annotated[LicenceNumber, Field(min_length=1)] = Field(description="who takes them over")
    environments: Annotated[tuple[UUID, ...], Field(max_length=LARGEST)] = Field(
        default=(), description="which, in the order in which they move"
    )
    from_licence: Annotated[LicenceNumber, Field(min_length=1)] | None = Field(
        default=None, description="all active environments of this licence, by name, instead of a list"
    )
    name_pattern: Annotated[str, Field(max_length=200, pattern=r"^[^\u0000]*\{name\}[^\u0000]*$")] = Field(
        default="{name}", description="what they are called there; {name} is the name that each has now"
    )
    first_evening: date | None = Field(
        default=None, ge=date(2000, 1, 1), le=date(2199, 12, 31), description="the coming one, if left out"
    )
    per_night: Annotated[int, Field(ge=1, le=10_000)] = Field(default=50, description="how many move in one evening")
    at_once: Annotated[int, Field(ge=1, le=50)] = Field(default=4, description="how many are frozen side by side")
    begin: bool = Field(default=False, description="do not wait after the dry run: move all that can be moved")
    upload: bool = Field(
        default=True, description="false: leave the uploads to the new side, which gets the tickets as one file"
    )
    reason: Reason = Field(default="", description="why support does this")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.environments) == (self.from_licence is not None):
            raise ValueError("give environments or from_licence, one of the two")
        if len(set(self.environments)) != len(self.environments):
            raise ValueError("an environment is named twice")
        return self


class RetryBody(_Body):
    """Try again."""

    number: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        default=None,
        description="of this item alone, also when its transfer was undone; all that were refused if left out",
    )
    reason: Reason = ""


class RejectItemBody(RejectBody):
    """Undo the transfer of one item after comparing."""

    number: Annotated[int, Field(ge=1, lt=2**31)] = Field(description="which item, by its number")
