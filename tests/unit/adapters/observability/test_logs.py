"""What a log line may say of an error, and in which form."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
from structlog.contextvars import bound_contextvars

from adapters.observability.logs import LogFormat, configure_logs
from domain.errors import NameTaken

SECRET = "Enyoi Marmerzacht"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Where lines go; afterwards logging is as it was."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    logging.captureWarnings(False)
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)


def fail() -> None:
    try:
        int(SECRET)  # its ValueError quotes what it got
    except ValueError as error:
        raise NameTaken(f"{SECRET} is taken") from error


@pytest.mark.parametrize("how", [LogFormat.JSON, LogFormat.TEXT])
def test_an_error_is_told_without_its_words(out: io.StringIO, how: LogFormat) -> None:
    """Logs an error's class and place without its message."""
    configure_logs(how, out)
    try:
        fail()
    except NameTaken:
        logging.getLogger("temporalio.activity").exception("failed\nwith %s", SECRET)
    sys.excepthook(*_raised())
    said = out.getvalue()
    assert SECRET not in said
    assert said.count("NameTaken < ValueError") == 2
    assert "test_logs.py" in said
    assert len(said.splitlines()) == 2


def _raised() -> tuple[type[BaseException], BaseException, None]:
    try:
        fail()
    except NameTaken as error:
        return type(error), error, None
    raise AssertionError


def test_a_line_is_json_unless_somebody_watches(out: io.StringIO) -> None:
    """Writes JSON unless a terminal watches."""
    configure_logs(LogFormat.AUTO, out)
    with bound_contextvars(transfer_id="t", step="freeze"):
        logging.getLogger("sb_transfer.activity").info("done", extra={"seconds": 1.5, "name_of_customer": SECRET})
    logging.getLogger("sb_transfer.worker").error("Unusable settings:\n  SB_TRANSFER_SMTP_URL: give one")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["transfer_id"], first["step"], first["seconds"]) == ("t", "freeze", 1.5)
    assert SECRET not in out.getvalue()
    assert second["event"].endswith("SB_TRANSFER_SMTP_URL: give one")
    assert (second["transfer_id"], second["step"]) == (None, None)
