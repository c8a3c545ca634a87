"""The command line as people use it: `up` in one terminal, the move in another, every command a real process."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psutil
import pytest

from tests.tools.commands import run_command

COMMAND = str(Path(sys.executable).with_name("sb-transfer"))


class Terminal:
    """A folder in which commands are typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command and wait for its end."""
        return run_command(words, folder=self.folder, variables=self._variables)

    def json(self, *words: str, code: int = 0) -> Any:
        """Type a command with --json and return its document; it must end with this exit code."""
        done = self.run(*words, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Type a command that stays."""
        return subprocess.Popen(
            [COMMAND, *words], cwd=self.folder, env=self._variables, stdout=subprocess.PIPE, text=True
        )


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A folder in which `sb-transfer up` runs, with books."""
    terminal = Terminal(tmp_path_factory.mktemp("journey"))
    with terminal.start("up") as up:
        assert up.stdout
        try:
            assert "The stack runs" in up.stdout.readline()
            terminal.json("seed", "--journal-lines", "2000")
            yield terminal
        finally:
            up.send_signal(signal.SIGTERM)
            assert up.wait(60) == 0
    assert not (terminal.folder / ".sb-transfer" / "stack.json").exists()
    mark = str(terminal.folder)
    for process in psutil.process_iter():
        try:
            assert mark not in " ".join(process.cmdline())
        except psutil.Error:
            continue


def test_a_move_by_hand(terminal: Terminal) -> None:
    """Runs the README's tour word for word."""
    dry = terminal.json("prepare", "enyoi", "--dry-run")
    assert dry["environment"]["name"] == "enyoi"
    assert dry["open_quotes"]
    assert not list(terminal.folder.glob("*.avr"))

    done = terminal.run("prepare", "enyoi")
    assert done.returncode == 0, done.stderr
    assert "Quotes lost" in done.stdout
    ticket = terminal.folder / "enyoi-overdracht-ticket.avr"
    assert stat.S_IMODE(ticket.stat().st_mode) == 0o600
    assert terminal.json("status", "enyoi")["status"]["state"] == "awaiting_upload"

    # Lost and fetched once more: the older file is worth nothing.
    older = ticket.read_bytes()
    assert terminal.run("ticket", "enyoi").returncode == 4
    assert ticket.read_bytes() == older
    terminal.json("ticket", "enyoi", "--overwrite")
    ticket.with_name("older.avr").write_bytes(older)
    words = ("--licence", "10002", "--name", "Enyoi Advies")
    refused = terminal.json("upload", "older.avr", *words, code=2)
    assert refused["error"]["code"] == "TicketRevoked"

    taken = terminal.run("upload", ticket.name, "--licence", "10002", "--name", "Van Dam Horeca")
    assert taken.returncode == 2
    assert taken.stderr.startswith("Deze licentie heeft al een omgeving met deze naam.")
    assert "(This licence already has an environment with that name." in taken.stderr
    accepted = terminal.json("upload", ticket.name, *words)
    assert accepted["url"].endswith("/enyoi-advies")
    assert accepted["starts_at"]

    early = terminal.run("release", "enyoi", "--by", "early bird")
    assert early.returncode == 2
    assert "the transfer is scheduled" in early.stderr
    assert terminal.run("start-now", "enyoi").returncode == 0
    seen = terminal.json("watch", "enyoi")
    assert seen["status"]["state"] == "awaiting_release"
    again = terminal.json("resend", "enyoi", "--kind", "ready", "--to", "directie@bakker.example")
    assert (again["sent"], again["problems"]) == (1, [])
    new = seen["status"]["new"]["environment_id"]
    compared = terminal.json("compare", "10001/enyoi", new)
    assert compared["verification"]["differences"] == []
    assert compared["verification"]["rows"] > 500
    assert all(check["equal"] for check in compared["report"]["checks"])
    assert terminal.run("compare", "10001/enyoi", "Van Dam Horeca").returncode == 1
    _compared(terminal, new)
    _certified(terminal)
    released = terminal.json("release", "enyoi", "--by", "Anna [de] Vries", "--note", "compared")
    assert released["status"]["state"] == "released"
    assert terminal.run("watch", "enyoi").returncode == 0
    story = terminal.run("events", "enyoi")
    assert "Anna [de] Vries" in story.stdout
    assert "early bird" in story.stdout
    assert terminal.json("list", "--state", "released")[0]["environment_name"] == "enyoi"


