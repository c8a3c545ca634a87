"""What the command line answers when something is wrong: one line or one document, and an exit code."""

import asyncio
import json
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from devstack.info import StackInfo
from devstack.lock import FolderLock
from domain.errors import (
    CannotBeCarried,
    Misconfigured,
    NameTaken,
    TransferError,
    Unavailable,
    UrlTaken,
    WrongMoment,
    all_errors,
)
from starter.cli.main import execute
from starter.cli.output import ExitCode, Output, report, run
from starter.client.errors import NoWorker

SETTINGS = (
    "SB_TRANSFER_DATABASE_URL",
    "SB_TRANSFER_SMTP_URL",
    "SB_TRANSFER_TICKET_KEYS",
    "SB_TRANSFER_CERTIFICATE_KEYS",
    "SB_TRANSFER_PAYLOAD_KEYS",
    "TEMPORAL_ADDRESS",
)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a stack, in a process without settings."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NameTaken(), ExitCode.REFUSED),
        (WrongMoment(), ExitCode.REFUSED),
        (Unavailable(), ExitCode.UNAVAILABLE),
        (NoWorker(), ExitCode.UNAVAILABLE),
        (Misconfigured(), ExitCode.MISCONFIGURED),
        (asyncpg.UndefinedTableError("relation control.transfer does not exist"), ExitCode.MISCONFIGURED),
        (asyncpg.InvalidPasswordError("password authentication failed"), ExitCode.MISCONFIGURED),
        (PermissionError(13, "Permission denied", "ticket.avr"), ExitCode.MISCONFIGURED),
        (ConnectionResetError(104, "Connection reset by peer"), ExitCode.UNAVAILABLE),
        (TransferError(), ExitCode.FAILED),
        (ZeroDivisionError("division by zero\nsecond line"), ExitCode.FAILED),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_one_line(
    error: Exception, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ends each kind of error with its exit code and one line."""
    assert report(error, as_json=False) is code
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "Traceback" not in told.err


@pytest.mark.parametrize("kind", all_errors().values(), ids=lambda kind: kind.__name__)
def test_every_error_can_be_reported_both_ways(kind: type[TransferError], capsys: pytest.CaptureFixture[str]) -> None:
    """Reports every error as a line and as JSON."""
    by_line = report(kind(), as_json=False)
    assert capsys.readouterr().err.strip()
    assert report(kind(), as_json=True) is by_line
    told = capsys.readouterr()
    assert told.err == ""
    document = json.loads(told.out)
    assert document["error"]["code"] == kind.__name__
    assert document["error"]["message"]
    assert document["error"]["message_nl"]


def test_a_refusal_is_in_dutch_with_the_english_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints a refusal in Dutch with the English beside it."""
    report(UrlTaken(), as_json=False)
    line = capsys.readouterr().err
    assert line.startswith("Deze url is al in gebruik. Kies een andere url. (This url is already in use.")


def test_a_refusal_with_details_keeps_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints each obstacle of a refusal."""
    report(CannotBeCarried("It holds [x]. Remove it.", dutch="Er staat [x] in. Verwijder het."), as_json=False)
    assert capsys.readouterr().err == "Er staat [x] in. Verwijder het. (It holds [x]. Remove it.)\n"


@pytest.mark.parametrize("arguments", [["status", "x"], ["list"], ["setup"], ["prepare", "x"], ["seed"], ["worker"]])
def test_without_settings_one_line_says_what_to_do(
    nowhere: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Says in one line to run `up` or to set the variables."""
    assert nowhere == Path.cwd()
    assert execute(arguments) == ExitCode.MISCONFIGURED
    told = capsys.readouterr()
    assert told.out == ""
    assert "sb-transfer up" in told.err
    assert len(told.err.splitlines()) == 1


def test_a_stack_elsewhere_is_found_by_its_folder(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `up --dir` no other command could find the stack, whatever the hint said."""
    monkeypatch.setenv("SB_TRANSFER_DIR", str(nowhere / "elsewhere"))
    assert execute(["list"]) == ExitCode.MISCONFIGURED
    assert f"no stack runs in {nowhere / 'elsewhere'}" in capsys.readouterr().err
    info = {"database_url": "postgresql://sb_owner:geheim@127.0.0.1:1/sb", "temporal_address": "127.0.0.1:1"}
    (nowhere / "elsewhere").mkdir()
    StackInfo(**info, smtp_url="smtp://127.0.0.1:1").write(nowhere / "elsewhere")
    running = FolderLock(nowhere / "elsewhere")
    running.acquire()
    try:
        assert execute(["list"]) == ExitCode.UNAVAILABLE
    finally:
        running.release()
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_shells_complete_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Thirty commands are not known by heart."""
    monkeypatch.setenv("_SB_TRANSFER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "sb-transfer rele")
    monkeypatch.setenv("COMP_CWORD", "1")
    execute([])
    assert "release" in capsys.readouterr().out.split()


def test_a_half_configured_process_does_not_use_the_stack(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names missing settings instead of taking the stack's."""
    assert nowhere == Path.cwd()
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    assert execute(["list"]) == ExitCode.MISCONFIGURED
    assert "SB_TRANSFER_DATABASE_URL" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_database_that_is_away_is_named_without_its_password(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    """Names the database without its password."""
    assert nowhere == Path.cwd()
    monkeypatch.setenv("SB_TRANSFER_DATABASE_URL", "postgresql://sb_owner:geheim@127.0.0.1:1/sb")
    monkeypatch.setenv("SB_TRANSFER_SMTP_URL", "smtp://127.0.0.1:1")
    for keys in ("SB_TRANSFER_TICKET_KEYS", "SB_TRANSFER_CERTIFICATE_KEYS", "SB_TRANSFER_PAYLOAD_KEYS"):
        monkeypatch.setenv(keys, "bm90LWEtcmVhbC1rZXktYnV0LTMyLWJ5dGVzLWxvbmc=")
    assert execute(["status", "x", *flags]) == ExitCode.UNAVAILABLE
    told = capsys.readouterr()
    assert "127.0.0.1:1" in (told.out if flags else told.err)
    assert "geheim" not in told.out + told.err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["upload"], ["reject", "x"], ["list", "--state", "asleep"], ["watch"]]
)
def test_a_wrong_command_line_is_refused_both_ways(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Ends a wrong command line with 2, as a line or as JSON."""
    assert execute(arguments) == ExitCode.REFUSED
    told = capsys.readouterr()
    assert told.out == ""
    assert "--help" in told.err
    assert execute([*arguments, "--json"]) == ExitCode.REFUSED
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "Usage"


def test_every_command_of_the_contract_is_there_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Has every command of the contract, each with `--json`."""
    commands = [
        "demo",
        "up",
        "setup",
        "seed",
        "worker",
        "prepare",
        "upload",
        "compare",
        "status",
        "list",
        "watch",
        "start-now",
        "release",
        "reject",
        "cancel",
        "events",
        "resend",
        "ticket",
        "environments",
        "auditfile",
    ]
    for command in commands:
        assert execute([command, "--help"]) == ExitCode.OK
        helped = capsys.readouterr().out
        assert command == "worker" or "--json" in helped, command


def test_no_arguments_show_the_commands_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Shows commands and exit codes without arguments."""
    assert execute([]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert "prepare" in shown
    assert "Exit codes" in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_a_command_so_that_it_can_clean_up(number: signal.Signals) -> None:
    """Cancels a command on a signal and lets it clean up."""
    cleaned = []

    async def work() -> ExitCode:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(10)
        finally:
            cleaned.append(number)
        return ExitCode.OK

    assert run(work()) is ExitCode.TERMINATED
    assert cleaned == [number]


def test_with_json_people_hear_nothing_and_programs_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints one JSON document and nothing else with `--json`."""
    output = Output(as_json=True)
    output.say("progress")
    output.answer({"done": True}, "Done.")
    told = capsys.readouterr()
    assert json.loads(told.out) == {"done": True}
    assert told.err == ""
    output = Output(as_json=False)
    output.answer({"done": True}, "Done.")
    assert capsys.readouterr().out == "Done.\n"
