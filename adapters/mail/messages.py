"""What a mail says: its facts, read from the database, and the letter that a template makes of them.

Long, for each kind of mail has its facts here, and nowhere else.
"""

import asyncio
import re
import textwrap
import unicodedata
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from adapters.mail.addresses import AddressUnusable, address_key, envelope_address
from adapters.mail.formatting import Formatter
from adapters.postgres.connection import Connection, transaction
from adapters.postgres.contained import ask
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load, within
from domain.errors import TransferUnknown
from domain.messages import BankOutcome, Check, Consequence
from domain.vocabulary import (
    HOME,
    Bank,
    ConnectionStatus,
    ConsequenceKind,
    EnvironmentStatus,
    Language,
    LicenceKind,
    MailKind,
    Scenario,
    TransferState,
    UndoReason,
)

_SQL = load("adapters.mail.sender")
_LINE_LENGTH = 74
_LONGEST = 500
# Why something was undone is told whole.
_LONGEST_CAUSE = 2_000
_BREAK = "\N{ZERO WIDTH SPACE}"
_NO_BREAK = "\N{NO-BREAK SPACE}"
# Behind each of these a client might go on reading an address: a scheme's colon, a stop or an @ within a word, the
# backslash of a server's name. The stops that name systems take for one are among them (UTS 46).
_LINKED = re.compile(
    r"(?<=[A-Za-z]):(?=\S)|(?<=www)[.]|(?<=[\w-])[.\u3002\uff0e\uff61](?=[^\W\d_]{2})|@(?=\w)|\\(?=\\)"
)
# A name or an abbreviation that ends in a full stop, at the end of a sentence.
_TWO_STOPS = re.compile(r"(?<![.\s])\.((?:</[a-z]+>)*)\.(?!\.)")
# A longer table would push the mail past what mailboxes show at once (about 100 kB): then one line per check.
_MOST_CHECKS = 72
# A large customer has tens of thousands of lines, and as many users who are invited.
_COMPARING = (MailKind.READY, MailKind.RELEASE_REMINDER)


def one_line(value: object, longest: int = _LONGEST) -> object:
    """Return text as one line without anything invisible: it may not start a new line of a mail, or turn it around."""
    if not isinstance(value, str):
        return "" if value is None else value
    visible = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in value)
    return " ".join(visible.split())[:longest]


def unlinked(text: str) -> str:
    """Return somebody's text so that no mail client makes a link of it: what looks like one is broken, unseen.

    A name is chosen by a customer or by the other side, and a link in it would be sent in ours.
    """
    return _LINKED.sub(lambda found: found[0] + _BREAK, text)


Line = Annotated[str, BeforeValidator(one_line)]
# What people chose or typed: names, numbers, reasons. Urls and mailbox addresses are this service's own.
Typed = Annotated[str, BeforeValidator(one_line), AfterValidator(unlinked)]
Cause = Annotated[str, BeforeValidator(partial(one_line, longest=_LONGEST_CAUSE)), AfterValidator(unlinked)]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True)


class EnvironmentFacts(_Fact):
    """An environment under its licence, as far as it is known."""

    name: Typed = ""
    url: Line = ""
    mailbox_address: Line = ""
    schema_name: str = ""
    cell: str = HOME
    status: EnvironmentStatus | None = None
    login_email: str = ""
    licence_number: Line = ""
    holder_name: Typed = ""
    kind: LicenceKind | None = None
    contact_email: str = ""
    language: Language = Language.DUTCH


class TransferFacts(_Fact):
    transfer_id: UUID
    state: TransferState
    scenario: Scenario | None = None
    undo_reason: UndoReason | None = None
    undo_detail: Cause = ""
    undo_detail_nl: Cause = ""
    starts_at: AwareDatetime | None = None
    evening: int = 1
    released_at: AwareDatetime | None = None


class TicketFacts(_Fact):
    file_name: Line
    expires_at: AwareDatetime
    for_licence: Line | None = None


class OpenQuote(_Fact):
    administration: Typed
    number: Typed
    customer: Typed
    total: Decimal


class User(_Fact):
    email: str
    full_name: Typed = ""
    language: Language = Language.DUTCH
    role: str = ""

    @property
    def shown(self) -> str:
        """Return the address to read: as it is when it is one, else as text."""
        try:
            return str(envelope_address(self.email))
        except AddressUnusable:
            return unlinked(str(one_line(self.email)))


class BankLine(_Fact):
    administration: Typed
    bank: Typed
    iban: Typed
    status: ConnectionStatus


class Contents(_Fact):
    """What an environment holds that a mail speaks of."""

    administrations: list[Typed] = []
    quotes: list[OpenQuote] = []
    """The first hundred."""
    quotes_in_all: int = 0
    apps: list[Typed] = []
    users: list[User] = []
    connections: list[BankLine] = []


class HeldFacts(_Fact):
    """What came in while the environment moved."""

    mails: int = 0
    scans: int = 0


