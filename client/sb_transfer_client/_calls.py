"""Each route as a description of one call: what is sent and how its answer is read, without sending anything.

Long, for every route of the service has its function here: both clients and the fake stand on it.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import TypeAdapter, ValidationError

from sb_transfer_client.errors import UnexpectedAnswer
from sb_transfer_client.models import (
    Accepted,
    BookedYear,
    CalledBackView,
    Check,
    CheckKind,
    ChecklistItem,
    ChecklistView,
    CloudEvent,
    ComparedRow,
    ComparedRowsView,
    ComparisonView,
    DeliveryView,
    EnvironmentLineView,
    EnvironmentPage,
    EveningView,
    EventPage,
    EventView,
    HeldAnywherePage,
    HeldAnywhereView,
    HeldItemsView,
    HeldItemView,
    ItemState,
    Language,
    LicenceKind,
    LicenceView,
    Liveness,
    MailKind,
    MailView,
    NameView,
    PlannedView,
    PortfolioLine,
    PortfolioPage,
    PortfolioStanding,
    PreviewView,
    Readiness,
    RegisteredEnvironmentView,
    RegisteredLicenceView,
    RetirementStandingView,
    RetirementView,
    Scenario,
    TicketFile,
    TicketView,
    TransferLine,
    TransferPage,
    TransferState,
    TransferView,
    UndoReason,
    UploadPreview,
    UploadView,
    WebhookPage,
    WebhookSecret,
    WebhookView,
)

T = TypeVar("T")
Item = TypeVar("Item")
Ticket = bytes | TicketFile | str | PathLike[str]
"""A ticket file: its bytes, what `make_ticket` returned, or the path of a file."""

_PART = 1_000


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: dict[str, Any] = field(default_factory=dict)
    json: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    files: dict[str, tuple[str, bytes]] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    key: str | None = None
    answers: frozenset[int] = frozenset()
    """Statuses that are answers beside those of success."""


@dataclass(frozen=True, slots=True)
class Pages(Generic[T, Item]):
    """Calls that follow each other until there is no more."""

    first: Call[T]
    items: Callable[[T], Iterable[Item]]
    following: Callable[[T], Call[T] | None]


def _read(kind: type[T]) -> Callable[[httpx.Response], T]:
    adapter: TypeAdapter[T] = TypeAdapter(kind)

    def read(response: httpx.Response) -> T:
        try:
            return adapter.validate_json(response.content)
        except ValidationError as error:
            raise UnexpectedAnswer(f"{response.request.url} did not answer as described: {error}") from error

    return read


_status = _read(TransferView)
_page = _read(TransferPage)
_environments = _read(EnvironmentPage)
_licences: Callable[[httpx.Response], list[LicenceView]] = _read(list[LicenceView])
_checklist = _read(ChecklistView)
_comparison = _read(ComparisonView)
_compared = _read(ComparedRowsView)
_years: Callable[[httpx.Response], list[BookedYear]] = _read(list[BookedYear])
_events: Callable[[httpx.Response], list[EventView]] = _read(list[EventView])


def _get(path: str, read: Callable[[httpx.Response], T], **query: Any) -> Call[T]:
    return Call("GET", path, read, {name: value for name, value in query.items() if value not in (None, ())})


def _post(path: str, read: Callable[[httpx.Response], T], key: str | None, **body: Any) -> Call[T]:
    return Call("POST", path, read, json={name: value for name, value in body.items() if value is not None}, key=key)


def _one(transfer_id: UUID | str) -> str:
    return f"/v1/transfers/{UUID(str(transfer_id))}"


# --- the old side ------------------------------------------------------------------------------------------------


def preview_transfer(environment_id: UUID | str) -> Call[PreviewView]:
    """Tell what a move of this environment will do; nothing is done."""
    return _get(f"/v1/environments/{UUID(str(environment_id))}/preview", _read(PreviewView))


def start_transfer(
    environment_id: UUID | str, *, for_licence: str | None = None, reason: str = "", key: str | None = None
) -> Call[Accepted]:
    """Freeze an environment and begin its move; wait for `awaiting_upload`, then make the ticket.

    Args:
        environment_id: The environment's id at the platform.
        for_licence: The only licence that may upload the ticket; any, if left out.
        reason: Why support does this.
        key: The Idempotency-Key; give your own to be able to send the same request again from another process.
    """
    wanted = {"environment_id": str(environment_id), "for_licence": for_licence, "reason": reason}
    return _post("/v1/transfers", _read(Accepted), key, **wanted)


def make_ticket(transfer_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[TicketFile]:
    """Make the ticket file; one that was made before stops working."""
    return _post(f"{_one(transfer_id)}/ticket", _read_ticket, key, reason=reason)


def get_ticket(transfer_id: UUID | str) -> Call[TicketView]:
    """Tell until when the ticket is good and whether a file of it was made; nothing changes."""
    return _get(f"{_one(transfer_id)}/ticket", _read(TicketView))


def cancel_transfer(transfer_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[TransferView]:
    """Undo a transfer before its release."""
    return _post(f"{_one(transfer_id)}/cancel", _status, key, reason=reason)


def retire_environment(environment_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[RetirementView]:
    """Have an old environment removed after a while; refused before the release and while its mail is forwarded."""
    path = f"/v1/environments/{UUID(str(environment_id))}/retirement"
    return _post(path, _read(RetirementView), key, reason=reason)


def get_retirement(environment_id: UUID | str) -> Call[RetirementStandingView]:
    """Return whether an old environment is to be removed and when, or was."""
    return _get(f"/v1/environments/{UUID(str(environment_id))}/retirement", _read(RetirementStandingView))


def call_back_retirement(
    environment_id: UUID | str, *, reason: str = "", key: str | None = None
) -> Call[CalledBackView]:
    """Keep an old environment whose removal is planned."""
    path = f"/v1/environments/{UUID(str(environment_id))}/retirement/call-back"
    return _post(path, _read(CalledBackView), key, reason=reason)


# --- the new side ------------------------------------------------------------------------------------------------


def upload_ticket(
    ticket: Ticket,
    *,
    name: str,
    url_part: str | None = None,
    licence: str | None = None,
    reason: str = "",
    key: str | None = None,
) -> Call[UploadView]:
    """Take an environment over under a unique name and url; it moves in the coming evening.

    Args:
        ticket: The file's bytes, what `make_ticket` returned, or the path of the file.
        name: The environment's new name, unique under its licence.
        url_part: The last part of its url; the name made lower-case when it is left out.
        licence: Whose it becomes; a licence's own users leave it out.
        reason: Why support does this.
        key: The Idempotency-Key.
    """
    fields = {"name": name, "url_part": url_part, "licence": licence, "reason": reason or None}
    return _upload("/v1/uploads", ticket, fields, key, _read(UploadView))


def preview_upload(ticket: Ticket, *, licence: str | None = None, key: str | None = None) -> Call[UploadPreview]:
    """Tell which environment a ticket is for, whose it is and until when the ticket is good; it is not used by that."""
    return _upload("/v1/uploads/preview", ticket, {"licence": licence}, key, _read(UploadPreview))


def check_name(
    name: str, *, url_part: str | None = None, licence: str | None = None, transfer_id: UUID | str | None = None
) -> Call[NameView]:
    """Tell what a name and a url part would become, and whether they are free; nothing is reserved.

    To the customer of a transfer what was theirs before comes back.
    """
    of = None if transfer_id is None else str(transfer_id)
    return _get("/v1/names", _read(NameView), name=name, url_part=url_part, licence=licence, transfer_id=of)


def upload_incident(
    ticket: Ticket,
    *,
    licence: str,
    name: str,
    url_part: str,
    login_email: str,
    reason: str,
    key: str | None = None,
) -> Call[UploadView]:
    """Let a customer go on alone, which is support's to do: the five things that the incident asks for."""
    fields = {"licence": licence, "name": name, "url_part": url_part, "login_email": login_email, "reason": reason}
    return _upload("/v1/incidents", ticket, fields, key, _read(UploadView))


