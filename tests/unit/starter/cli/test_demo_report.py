"""The demo's report: the fields it promises, and what it calls a problem."""

import json
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import pytest
from pydantic_core import to_json

from adapters.transfer.queries import MailRecord
from domain.vocabulary import CheckKind, ConsequenceKind, EnvironmentStatus, MailKind, Scenario, TransferState
from starter.cli.demo_report import (
    BankLine,
    CheckLine,
    ConsequenceLine,
    DemoReport,
    MailLine,
    MovedEnvironment,
    mails_caught,
    problems_of,
)

ID = UUID("00000000-0000-4000-8000-000000000001")
NOW = datetime(2026, 7, 1, 20, 0, tzinfo=UTC)
MAILS = (
    MailKind.TICKET_ISSUED,
    MailKind.UPLOAD_ACCEPTED,
    MailKind.READY,
    MailKind.RELEASED,
    MailKind.INVITATION,
)


def side(status: EnvironmentStatus) -> MovedEnvironment:
    """Return one side of a move."""
    return MovedEnvironment(environment_id=ID, schema_name="env_1", status=status, url="https://a.sb.example/b")


def report(**changes: object) -> DemoReport:
    """Return the report of a move that went as it should."""
    given: dict[str, object] = {
        "scenario": Scenario.SWITCH,
        "transfer_id": ID,
        "workflow_id": f"transfer-{ID}",
        "state": TransferState.RELEASED,
        "starts_at": NOW,
        "old": side(EnvironmentStatus.READ_ONLY),
        "new": side(EnvironmentStatus.ACTIVE),
        "tables": 2,
        "rows": 10,
        "mismatches": 0,
        "clone_seconds": 0.5,
        "verify_seconds": 0.25,
        "banks": [BankLine(bank="rabobank", old="active", new="active")],
        "checks": [
            CheckLine(administration="A", check=CheckKind.TRIAL_BALANCE, old="1", new="1", equal=True),
        ],
        "consequences": [ConsequenceLine(kind=ConsequenceKind.QUOTES_EXPIRED, count=4)],
        "mails": [MailLine(kind=kind, to="a@b.example", subject="s") for kind in MAILS],
        "history_events": 99,
    }
    return DemoReport.model_validate(given | changes)


def test_the_report_has_exactly_the_promised_fields() -> None:
    """Has exactly the documented fields."""
    document = json.loads(to_json([report()]))[0]
    assert list(document) == [
        "scenario",
        "transfer_id",
        "workflow_id",
        "state",
        "starts_at",
        "old",
        "new",
        "tables",
        "rows",
        "mismatches",
        "clone_seconds",
        "verify_seconds",
        "banks",
        "checks",
        "consequences",
        "mails",
        "history_events",
    ]
    assert set(document["old"]) == {"environment_id", "schema", "status", "url"}
    assert set(document["banks"][0]) == {"bank", "old", "new"}
    assert set(document["checks"][0]) == {"administration", "check", "old", "new", "equal"}
    assert set(document["consequences"][0]) == {"kind", "count"}
    assert set(document["mails"][0]) == {"kind", "to", "subject"}


def test_a_good_move_has_no_problems() -> None:
    """Reports no problem of a good move."""
    assert problems_of(report()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": TransferState.UNDONE}, "undone, not released"),
        ({"old": side(EnvironmentStatus.ACTIVE)}, "old environment is active"),
        ({"new": side(EnvironmentStatus.AWAITING_RELEASE)}, "new environment is awaiting_release"),
        ({"mismatches": 1}, "1 tables differ"),
        ({"rows": 0}, "0 rows"),
        ({"checks": []}, "nothing was compared"),
        (
            {"checks": [CheckLine(administration="A", check=CheckKind.RELATIONS, old="1", new="2", equal=False)]},
            "A: relations is 1 against 2",
        ),
        ({"mails": []}, "no mail ready was caught"),
    ],
)
def test_whatever_is_not_as_it_should_be_is_a_problem(changes: dict[str, object], words: str) -> None:
    """Reports each deviation as a problem."""
    assert any(words in problem for problem in problems_of(report(**changes)))


def test_only_mails_that_arrived_count(tmp_path: Path) -> None:
    """Counts only mails that the server has."""
    for name, message_id in (("1.eml", "<ours@sb>"), ("2.eml", "<another@sb>")):
        mail = EmailMessage()
        mail["To"] = "büro@b.example" if name == "2.eml" else "a@b.example"
        mail["Subject"] = "Uw omgeving is klaar: Café"
        mail["Message-ID"] = message_id
        mail.set_content("x")
        (tmp_path / name).write_bytes(bytes(mail))
    records = [
        MailRecord(
            kind=kind,
            recipient="a@b.example",
            message_id=message_id,
            language="nl",
            subject="s",
            status="sent",
            attempts=1,
            problem=None,
            attempted_at=NOW,
            sent_at=NOW,
        )
        for kind, message_id in ((MailKind.READY, "<ours@sb>"), (MailKind.RELEASED, "<lost@sb>"))
    ]
    assert mails_caught(records, tmp_path) == [
        MailLine(kind=MailKind.READY, to="a@b.example", subject="Uw omgeving is klaar: Café")
    ]