class RetirementFacts(_Fact):
    """The end of the old environment: when, and of how many tables."""

    due_at: AwareDatetime
    tables: int = 0


class ReportFacts(_Fact):
    checks: list[Check]


class MailFacts(_Fact):
    """Everything that a mail of one transfer may say."""

    transfer: TransferFacts
    old: EnvironmentFacts
    new: EnvironmentFacts
    ticket: TicketFacts | None = None
    forward_until: AwareDatetime | None = None
    report: ReportFacts | None = None
    banks: list[BankOutcome] | None = None
    consequences: list[Consequence] | None = None
    contents: Contents = Contents()
    held: HeldFacts = HeldFacts()
    retirement: RetirementFacts | None = None
    certificate_key: str = ""
    changed: bool = False
    """Another evening was chosen, or the upload corrected: what was told before does not hold any more."""

    def for_reader(self, *, new_side: bool) -> "MailFacts":
        """Return what one reader may know: of the new environment the old side learns who holds it, and no more."""
        return self if new_side else self.model_copy(update={"new": EnvironmentFacts(holder_name=self.new.holder_name)})

    def open_of(self, kind: str) -> int:
        """Return how many of the mails or scans that came along are still open."""
        return sum(found.open or 0 for found in self.consequences or () if found.kind is ConsequenceKind(kind))

    def count_of(self, kind: str) -> int:
        """Return how many things a consequence touched, 0 when it is not known."""
        return sum(found.count for found in self.consequences or () if found.kind is ConsequenceKind(kind))


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address and which side's news it gets; somebody who is on both sides gets both in one mail."""

    address: str
    language: Language
    old_side: bool = False
    new_side: bool = False
    full_name: str = ""


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """A mail's words."""

    subject: str
    text: str
    html: str


async def read_facts(
    connection: Connection, transfer_id: UUID, kind: MailKind, *, shards: Shards | None = None
) -> MailFacts:
    """Read what a mail of this kind needs, in the caller's transaction and in the cell that the environment lives in.

    Raises:
        TransferUnknown: No such transfer.
    """
    story = await connection.fetchval(_SQL["story"], transfer_id)
    if story is None:
        raise TransferUnknown
    # Both may be large, and all others would wait for what is read of them here.
    facts = await asyncio.to_thread(MailFacts.model_validate_json, story)
    before = kind in (MailKind.TICKET_ISSUED, MailKind.TICKET_REMINDER, MailKind.UPLOAD_ACCEPTED)
    place = facts.old if before else facts.new
    if not place.schema_name or kind is MailKind.UNDONE:
        return facts
    try:
        async with AsyncExitStack() as looking:
            there = connection
            if shards is None or place.cell == HOME:
                await looking.enter_async_context(connection.transaction())
            else:
                there = await looking.enter_async_context(transaction(shards.pool(place.cell)))
            [(contents,)] = await ask(there, within(_SQL["contents"], place.schema_name), place.schema_name)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        return facts  # an environment of another make: the mail goes out without the lists, rather than not at all
    return facts.model_copy(update={"contents": await asyncio.to_thread(Contents.model_validate_json, contents)})


def recipients_of(facts: MailFacts, kind: MailKind) -> list[Recipient]:
    """Return whom a mail is for by the transfer's own data, each address once whatever its case.

    `undone` is not decided here: it goes to those who got an earlier mail.
    """
    if kind is MailKind.INVITATION:
        users = facts.contents.users
        found = [Recipient(user.email, user.language, new_side=True, full_name=user.full_name) for user in users]
    else:
        old = [Recipient(facts.old.contact_email, facts.old.language, old_side=True)]
        new = [
            Recipient(address, facts.new.language, new_side=True)
            for address in (
                facts.new.contact_email,
                facts.new.login_email if facts.transfer.scenario is Scenario.INSOURCE else "",
            )
        ]
        match kind:
            case MailKind.TICKET_ISSUED | MailKind.TICKET_REMINDER:
                found = old
            case MailKind.READY | MailKind.RELEASE_REMINDER | MailKind.MAILBOX_CLOSED:
                found = new
            case _:
                found = old + new
    return merged(found)


def merged(recipients: list[Recipient]) -> list[Recipient]:
    """Return each address once, in the first spelling and language, on every side that it stands on."""
    by_address: dict[str, Recipient] = {}
    for recipient in recipients:
        address = recipient.address.strip()
        if not address:
            continue
        key = address_key(address)
        first = by_address.get(key)
        by_address[key] = Recipient(
            address=first.address if first else address,
            language=first.language if first else recipient.language,
            old_side=recipient.old_side or (first is not None and first.old_side),
            new_side=recipient.new_side or (first is not None and first.new_side),
            full_name=first.full_name if first else recipient.full_name,
        )
    return list(by_address.values())


