"""Files and folders that only their owner may read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.private_files import close_to_others, make_private_folder, write_private


def mode(entry: Path) -> int:
    """Return who may do what with a file or folder."""
    return stat.S_IMODE(entry.lstat().st_mode)


@pytest.fixture(autouse=True)
def open_handed() -> Iterator[None]:
    """Let new files be everybody's unless a program says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_file_that_exists_is_closed_when_it_is_written(tmp_path: Path) -> None:
    """Keys written over a readable file are readable by nobody else."""
    file = tmp_path / "keys"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o600)
    assert [*tmp_path.iterdir()] == [file]


def test_a_name_that_is_taken_is_kept(tmp_path: Path) -> None:
    """Refuses to write over a file that may not be replaced, and leaves no draft."""
    file = tmp_path / "ticket"
    file.write_bytes(b"first")
    with pytest.raises(FileExistsError):
        write_private(file, b"second", replace=False)
    assert file.read_bytes() == b"first"
    assert [*tmp_path.iterdir()] == [file]


def test_a_folder_that_exists_is_closed(tmp_path: Path) -> None:
    """A folder made by an older version or by hand is closed like a new one."""
    new, old = tmp_path / "new", tmp_path / "old"
    old.mkdir(mode=0o755)
    make_private_folder(new)
    make_private_folder(old)
    assert (mode(new), mode(old)) == (0o700, 0o700)


def test_what_a_folder_holds_is_closed_and_links_are_not_followed(tmp_path: Path) -> None:
    """Closes files and folders at every depth, but what a link leads to and what is passed over."""
    outside = tmp_path / "outside"
    outside.write_text("somebody else's")
    outside.chmod(0o644)
    folder = tmp_path / "stack"
    for name in ("mail/mails", "postgres/data"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").touch(0o666)
    (folder / "link").symlink_to(outside)
    close_to_others(folder, but=("data",))
    assert {mode(folder / name) for name in (".", "mail", "mail/mails", "postgres")} == {0o700}
    assert mode(folder / "mail/mails/file") == 0o600
    assert mode(folder / "postgres/data/file") == 0o666
    assert mode(outside) == 0o644
