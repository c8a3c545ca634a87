"""`sb-transfer keys rotate`: a new key in front, the older ones kept, and no key shown to whoever need not see it."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.crypto.ticket_seal import TicketSeal
from devstack.lock import FolderLock
from starter.cli.commands.key_rotation import rings
from starter.cli.main import execute
from starter.cli.output import ExitCode
from tests.unit.adapters.crypto.test_ticket_seal import CLAIMS


@pytest.fixture
def old_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one key there is, in no environment and no file yet."""
    monkeypatch.chdir(tmp_path)
    for variable in rings().values():
        monkeypatch.delenv(variable, raising=False)
    return Fernet.generate_key().decode()


def seal_of(keys: list[str]) -> TicketSeal:
    return TicketSeal([SecretStr(key) for key in keys])


def test_a_file_gets_a_new_key_in_front(old_key: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Puts a new key in front of those of a file."""
    file = Path("ring")
    file.write_text(old_key + "\n")
    before = seal_of([old_key]).seal(CLAIMS)
    assert execute(["keys", "rotate", "ticket", "--file", "ring"]) == ExitCode.OK
    ring = file.read_text().split()
    assert len(ring) == 2
    assert ring[1] == old_key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert seal_of(ring).open(before) == CLAIMS
    assert seal_of(ring[:1]).open(seal_of(ring).seal(CLAIMS)) == CLAIMS
    said = "".join(capsys.readouterr())
    assert not [key for key in ring if key in said]
    assert [path.name for path in Path().iterdir()] == ["ring"]


def test_the_ring_of_the_environment_is_printed_to_be_set(
    old_key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints the new ring where it cannot be written."""
    monkeypatch.setenv("SB_TRANSFER_TICKET_KEYS", old_key)
    assert execute(["keys", "rotate", "ticket", "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    ring = told["SB_TRANSFER_TICKET_KEYS"].split(",")
    assert ring[1:] == [old_key]
    assert Fernet(ring[0])
    assert execute(["keys", "rotate", "ticket"]) == ExitCode.OK
    assert "Nothing is changed yet" in capsys.readouterr().out


@pytest.mark.parametrize("ring", sorted(rings()))
def test_every_ring_of_a_stack_that_stands_still_can_be_rotated(old_key: str, ring: str) -> None:
    """Rotates each ring of a stack that does not run."""
    folder = Path("stack")
    folder.mkdir()
    (folder / f"{ring}-keys").write_text(old_key)
    assert execute(["keys", "rotate", ring, "--dir", "stack"]) == ExitCode.OK
    assert (folder / f"{ring}-keys").read_text().split()[1:] == [old_key]


def test_a_key_can_be_announced_before_it_is_used(old_key: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Adds a key behind the newest, to be read before it is used."""
    file = Path("ring")
    file.write_text(old_key)
    assert execute(["keys", "rotate", "payload", "--file", "ring", "--how", "promote"]) == ExitCode.MISCONFIGURED
    assert "Announce a new one first" in capsys.readouterr().err
    assert execute(["keys", "rotate", "payload", "--file", "ring", "--how", "announce"]) == ExitCode.OK
    announced = file.read_text().split()
    assert announced[0] == old_key
    assert execute(["keys", "rotate", "payload", "--file", "ring", "--how", "promote"]) == ExitCode.OK
    assert file.read_text().split() == [announced[1], old_key]


def test_a_running_stack_keeps_its_keys(old_key: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refuses to rotate the keys of a running stack."""
    folder = Path(".sb-transfer")
    folder.mkdir()
    (folder / "ticket-keys").write_text(old_key)
    lock = FolderLock(folder)
    lock.acquire()
    try:
        assert execute(["keys", "rotate", "ticket"]) == ExitCode.MISCONFIGURED
    finally:
        lock.release()
    assert "Stop it, rotate, and start it again." in capsys.readouterr().err
    assert (folder / "ticket-keys").read_text() == old_key


@pytest.mark.parametrize("held", ["", "no key", "c2hvcnQ=", "\udcff"])
def test_what_is_no_ring_stays_as_it_is(old_key: str, held: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Leaves a file that is no ring as it is."""
    Path("file").write_bytes(held.encode("utf-8", "surrogateescape"))
    assert execute(["keys", "rotate", "ticket", "--file", "file"]) == ExitCode.MISCONFIGURED
    assert Path("file").read_bytes() == held.encode("utf-8", "surrogateescape")
    assert execute(["keys", "rotate", "nothing"]) == ExitCode.MISCONFIGURED
    assert "Choose one of: certificate," in capsys.readouterr().err
    assert old_key