class MailRenderer:
    """Makes letters of facts, with one template per kind and language for both the HTML and the text part.

    A template says everything once, in calls of `p`, whose macros come as HTML (everything escaped) and as text.
    """

    def __init__(
        self, zone: ZoneInfo, *, support: str = "", cancel_licence_url: str = "", platform_invites: bool = False
    ) -> None:
        """Take the clock that mails speak of, where people are helped and cancel licences, and who invites users."""
        self._platform_invites = platform_invites
        self._cancel_licence_url = cancel_licence_url
        self._zone = zone
        self._support = support
        self._html = environment_for("html")
        self._text = environment_for("text")

    def write(self, kind: MailKind, facts: MailFacts, recipient: Recipient) -> RenderedMail:
        """Return the letter for one recipient, in the recipient's language."""
        facts = facts.for_reader(new_side=recipient.new_side)
        words = Formatter(recipient.language, self._zone)
        name = f"{recipient.language}/{kind}.jinja"
        values: dict[str, Any] = {
            "language": recipient.language.value,
            "facts": facts,
            "platform_invites": self._platform_invites,
            "transfer": facts.transfer,
            "ticket": facts.ticket,
            "old": facts.old,
            "new": facts.new,
            "to": recipient,
            "support": self._support,
            "cancel_licence_url": self._cancel_licence_url.replace(
                "{licence}", quote(facts.old.licence_number, safe="")
            ),
            "words": words,
            "comparison": _comparison(facts, words) if kind in _COMPARING else None,
            "banks_to_activate": _banks_to_activate(facts, words),
            "rabobank": _has_rabobank(facts),
        }
        letter = rendered(self._text, self._html, name, values)
        return replace(letter, **{part: _TWO_STOPS.sub(r".\1", getattr(letter, part)) for part in ("text", "html")})


def rendered(text: Environment, html: Environment, name: str, values: Mapping[str, Any]) -> RenderedMail:
    """Return a template's letter: its subject, and the text and HTML that two environments make of it."""
    template = text.get_template(name)
    subject = "".join(template.blocks["subject"](template.new_context({**values})))
    plain_text = re.sub(r"\n{3,}", "\n\n", template.render(values)).strip() + "\n"
    return RenderedMail(" ".join(subject.split()), plain_text, html.get_template(name).render(values))


def _comparison(facts: MailFacts, words: Formatter) -> dict[str, Any] | None:
    """Return the report as a letter shows it: `groups` of an administration and its checks."""
    if facts.report is None or not facts.report.checks:
        return None
    checks = facts.report.checks
    brief = len(checks) > _MOST_CHECKS
    groups: dict[UUID, tuple[str, list[dict[str, Any]]]] = {}
    for check in checks:
        if brief and check.equal:
            continue
        name = _shown(check.administration)
        groups.setdefault(check.administration_id, (name, []))[1].append(
            {
                "check": words.check(check.check),
                "old": _shown(words.figures(check.check, check.old)),
                "new": _shown(words.figures(check.check, check.new)),
                "equal": check.equal,
                "verdict": words.verdict(check),
                "differences": [_shown(words.difference(check.check, row)) for row in check.differences],
            }
        )
    return {
        "checks": len(checks),
        "unequal": sum(not check.equal for check in checks),
        "administrations": len({check.administration_id for check in checks}),
        "groups": list(groups.values()),
    }


def _shown(told: str) -> str:
    return unlinked(str(one_line(told)))


def _banks_to_activate(facts: MailFacts, words: Formatter) -> list[str]:
    """Return the banks whose connections the new side must activate again, each once."""
    waiting = ConnectionStatus.NEEDS_REACTIVATION
    if facts.banks is not None:
        names = [outcome.bank for outcome in facts.banks if outcome.new == waiting and outcome.count]
    else:
        names = [line.bank for line in facts.contents.connections if line.status is waiting]
    return sorted({words.bank(str(one_line(name))) for name in names})


def _has_rabobank(facts: MailFacts) -> bool:
    """Tell whether connections of Rabobank came along, or may have: nothing is known of the banks."""
    if facts.banks is None and not facts.contents.connections:
        return True
    named = {outcome.bank for outcome in facts.banks or ()} | {line.bank for line in facts.contents.connections}
    return Bank.RABOBANK.value in named


def _filled(text: object, first: str = "", rest: str = "") -> str:
    """Break text into lines of a mail; addresses and amounts stay whole."""
    words = " ".join(str(text).split()).replace("€ ", f"€{_NO_BREAK}")
    return textwrap.fill(
        words,
        _LINE_LENGTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ).replace(_NO_BREAK, " ")


def _shortened(values: list[Any], in_all: int = 0, most: int = 40) -> Mapping[str, Any]:
    return {"shown": values[:most], "more": max(0, max(len(values), in_all) - most)}


def environment_for(medium: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("adapters.mail", "templates"),
        autoescape=medium == "html",  # noqa: S701 - the text part is no markup; what goes into it was made one line
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["filled"] = _filled
    environment.filters["shortened"] = _shortened
    environment.globals["layout"] = f"{medium}/layout.jinja"
    environment.globals["p"] = environment.get_template(f"{medium}/parts.jinja").module
    return environment
