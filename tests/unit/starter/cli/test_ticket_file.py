"""The ticket file on disk: a secret that must not be lost, shown or written over."""

import stat
from pathlib import Path

import pytest

from domain.errors import Misconfigured
from starter.cli.ticket_file import TicketFile


def test_a_ticket_is_written_for_its_owner_only(tmp_path: Path) -> None:
    """Writes a ticket with mode 0600."""
    file = TicketFile(tmp_path, "enyoi-overdracht-ticket.avr")
    file.write(b"sealed")
    assert file.path.read_bytes() == b"sealed"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["enyoi-overdracht-ticket.avr"]


def test_a_file_that_is_there_is_refused_before_anything_happens(tmp_path: Path) -> None:
    """Refuses an existing file before the freeze."""
    (tmp_path / "a.avr").write_bytes(b"older")
    with pytest.raises(Misconfigured, match="--overwrite"):
        TicketFile(tmp_path, "a.avr")
    assert (tmp_path / "a.avr").read_bytes() == b"older"


def test_a_file_that_came_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    """Leaves a file that came meanwhile."""
    file = TicketFile(tmp_path, "a.avr")
    (tmp_path / "a.avr").write_bytes(b"the other's")
    with pytest.raises(Misconfigured):
        file.write(b"mine")
    assert (tmp_path / "a.avr").read_bytes() == b"the other's"
    assert len(list(tmp_path.iterdir())) == 1


def test_overwrite_replaces_the_file_and_its_mode(tmp_path: Path) -> None:
    """Replaces a file and its mode when asked."""
    old = tmp_path / "a.avr"
    old.write_bytes(b"older")
    old.chmod(0o644)
    TicketFile(tmp_path, "a.avr", overwrite=True).write(b"newer")
    assert old.read_bytes() == b"newer"
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


def test_a_folder_that_is_not_there_is_one_clear_refusal(tmp_path: Path) -> None:
    """Refuses a missing folder before the freeze."""
    with pytest.raises(Misconfigured, match="no folder"):
        TicketFile(tmp_path / "nowhere", "a.avr")