def _upload(
    path: str,
    ticket: Ticket,
    fields: Mapping[str, str | None],
    key: str | None,
    read: Callable[[httpx.Response], T],
) -> Call[T]:
    form = {name: value for name, value in fields.items() if value is not None}
    return Call("POST", path, read, form=form, files={"ticket": ("ticket.avr", _bytes_of(ticket))}, key=key)


def _bytes_of(ticket: Ticket) -> bytes:
    if isinstance(ticket, TicketFile):
        return ticket.content
    return ticket if isinstance(ticket, bytes) else Path(ticket).read_bytes()


def get_certificate(transfer_id: UUID | str) -> Call[bytes]:
    """Return the signed certificate of the move: the file, byte for byte."""
    return _get(f"{_one(transfer_id)}/certificate", lambda response: response.content)


def get_comparison_page(transfer_id: UUID | str, *, language: str = "nl") -> Call[str]:
    """Return the comparison as an HTML page for people, in Dutch or English."""
    headers = {"Accept": "text/html", "Accept-Language": language}
    return Call("GET", f"{_one(transfer_id)}/comparison", lambda response: response.text, headers=headers)


def list_auditfiles(transfer_id: UUID | str) -> Call[list[BookedYear]]:
    """Return the years of which there are auditfiles, by administration."""
    return _get(f"{_one(transfer_id)}/auditfiles", _years)


