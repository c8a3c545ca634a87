"""Every line that the worker and the API write is one that machines can read, and that may be read."""

import json
from typing import Any

from tests.observability.conftest import NAMES, PERSON, Night

OF_NO_TRANSFER = {"inspect_everything", "preview_environment", "deliver_webhooks"}


def lines(night: Night, program: str) -> list[dict[str, Any]]:
    """Return what a program wrote; a line that is no JSON fails here."""
    return [json.loads(line) for line in (night.folder / program / "log").read_text().splitlines()]


def test_every_line_is_json_with_transfer_and_step(night: Night) -> None:
    """Writes each line as JSON with transfer and step."""
    for program in ("worker", "api"):
        written = lines(night, program)
        assert written
        for line in written:
            assert {"event", "level", "logger", "timestamp", "transfer_id", "step"} <= line.keys(), line
    done = [line for line in lines(night, "worker") if line["logger"] == "sb_transfer.activity"]
    steps = [line["step"] for line in done if line["transfer_id"] == night.released]
    assert {"freeze", "hash", "ticket", "await_upload", "clone", "verify", "banks", "release"} <= set(steps)
    assert all(line["transfer_id"] for line in done if line["activity"] not in OF_NO_TRANSFER)
    answered = [line for line in lines(night, "api") if line["event"] == "answered"]
    begun = [line["transfer_id"] for line in answered if line["route"] == "/v1/transfers"]
    assert sorted(begun) == sorted([night.released, night.undone])
    assert {line["step"] for line in answered} >= {
        "start_transfer",
        "get_transfer",
        "upload_ticket",
        "release_transfer",
    }


def test_lines_hold_nothing_of_customers(night: Night) -> None:
    """Writes no word of a customer into a line."""
    for program in ("worker", "api"):
        text = (night.folder / program / "log").read_text()
        for word in (*NAMES, PERSON, "@"):
            assert word not in text, word
