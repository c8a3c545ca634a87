"""Facts of a transfer as a letter needs them, and what a reader sees of it."""

import html
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from adapters.mail.messages import MailFacts, MailRenderer, Recipient, RenderedMail
from domain.vocabulary import CheckKind, Language, MailKind, Scenario

WRITER = MailRenderer(ZoneInfo("Europe/Amsterdam"))


TRANSFER = UUID("11111111-2222-4333-8444-555555555555")


ADMINISTRATION = UUID("aaaaaaaa-2222-4333-8444-555555555555")


KINDS = {
    Scenario.SWITCH: ("firm", "firm"),
    Scenario.OUTSOURCE: ("self_managed", "firm"),
    Scenario.INSOURCE: ("firm", "self_managed"),
}


STATES = {
    MailKind.TICKET_ISSUED: "awaiting_upload",
    MailKind.TICKET_REMINDER: "awaiting_upload",
    MailKind.UPLOAD_ACCEPTED: "scheduled",
    MailKind.READY: "awaiting_release",
    MailKind.RELEASE_REMINDER: "awaiting_release",
    MailKind.UNDONE: "undone",
}


BOTH = Recipient("beide@example.nl", Language.DUTCH, old_side=True, new_side=True, full_name="Beide Zijden")


OLD = Recipient("oud@example.nl", Language.DUTCH, old_side=True)


NEW = Recipient("nieuw@example.nl", Language.DUTCH, new_side=True)


def facts_of(kind: MailKind, scenario: Scenario = Scenario.SWITCH, **changes: Any) -> MailFacts:
    old_kind, new_kind = KINDS[scenario]
    state = STATES.get(kind, "released")
    given: dict[str, Any] = {
        "transfer": {
            "transfer_id": TRANSFER,
            "state": state,
            "scenario": scenario,
            "undo_reason": "rejected" if state == "undone" else None,
            "undo_detail": "Er mist een factuur",
            "starts_at": datetime(2026, 11, 24, 21, 0, tzinfo=UTC),
        },
        "old": {
            "name": "Enyoi",
            "url": "https://oudkantoor.sb.example/enyoi",
            "mailbox_address": "enyoi@oudkantoor.mailbox.sb.example",
            "schema_name": "env_a",
            "status": "active",
            "licence_number": "10001",
            "holder_name": "Oud Kantoor",
            "kind": old_kind,
            "contact_email": "oud@example.nl",
        },
        "new": {
            "name": "Enyoi Nieuw",
            "url": "https://nieuwkantoor.sb.example/enyoi-nieuw",
            "mailbox_address": "enyoi-nieuw@nieuwkantoor.mailbox.sb.example",
            "schema_name": "env_b",
            "status": "awaiting_release",
            "login_email": "klant@example.nl",
            "licence_number": "20002",
            "holder_name": "Nieuw Kantoor",
            "kind": new_kind,
            "contact_email": "nieuw@example.nl",
        },
        "ticket": {"file_name": "enyoi-overdracht-ticket.avr", "expires_at": datetime(2026, 12, 24, 9, 30, tzinfo=UTC)},
        "forward_until": datetime(2026, 12, 25, 8, 0, tzinfo=UTC),
        "report": {"checks": [check_of(check) for check in CheckKind]},
        "banks": [
            {"bank": "rabobank", "old": "active", "new": "active", "count": 2},
            {"bank": "abn_amro", "old": "active", "new": "needs_reactivation", "count": 1},
            {"bank": "triodos", "old": "active", "new": "needs_reactivation", "count": 1},
        ],
        "consequences": [
            {"kind": "quotes_expired", "count": 3},
            {"kind": "mailbox_messages_carried", "count": 9, "open": 7},
            {"kind": "scanbox_documents_carried", "count": 8, "open": 5},
        ],
        "contents": {
            "administrations": ["Enyoi BV", "Enyoi Holding BV"],
            "quotes": [{"administration": "Enyoi BV", "number": "OFF-7", "customer": "Jansen", "total": "1234.50"}],
            "apps": ["Urenapp"],
            "users": [{"email": "jan@example.nl", "full_name": "Jan"}],
            "connections": [
                {
                    "administration": "Enyoi BV",
                    "bank": "abn_amro",
                    "iban": "NL91ABNA0417164300",
                    "status": "needs_reactivation",
                }
            ],
        },
    }
    return MailFacts.model_validate(given | changes)


def check_of(kind: CheckKind, *, equal: bool = True, administration: str = "Enyoi BV") -> dict[str, Any]:
    return {
        "administration_id": ADMINISTRATION,
        "administration": administration,
        "check": kind,
        "old": {"rows": 54, "totals": {"debit": "12345.67"}},
        "new": {"rows": 54, "totals": {"debit": "12345.67" if equal else "12345.68"}},
        "equal": equal,
        "differences": []
        if equal
        else [{"item": "8000 Omzet", "old": {"debit": "7.00"}, "new": {"debit": "7.01"}, "equal": False}],
    }


def flat(text: str) -> str:
    return " ".join(text.split())


def words_of(letter: RenderedMail) -> str:
    """What a reader sees of the HTML part."""
    body = letter.html.split("<body>")[1]
    return flat(html.unescape(re.sub(r"<[^>]+>", " ", body)))