def get_auditfile(
    transfer_id: UUID | str, administration: UUID | str, year: int, *, side: Literal["old", "new"] = "new"
) -> Call[bytes]:
    """Return one side's books of a year as XML Auditfile Financieel 3.2."""
    path = f"{_one(transfer_id)}/auditfiles/{UUID(str(administration))}/{year}"
    return _get(path, lambda response: response.content, side=side)


def get_comparison_file(transfer_id: UUID | str, *, form: Literal["csv", "xlsx"] = "csv") -> Call[bytes]:
    """Return the comparison with every row behind it, for a spreadsheet."""
    return _get(f"{_one(transfer_id)}/comparison/file", lambda response: response.content, format=form)


def get_checklist(transfer_id: UUID | str) -> Call[ChecklistView]:
    """Return the manual's check lists, and who has ticked what."""
    return _get(f"{_one(transfer_id)}/checklist", _checklist)


def tick_checklist(
    transfer_id: UUID | str, item: ChecklistItem | str, *, done: bool = True, reason: str = "", key: str | None = None
) -> Call[ChecklistView]:
    """Tick a point of the check lists, or clear it; the log keeps who."""
    return _post(f"{_one(transfer_id)}/checklist", _checklist, key, item=str(item), done=done, reason=reason)


def release_transfer(
    transfer_id: UUID | str, *, note: str = "", reason: str = "", key: str | None = None
) -> Call[TransferView]:
    """Open the new environment for good; there is no way back."""
    return _post(f"{_one(transfer_id)}/release", _status, key, note=note, reason=reason)


def reject_transfer(transfer_id: UUID | str, *, reason: str, key: str | None = None) -> Call[TransferView]:
    """Undo a transfer after comparing."""
    return _post(f"{_one(transfer_id)}/reject", _status, key, reason=reason)


def correct_upload(
    transfer_id: UUID | str,
    *,
    name: str | None = None,
    url_part: str | None = None,
    login_email: str | None = None,
    reason: str = "",
    key: str | None = None,
) -> Call[UploadView]:
    """Correct what was uploaded until the evening begins; what is left out stays."""
    wanted = {"name": name, "url_part": url_part, "login_email": login_email, "reason": reason}
    return _post(f"{_one(transfer_id)}/correct", _read(UploadView), key, **wanted)


def reschedule_transfer(
    transfer_id: UUID | str, *, evening: date, reason: str = "", key: str | None = None
) -> Call[PlannedView]:
    """Move on another evening; both sides hear of it by mail."""
    return _post(f"{_one(transfer_id)}/reschedule", _read(PlannedView), key, evening=evening.isoformat(), reason=reason)


# --- anybody -----------------------------------------------------------------------------------------------------


def get_transfer(transfer_id: UUID | str) -> Call[TransferView]:
    """Return where a transfer stands: the caller's own half of it."""
    return _get(_one(transfer_id), _status)


def get_evening(evening: date) -> Call[EveningView]:
    """Return how far an evening is, or will be, and when its last move is expected to be ready."""
    return _get(f"/v1/evenings/{evening.isoformat()}", _read(EveningView))