def _compared(terminal: Terminal, new: str) -> None:
    """Environments are found by what is known of them, and what was compared is a file to keep."""
    assert terminal.run("compare", "10001/enyoi", "10001/enyoi").returncode == 0
    found = terminal.json("environments", "enyoi")
    assert {one["name"] for one in found} >= {"enyoi", "Enyoi Advies"}
    assert [one["environment_id"] for one in terminal.json("environments", new[:13])] == [new]
    assert terminal.run("compare", "10001/enyoi", new, "-o", "comparison.pdf").returncode == 4
    terminal.json("compare", "10001/enyoi", new, "-o", "comparison.xlsx", "--language", "en")
    assert (terminal.folder / "comparison.xlsx").read_bytes().startswith(b"PK")
    books = terminal.json("auditfile", "enyoi", "-o", ".", "--year", "2025")
    assert len(books) == 3
    assert all(one["equal"] and (terminal.folder / one["new"]).stat().st_size > 1_000 for one in books)
    assert terminal.json("auditfile", "enyoi", "--year", "1999", code=2)["error"]["code"] == "YearUnknown"


def _certified(terminal: Terminal) -> None:
    """The certificate is in the mail and on the command line; what changed behind everybody's back is not released."""
    terminal.json("certificate", "enyoi", "-o", "certificate.json")
    file = (terminal.folder / "certificate.json").read_bytes()
    deadline = time.monotonic() + 60
    while len(attached := _attached(terminal)) < 2:  # ready, and ready again for the director; mails have their pace
        assert time.monotonic() < deadline, attached
        time.sleep(0.1)
    assert [*attached.values()] == [file] * 2
    checked = terminal.json("verify-certificate", "certificate.json", "--databases")
    assert [(side["side"], side["checked"], side["changes"]) for side in checked["sides"]] == [
        ("old", True, []),
        ("new", True, []),
    ]

    stack = json.loads((terminal.folder / ".sb-transfer" / "stack.json").read_text())
    schema = f"env_{UUID(checked['certificate']['old']['environment_id']).hex}"
    swap = f"update {schema}.journal_line set debit = credit, credit = debit where id = 1"
    asyncio.run(_past_the_fence(stack["database_url"], f"{schema}.journal_line", swap))
    refused = terminal.json("release", "enyoi", "--by", "Anna [de] Vries", code=2)
    assert refused["error"]["code"] == "EnvironmentChanged"
    assert "journal_line in the old environment" in refused["error"]["message"]
    sight = terminal.json("status", "enyoi")["status"]
    check = next(step for step in sight["steps"] if step["step"] == "check")
    assert (sight["state"], check["state"]) == ("awaiting_release", "failed")
    assert "journal_line" in check["detail"]
    assert terminal.json("verify-certificate", "certificate.json", "--databases", code=1)["sides"][0]["changes"]
    asyncio.run(_past_the_fence(stack["database_url"], f"{schema}.journal_line", swap))


def _attached(terminal: Terminal) -> dict[str, Any]:
    """Return the certificate in each mail that has one, by the mail's id: what is sent twice is one mail."""
    mails = [message_from_bytes(mail.read_bytes(), policy=SMTP) for mail in terminal.folder.rglob("*.eml")]
    return {
        str(mail["Message-ID"]): part.get_payload(decode=True)
        for mail in mails
        for part in mail.walk()
        if part.get_content_type() == "application/json"
    }


