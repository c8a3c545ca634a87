"""What two fingerprints of one environment say has changed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.fingerprint import Fingerprint, ObjectHash, TableHash

AT = datetime(2026, 11, 25, tzinfo=UTC)
A, B = "a" * 64, "b" * 64
LEDGER = TableHash(table="ledger", rows=3, content=A, definition=A)
NUMBERS = ObjectHash(object="sequence numbers", definition=A, position="7")


def seen(*things: TableHash | ObjectHash, server: str = "18.6") -> Fingerprint:
    return Fingerprint(
        taken_at=AT,
        server=server,
        tables=[thing for thing in things if isinstance(thing, TableHash)],
        others=[thing for thing in things if isinstance(thing, ObjectHash)],
    )


def ledger(**changed: Any) -> TableHash:
    return LEDGER.model_copy(update=changed)


@pytest.mark.parametrize(
    ("later", "name", "problem"),
    [
        ([ledger(content=B), NUMBERS], "ledger", "the content of its rows has changed"),
        ([ledger(content=B, rows=4), NUMBERS], "ledger", "3 rows became 4"),
        ([ledger(rows=4), NUMBERS], "ledger", "3 rows became 4"),
        ([ledger(definition=B), NUMBERS], "ledger", "its definition has changed"),
        (
            [ledger(content=B, definition=B), NUMBERS],
            "ledger",
            "the content of its rows has changed, its definition has changed",
        ),
        ([NUMBERS], "ledger", "it is gone"),
        ([LEDGER], "sequence numbers", "it is gone"),
        ([LEDGER, NUMBERS, ledger(table="extra")], "extra", "it was not there before"),
        (
            [LEDGER, NUMBERS.model_copy(update={"position": "8"})],
            "sequence numbers",
            "it stood at 7 and stands at 8",
        ),
        ([LEDGER, NUMBERS.model_copy(update={"definition": B})], "sequence numbers", "its definition has changed"),
    ],
)
def test_every_change_is_told_by_name(later: list[TableHash | ObjectHash], name: str, problem: str) -> None:
    """Names each changed table and what changed."""
    assert [(change.table, change.problem) for change in seen(LEDGER, NUMBERS).changes(seen(*later))] == [
        (name, problem)
    ]


def test_what_is_the_same_says_nothing() -> None:
    """Reports nothing for equal fingerprints."""
    assert seen(LEDGER, NUMBERS).changes(seen(LEDGER, NUMBERS)) == []


def test_another_major_version_words_definitions_otherwise() -> None:
    """Compares rows alone across major versions."""
    upgraded = seen(ledger(definition=B), NUMBERS.model_copy(update={"definition": B}), server="19.1")
    assert seen(LEDGER, NUMBERS).changes(upgraded) == []
    assert seen(LEDGER, NUMBERS).changes(seen(ledger(content=B), NUMBERS, server="19.1")) != []