def hurry_transfer(transfer_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[TransferView]:
    """Let it go before all others that wait for a place in its evening."""
    return _post(f"{_one(transfer_id)}/hurry", _status, key, reason=reason)


def start_transfer_now(transfer_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[TransferView]:
    """Do not wait for the evening."""
    return _post(f"{_one(transfer_id)}/start-now", _status, key, reason=reason)


def resend_mail(
    transfer_id: UUID | str, *, kind: MailKind, to: str | None = None, reason: str = "", key: str | None = None
) -> Call[MailView]:
    """Send one kind of mail again, to those it did not reach or to one other address."""
    return _post(f"{_one(transfer_id)}/mails", _read(MailView), key, kind=kind, to=to, reason=reason)


def deliver_item(item: Mapping[str, Any]) -> Call[DeliveryView]:
    """Hand in a mail or a scan as the description has it; `deliver_mail` and `deliver_scan` make the item."""
    return _post("/v1/deliveries", _read(DeliveryView), None, **item)


def deliver_mail(address: str, raw: bytes, *, message_id: str = "", received_at: datetime) -> Call[DeliveryView]:
    """Put a mail where its address leads, or have it held while that environment moves; once by its Message-ID.

    Args:
        address: Whom it came for: the envelope's recipient.
        raw: The message, byte for byte; 25 MiB at most.
        message_id: Its Message-ID; its bytes tell it apart when it has none.
        received_at: When it came in; aware.
    """
    told = {"message_id": message_id, "raw": b64encode(raw).decode()}
    return deliver_item({"kind": "mail", "address": address, "received_at": received_at.isoformat(), **told})


def deliver_scan(
    address: str, content: bytes, *, document_id: str, name: str = "", received_at: datetime
) -> Call[DeliveryView]:
    """Put a scanned document into the environment that an address leads to; the rest as for `deliver_mail`."""
    told = {"document_id": document_id, "name": name, "content": b64encode(content).decode()}
    return deliver_item({"kind": "scan", "address": address, "received_at": received_at.isoformat(), **told})


def create_portfolio(
    *,
    licence: str,
    environments: Iterable[UUID | str] = (),
    from_licence: str | None = None,
    name_pattern: str = "{name}",
    first_evening: date | None = None,
    per_night: int = 50,
    at_once: int = 4,
    begin: bool = False,
    upload: bool = True,
    reason: str = "",
    key: str | None = None,
) -> Call[PortfolioStanding]:
    """Look whether each of many environments could move to a licence; `begin_portfolio` moves those that can.

    Args:
        licence: Who takes them over.
        environments: Which, in the order in which they move.
        from_licence: All active environments of this licence instead.
        name_pattern: What they are called there; {name} is the name that each has now.
        first_evening: The coming one, if left out.
        per_night: How many move in one evening.
        at_once: How many are frozen side by side.
        begin: Do not wait after the look.
        upload: False leaves the uploads to the new side: `make_portfolio_tickets` has the files.
        reason: Why support does this.
        key: The Idempotency-Key.
    """
    wanted = {
        "licence": licence,
        "environments": [str(one) for one in environments],
        "from_licence": from_licence,
        "name_pattern": name_pattern,
        "first_evening": first_evening.isoformat() if first_evening else None,
        "per_night": per_night,
        "at_once": at_once,
        "begin": begin,
        "upload": upload,
        "reason": reason,
    }
    return _post("/v1/portfolios", _read(PortfolioStanding), key, **wanted)


def begin_portfolio(portfolio_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[PortfolioStanding]:
    """Move all of a portfolio that can be moved."""
    return _decided(portfolio_id, "begin", reason, key)


def release_portfolio(portfolio_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[PortfolioStanding]:
    """Release all of a portfolio in which the comparison found no difference."""
    return _decided(portfolio_id, "release", reason, key)


def retry_portfolio(
    portfolio_id: UUID | str, *, number: int | None = None, reason: str = "", key: str | None = None
) -> Call[PortfolioStanding]:
    """Try again what was refused of a portfolio; or one item by its number, also when its transfer was undone."""
    path = f"/v1/portfolios/{UUID(str(portfolio_id))}/retry"
    return _post(path, _read(PortfolioStanding), key, reason=reason, number=number)


def reject_portfolio_item(
    portfolio_id: UUID | str, number: int, *, reason: str, key: str | None = None
) -> Call[PortfolioStanding]:
    """Undo one item of a portfolio after comparing, by its number; return where it stands."""
    path = f"/v1/portfolios/{UUID(str(portfolio_id))}/reject"
    return _post(path, _read(PortfolioStanding), key, reason=reason, number=number)


def make_portfolio_tickets(portfolio_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[bytes]:
    """Return a zip of the tickets that are still to be uploaded; those that were made before stop working."""
    path = f"/v1/portfolios/{UUID(str(portfolio_id))}/tickets"
    return _post(path, lambda response: response.content, key, reason=reason)


def cancel_portfolio(portfolio_id: UUID | str, *, reason: str = "", key: str | None = None) -> Call[PortfolioStanding]:
    """Cancel what has not begun of a portfolio."""
    return _decided(portfolio_id, "cancel", reason, key)


def _decided(portfolio_id: UUID | str, decision: str, reason: str, key: str | None) -> Call[PortfolioStanding]:
    path = f"/v1/portfolios/{UUID(str(portfolio_id))}/{decision}"
    return _post(path, _read(PortfolioStanding), key, reason=reason)


def get_portfolio(
    portfolio_id: UUID | str, *, after: int = 0, limit: int = 200, state: ItemState | TransferState | None = None
) -> Call[PortfolioStanding]:
    """Return how many of a portfolio are in which state, and so many of its environments behind a number.

    Args:
        portfolio_id: Which.
        after: The number of the last environment that was read.
        limit: How many environments, 200 at most.
        state: Only environments in this state, as `counts` names it.
    """
    path = f"/v1/portfolios/{UUID(str(portfolio_id))}"
    return _get(path, _read(PortfolioStanding), after=after, limit=limit, state=state)


def list_portfolios(*, page_size: int = 50) -> Pages[PortfolioPage, PortfolioLine]:
    """Yield portfolios from new to old, page after page as they are read."""

    def page(cursor: str | None) -> Call[PortfolioPage]:
        return _get("/v1/portfolios", _read(PortfolioPage), limit=page_size, cursor=cursor)

    return Pages(
        page(None), lambda read: read.items, lambda read: page(str(read.next_cursor)) if read.next_cursor else None
    )


def create_webhook(
    url: str,
    *,
    types: Iterable[str] = (),
    licence: str | None = None,
    description: str = "",
    after: int | None = None,
    key: str | None = None,
) -> Call[WebhookSecret]:
    """Have events sent to a url, and return the secret that signs them: it is shown this once.

    Args:
        url: Where events go: https.
        types: Only events of these types, such as `nl.sb.transfer.awaiting_release.v1`; all, if left out.
        licence: Whose half is told; a licence's own users leave it out, and the platform, to be told everything.
        description: For people.
        after: The position in the feed behind which it begins; now, if left out.
        key: The Idempotency-Key; with the same one again the same endpoint gets another secret.
    """
    wanted = {"url": url, "types": list(types), "licence": licence, "description": description, "after": after}
    return _post("/v1/webhooks", _read(WebhookSecret), key, **wanted)


def get_webhook(webhook_id: UUID | str) -> Call[WebhookView]:
    """Tell how an endpoint's deliveries go: since when it fails, why, and what waits."""
    return _get(_webhook(webhook_id), _read(WebhookView))


def change_webhook(
    webhook_id: UUID | str,
    *,
    url: str | None = None,
    types: Iterable[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> Call[WebhookView]:
    """Change an endpoint, or switch it off or on; switched on it goes on where it stopped."""
    given = {
        "url": url,
        "types": None if types is None else list(types),
        "description": description,
        "enabled": enabled,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return Call("PATCH", _webhook(webhook_id), _read(WebhookView), json=changes)


def delete_webhook(webhook_id: UUID | str) -> Call[None]:
    """Forget an endpoint, and what it has not got."""
    return Call("DELETE", _webhook(webhook_id), lambda _: None)


def rotate_webhook_secret(webhook_id: UUID | str, *, key: str | None = None) -> Call[WebhookSecret]:
    """Give an endpoint another secret; for a day the one before it signs as well."""
    return _post(f"{_webhook(webhook_id)}/secret", _read(WebhookSecret), key)


def redeliver_events(webhook_id: UUID | str, *, after: int, key: str | None = None) -> Call[WebhookView]:
    """Have everything behind a position in the feed sent again; each event keeps its id."""
    return _post(f"{_webhook(webhook_id)}/redeliver", _read(WebhookView), key, after=after)


def _webhook(webhook_id: UUID | str) -> str:
    return f"/v1/webhooks/{UUID(str(webhook_id))}"


def get_liveness() -> Call[Liveness]:
    """Tell whether the service's process answers."""
    return _get("/livez", _read(Liveness))


def get_readiness() -> Call[Readiness]:
    """Tell whether the service can serve, and what is missing."""
    return Call("GET", "/readyz", _read(Readiness), answers=frozenset({503}))


# --- in pages ----------------------------------------------------------------------------------------------------


def list_transfers(
    *,
    state: Iterable[TransferState] = (),
    scenario: Scenario | None = None,
    licence: str | None = None,
    environment_id: UUID | str | None = None,
    outcome: UndoReason | str | None = None,
    search: str | None = None,
    page_size: int = 50,
) -> Pages[TransferPage, TransferLine]:
    """Yield transfers from new to old, page after page as they are read.

    Args:
        state: Only those in one of these states.
        scenario: Only those of this kind.
        licence: Only those from or to this licence.
        environment_id: Only those from or to this environment.
        outcome: Only those that ended so: `released`, or the reason of an undo.
        search: Only those in whose names, urls or licences it stands, or whose id begins so.
        page_size: How many are asked for at a time, 200 at most.
    """
    wanted = {
        "state": tuple(state),
        "scenario": scenario,
        "licence": licence,
        "outcome": outcome,
        "environment_id": str(environment_id) if environment_id else None,
        "search": search,
        "limit": page_size,
    }

    def page(cursor: str | None) -> Call[TransferPage]:
        return _get("/v1/transfers", _page, **wanted, cursor=cursor)

    return Pages(page(None), lambda read: read.items, lambda read: page(read.next_cursor) if read.next_cursor else None)


def list_environments(
    *, search: str | None = None, licence: str | None = None, page_size: int = 50
) -> Pages[EnvironmentPage, EnvironmentLineView]:
    """Yield environments by licence and name, page after page as they are read.

    Args:
        search: Only those in whose name, url, licence or its holder it stands, or whose id begins so.
        licence: Only those under this licence.
        page_size: How many are asked for at a time, 200 at most.
    """

    def page(cursor: str | None) -> Call[EnvironmentPage]:
        wanted = {"search": search, "licence": licence, "limit": page_size, "cursor": cursor}
        return _get("/v1/environments", _environments, **wanted)

    return Pages(page(None), lambda read: read.items, lambda read: page(read.next_cursor) if read.next_cursor else None)


def list_licences(search: str) -> Call[list[LicenceView]]:
    """Return the licence of a number, and those in whose holder's name it stands, twenty at most."""
    return _get("/v1/licences", _licences, search=search)


def register_licence(
    licence_number: str,
    *,
    holder_name: str,
    kind: LicenceKind | str,
    host: str,
    contact_email: str,
    language: Language | str = Language.DUTCH,
    cancelled: bool | None = None,
) -> Call[RegisteredLicenceView]:
    """Register a licence, or change its holder, address or language; `kind` and `host` stay.

    `cancelled`: its holder has cancelled it, or has not; None leaves that as it was.
    """
    body: dict[str, Any] = {"holder_name": holder_name, "kind": kind, "host": host, "contact_email": contact_email}
    body |= {} if cancelled is None else {"cancelled": cancelled}
    path = f"/v1/licences/{quote(licence_number, safe='')}"
    return Call("PUT", path, _read(RegisteredLicenceView), json={**body, "language": language})


def register_environment(
    environment_id: UUID | str,
    *,
    licence: str,
    name: str,
    url_part: str | None = None,
    mailbox_address: str | None = None,
    login_email: str | None = None,
) -> Call[RegisteredEnvironmentView]:
    """Register an environment whose schema is there, and where its mail goes; or change its name or login."""
    given = {"url_part": url_part, "mailbox_address": mailbox_address, "login_email": login_email}
    body = {"licence": licence, "name": name, **{field: value for field, value in given.items() if value is not None}}
    return Call("PUT", f"/v1/environments/{UUID(str(environment_id))}", _read(RegisteredEnvironmentView), json=body)


def list_events(transfer_id: UUID | str, *, after: int = 0) -> Pages[list[EventView], EventView]:
    """Yield who did what, when and why, in order; those behind the event `after`."""

    def page(last: int) -> Call[list[EventView]]:
        return _get(f"{_one(transfer_id)}/events", _events, after=last, limit=_PART)

    def following(read: list[EventView]) -> Call[list[EventView]] | None:
        return page(read[-1].event_id) if len(read) == _PART else None

    return Pages(page(after), lambda read: read, following)


def list_all_events(*, after: int = 0, types: Iterable[str] = (), page_size: int = 100) -> Pages[EventPage, CloudEvent]:
    """Yield what happened to transfers, in the order in which it became readable, up to now.

    Keep `sequence` of the last one: from there on, `after` misses nothing.

    Args:
        after: The position that was read up to; 0 for the beginning.
        types: Only events of these types.
        page_size: How many are asked for at a time, 1,000 at most.
    """
    wanted = tuple(types)

    def page(last: int) -> Call[EventPage]:
        return _get("/v1/events", _read(EventPage), after=last, limit=page_size, type=wanted)

    return Pages(page(after), lambda read: read.items, lambda read: page(read.after) if read.more else None)


def list_webhooks(*, licence: str | None = None, page_size: int = 50) -> Pages[WebhookPage, WebhookView]:
    """Yield endpoints: a licence's own users get theirs, the platform gets all, or those of one licence."""

    def page(cursor: str | None) -> Call[WebhookPage]:
        return _get("/v1/webhooks", _read(WebhookPage), licence=licence, limit=page_size, cursor=cursor)

    return Pages(
        page(None), lambda read: read.items, lambda read: page(str(read.next_cursor)) if read.next_cursor else None
    )


def get_comparison(transfer_id: UUID | str) -> Pages[ComparisonView, Check]:
    """Yield every check of the comparison of both environments."""

    def page(after: int) -> Call[ComparisonView]:
        return _get(f"{_one(transfer_id)}/comparison", _comparison, after=after, limit=_PART)

    return Pages(page(0), lambda read: read.checks, lambda read: page(read.next_after) if read.next_after else None)


def list_held_items(
    transfer_id: UUID | str, *, after: int = 0, page_size: int = 100
) -> Pages[HeldItemsView, HeldItemView]:
    """Yield the mail and scans that wait for the end of a transfer, in their order; those behind the item `after`."""

    def page(last: int) -> Call[HeldItemsView]:
        return _get(f"{_one(transfer_id)}/held-items", _read(HeldItemsView), after=last, limit=page_size)

    return Pages(page(after), lambda read: read.items, lambda read: page(read.next_after) if read.next_after else None)


def list_all_held_items(*, after: int = 0, page_size: int = 100) -> Pages[HeldAnywherePage, HeldAnywhereView]:
    """Yield the mail and scans that wait for the end of any transfer, in their order; those behind the item `after`."""

    def page(last: int) -> Call[HeldAnywherePage]:
        return _get("/v1/held-items", _read(HeldAnywherePage), after=last, limit=page_size)

    return Pages(page(after), lambda read: read.items, lambda read: page(read.next_after) if read.next_after else None)


def list_compared_rows(
    transfer_id: UUID | str, *, administration: UUID | str, check: CheckKind
) -> Pages[ComparedRowsView, ComparedRow]:
    """Yield every row behind one check of the comparison, those that differ first."""

    def page(after: int) -> Call[ComparedRowsView]:
        wanted = {"administration": str(administration), "check": check, "after": after, "limit": _PART}
        return _get(f"{_one(transfer_id)}/comparison/rows", _compared, **wanted)

    return Pages(page(0), lambda read: read.rows, lambda read: page(read.next_after) if read.next_after else None)


def _read_ticket(response: httpx.Response) -> TicketFile:
    named = re.search(r'filename="([^"]+)"', response.headers.get("content-disposition", ""))
    return TicketFile(file_name=named[1] if named else "overdracht-ticket.avr", content=response.content)
