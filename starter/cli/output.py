"""How a command answers: for people or as one JSON document, errors on one line, an exit code that means something."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import asyncpg
import typer
from pydantic_core import to_json
from rich.console import Console, RenderableType
from rich.text import Text

from domain.errors import Misconfigured, Refused, TransferError, Unavailable


class ExitCode(IntEnum):
    """What a command's exit code says; the list in docs/commands.md."""

    OK = 0
    DIFFERENT = 1  # the two sides differ, or the transfer was undone
    REFUSED = 2  # a wrong command line, or a business refusal
    UNAVAILABLE = 3  # a server or the worker does not answer
    MISCONFIGURED = 4
    FAILED = 5  # anything else
    VIOLATED = 6  # something is half-moved
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


EXIT_CODES = (
    "Exit codes: 0 done · 1 the two sides differ, or the transfer was undone · 2 wrong command line or a refusal · "
    "3 a server or the worker does not answer · 4 misconfigured · 5 anything else · 6 something is half-moved · "
    "130 interrupted · 143 terminated."
)
_WIDTH_OF_A_FILE = 140  # a log or a pipe has no width of its own
_BY_KIND: tuple[tuple[type[TransferError], ExitCode], ...] = (
    (Refused, ExitCode.REFUSED),
    (Unavailable, ExitCode.UNAVAILABLE),
    (Misconfigured, ExitCode.MISCONFIGURED),
)
_MANUALS_ZONE = ZoneInfo("Europe/Amsterdam")
# What PostgreSQL says when the address, the login or the schema is not what the settings and `setup` should have made.
_NOT_SET_UP = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)
_NO_ENTRY = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


class Output:
    """Writes a command's answer; with `as_json` nothing but one document reaches standard output."""

    def __init__(self, *, as_json: bool, zone: ZoneInfo = _MANUALS_ZONE) -> None:
        """Write to this process's streams; moments are shown on the wall clock of `zone`."""
        self.as_json = as_json
        self.zone = zone
        self.people = Console(stderr=as_json, quiet=as_json, highlight=False)
        if not self.people.is_terminal and "COLUMNS" not in os.environ:
            self.people.width = _WIDTH_OF_A_FILE

    def say(self, *things: RenderableType) -> None:
        """Tell people something, now; programs that asked for JSON do not hear it."""
        for thing in things:
            self.people.print(thing, soft_wrap=isinstance(thing, Text))

    def answer(self, document: Any, *things: RenderableType) -> None:
        """Give the command's answer: the document to programs, the renderables to people."""
        if self.as_json:
            write_json(document)
        else:
            self.say(*things)


def write_json(document: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(to_json(document, indent=2).decode() + "\n")
    sys.stdout.flush()


def report(error: BaseException, *, as_json: bool) -> ExitCode:
    """Report an error on one line of standard error, or as a document, and return the exit code it means."""
    known = in_our_words(error)
    code = next((code for kind, code in _BY_KIND if isinstance(known, kind)), ExitCode.FAILED)
    if as_json:
        write_json({"error": {"code": known.code(), "message": known.english, "message_nl": known.dutch_text}})
        return code
    line = known.english
    if isinstance(known, Refused) and known.dutch_text != known.english:
        line = f"{known.dutch_text} ({known.english})"
    complain(" ".join(line.split()))
    return code


def report_usage(error: typer.TyperException, *, as_json: bool) -> ExitCode:
    """Report a command line that cannot be understood, with where to read how it should be."""
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    if as_json:
        write_json({"error": {"code": "Usage", "message": message, "message_nl": message}})
    else:
        path = context.command_path if context is not None else "sb-transfer"
        complain(f"{message} `{path} --help` tells more.")
    return ExitCode.REFUSED


def complain(line: str) -> None:
    """Write one line to standard error."""
    Console(stderr=True, highlight=False).print(Text(line, style="red"), soft_wrap=True)


def in_our_words(error: BaseException) -> TransferError:
    """Return an error as one of the domain's; what nobody foresaw keeps its type and its message's first line."""
    match error:
        case TransferError():
            return error
        case asyncpg.PostgresError() if isinstance(error, _NOT_SET_UP):
            return Misconfigured(f"The database is not set up ({_first_line(error)}). Run `sb-transfer setup`.")
        case asyncpg.PostgresError() if isinstance(error, _NO_ENTRY):
            return Misconfigured(
                f"The database does not let us in: {_first_line(error)}. Correct SB_TRANSFER_DATABASE_URL."
            )
        case ConnectionError() | TimeoutError():
            return Unavailable(f"A server does not answer ({type(error).__name__}). Try again.")
        case OSError() if error.filename is not None:
            return Misconfigured(f"{error.filename}: {error.strerror}. Choose another file or correct its permissions.")
    return TransferError(f"Unexpected {type(error).__name__}: {_first_line(error)}. Look in the logs, then try again.")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0].rstrip(".")


def run(work: Coroutine[Any, Any, ExitCode]) -> ExitCode:
    """Run a command to its end; SIGTERM and SIGHUP cancel it as Ctrl-C does, so that it can clean up."""

    async def guarded() -> ExitCode:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("asyncio.run makes a task")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        return await work

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        return ExitCode.TERMINATED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def leave(code: int) -> NoReturn:
    """End the process with this code, and no other.

    The Temporal SDK's threads may abort a Python interpreter that is being torn down (exit 134), so it is not torn
    down: everything has been closed, what was written is flushed, and the process ends here.
    """
    gc.collect()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # whoever read it has gone
            code = code or ExitCode.FAILED
    os._exit(code)
