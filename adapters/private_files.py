"""Files and folders that only their owner may read: keys, passwords, tickets, customers' mail."""

import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

_FILE, _FOLDER = 0o600, 0o700


def write_private(file: Path, content: bytes | str, *, replace: bool = True) -> None:
    """Write a file, mode 0600, whole or not at all; one that is there already loses whatever mode it had.

    Args:
        file: In a folder that exists.
        content: Text is written as UTF-8.
        replace: Whether a file of that name is written over.

    Raises:
        FileExistsError: There is one, and it may not be written over.
    """
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
        if replace:
            draft.replace(file)
        else:
            file.hardlink_to(draft)  # one step, which fails when somebody took the name meanwhile
    finally:
        draft.unlink(missing_ok=True)


def make_private_folder(folder: Path) -> None:
    """Make a folder, mode 0700, and what is missing above it; one that is there already is closed to others too."""
    folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
    _close(folder)


def close_to_others(folder: Path, *, but: tuple[str, ...] = ()) -> None:
    """Take from everybody but their owner what a folder holds: an older version or another umask may have left it open.

    Args:
        folder: With everything below it; links are not followed.
        but: Names of folders that are passed over.
    """
    make_private_folder(folder)
    for entry in _below(folder, but):
        _close(entry)


def _below(folder: Path, but: tuple[str, ...]) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in but]
        yield from (Path(here, name) for name in (*folders, *files))


def _close(entry: Path) -> None:
    """Leave an entry to its owner; what is a link, is gone already, or belongs to somebody else stays as it is."""
    try:
        found = entry.lstat()
        mode = stat.S_IMODE(found.st_mode)
        ours = found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode)
        if ours and mode & ~_FOLDER:
            entry.chmod(mode & _FOLDER)
    except FileNotFoundError:
        return
