"""`sb-transfer demo`: what a newcomer runs first, as a real process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from domain.vocabulary import CheckKind, ConsequenceKind, MailKind

COMMAND = str(Path(sys.executable).with_name("sb-transfer"))
FIELDS = [
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


def play(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with a temporary folder of its own."""
    return subprocess.run(
        [COMMAND, "demo", *arguments],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes that were started for a stack somewhere under a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            told = " ".join([*process.cmdline(), process.environ().get("SB_TRANSFER_STARTED_FOR", "")])
        except (psutil.Error, OSError):
            continue
        if str(folder) in told and process.pid != os.getpid():
            found.append(process)
    return found


def is_postgres(process: psutil.Process) -> bool:
    """Tell whether a process is a database server, or one of the short ones that build its data folder."""
    try:
        return "postgres" in process.name()
    except psutil.Error:
        return False


def test_the_demo_moves_all_three_and_leaves_nothing(tmp_path: Path) -> None:
    """Moves all three scenarios, reports them as JSON, and leaves nothing behind."""
    # Servers that the environment names are nobody's to seed: the demo brings its own.
    done = play(
        tmp_path,
        "--json",
        "--journal-lines",
        "3000",
        SB_TRANSFER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/precious",
        TEMPORAL_ADDRESS="127.0.0.1:1",
    )
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout)
    assert [report["scenario"] for report in reports] == ["switch", "outsource", "insource"]
    for report in reports:
        assert list(report) == FIELDS
        assert report["state"] == "released"
        assert report["mismatches"] == 0
        assert report["rows"] > 100
        assert report["old"]["status"] == "read_only"
        assert report["new"]["status"] == "active"
        assert set(report["old"]) == {"environment_id", "schema", "status", "url"}
        assert {check["check"] for check in report["checks"]} == set(CheckKind)
        assert all(check["equal"] for check in report["checks"])
        assert {"bank": "rabobank", "old": "active", "new": "active"} in report["banks"]
        others = [bank for bank in report["banks"] if bank["bank"] != "rabobank"]
        assert all((bank["old"], bank["new"]) == ("active", "needs_reactivation") for bank in others)
        assert ConsequenceKind.QUOTES_EXPIRED in {one["kind"] for one in report["consequences"]}
        assert {MailKind.READY, MailKind.RELEASED, MailKind.INVITATION} <= {mail["kind"] for mail in report["mails"]}
        assert all(mail["to"] and mail["subject"] for mail in report["mails"])
        assert report["history_events"] > 0
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_one_scenario_for_people_tells_the_whole_story(tmp_path: Path) -> None:
    """Shows steps, skipped wait, timeline and comparison of one scenario."""
    done = play(tmp_path, "--scenario", "insource", "--journal-lines", "1000", "--keep", "kept")
    assert done.returncode == 0, done.stderr
    for words in (
        "What the move will do",
        "start_now instead of waiting",
        "done: Clone the administrations",
        "Timeline",
        "Trial balance",
        "ready",
        "Every row is equal on both sides",
    ):
        assert words in done.stdout
    assert (tmp_path / "kept" / "postgres").is_dir()
    again = play(tmp_path, "--keep", "kept")
    assert again.returncode == 4
    assert "kept is not empty" in again.stderr
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_a_demo_that_is_broken_off_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Leaves no process behind after Ctrl-C."""
    with subprocess.Popen(
        [COMMAND, "demo", "--json"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        deadline = time.monotonic() + 60
        while not any(is_postgres(process) for process in processes_of(tmp_path)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        demo.send_signal(number)
        _, told = demo.communicate(timeout=60)
    assert demo.returncode == 128 + number, told
    assert "Traceback" not in told
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