async def _past_the_fence(database_url: str, table: str, statement: str) -> None:
    """Do what nobody may do, as somebody who may do everything."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"alter table {table} disable trigger sb_transfer_fence")
        await connection.execute(statement)
        await connection.execute(f"alter table {table} enable always trigger sb_transfer_fence")
    finally:
        await connection.close()


def test_an_undone_move_shows_in_the_exit_code(terminal: Terminal) -> None:
    """Ends with its own exit code when the transfer was undone."""
    started = terminal.json("prepare", "Molenaar Bouw")
    assert "ticket" not in started
    assert terminal.json("cancel", started["transfer_id"], "--reason", "asked")["status"]["undo_reason"] == "cancelled"
    assert terminal.run("watch", started["transfer_id"]).returncode == 1
    assert terminal.json("status", started["transfer_id"], code=1)["status"]["state"] == "undone"
    assert terminal.json("cancel", started["transfer_id"], code=2)["error"]["code"] == "WrongMoment"


def hears_sigterm(pid: int) -> bool:
    """Whether a process has a handler of its own; before that the signal simply ends it."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_portfolio_by_hand(terminal: Terminal) -> None:
    """Prepares what goes to one licence, and gives its tickets as one file."""
    words = ("10002/Bloemisterij Smit", "--licence", "10001", "--no-upload", "--begin")
    which = terminal.json("portfolio", "create", *words)["portfolio_id"]

    def until(**counts: int) -> None:
        for _ in range(120):
            if terminal.json("portfolio", "show", which)["counts"] == counts:
                return
            time.sleep(0.5)
        raise AssertionError(terminal.json("portfolio", "show", which))

    until(awaiting_upload=1)
    assert terminal.json("portfolio", "tickets", which, "-o", "tickets.zip")["tickets"] == 1
    file = terminal.folder / "tickets.zip"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert zipfile.ZipFile(file).namelist() == ["0001-bloemisterij-smit-overdracht-ticket.avr"]
    again = terminal.run("portfolio", "tickets", which, "-o", "tickets.zip")
    assert again.returncode != 0
    assert "exists already" in again.stderr
    terminal.json("portfolio", "cancel", which)
    until(undone=1)


def test_the_worker_command_becomes_the_worker(terminal: Terminal) -> None:
    """Replaces its process by the worker, which stops on SIGTERM."""
    with terminal.start("worker") as started:
        try:
            deadline = time.monotonic() + 60
            while psutil.Process(started.pid).cmdline()[-3:] != ["-P", "-m", "worker"] or not hears_sigterm(
                started.pid
            ):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0


def test_status_is_answered_without_a_worker(terminal: Terminal) -> None:
    """Answers `status` from the database while no worker runs."""
    started = terminal.json("prepare", "Linden Tandartsen")
    stack = json.loads((terminal.folder / ".sb-transfer" / "stack.json").read_text())
    worker = psutil.Process(stack["pids"]["worker"])
    worker.send_signal(signal.SIGSTOP)  # there, and deaf: the supervisor does not start another one
    try:
        sight = terminal.json("status", started["transfer_id"])
        assert (sight["told_by"], sight["status"]["state"]) == ("database", "awaiting_upload")
    finally:
        worker.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 90
    while terminal.json("status", started["transfer_id"])["told_by"] != "workflow":
        assert time.monotonic() < deadline
    assert terminal.run("cancel", started["transfer_id"]).returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("prepare", "nobody"), 2, "EnvironmentUnknown"),
        (("status", "nobody"), 2, "TransferUnknown"),
        (("upload", "nowhere.avr", "--licence", "1", "--name", "x"), 4, "Misconfigured"),
        (("upload", ".sb-transfer/stack.json", "--licence", "1", "--name", "x"), 2, "TicketNotGenuine"),
    ],
)
def test_what_cannot_be_done_says_why(terminal: Terminal, words: tuple[str, ...], code: int, error: str) -> None:
    """Gives the error's code in the JSON of every refused command."""
    assert terminal.json(*words, code=code)["error"]["code"] == error
