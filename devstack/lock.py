"""One stack per folder: a lock that the kernel drops when its holder ends, however it ends."""

import fcntl
import os
import time
from pathlib import Path

from domain.errors import Misconfigured

_LOCK_FILE = "lock"
# Whoever asks whether the lock is held, holds it for a moment.
_PATIENCE_SECONDS = 1.0
_POLL_SECONDS = 0.02


class FolderLock:
    """The right to run the stack of a folder. Children do not inherit it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            Misconfigured: Another process has it; the message names it.
        """
        descriptor = os.open(self._folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 20, 0).decode().strip()
                os.close(descriptor)
                raise Misconfigured(
                    f"A stack already runs in {self._folder} (process {holder}). Stop it first, or use another folder."
                )
            time.sleep(_POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next one in; the file stays, for removing it would let two in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_held(self) -> bool:
        """Tell whether a process, this one too, runs the stack of the folder."""
        try:
            descriptor = os.open(self._folder / _LOCK_FILE, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _try(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)


def _try(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
