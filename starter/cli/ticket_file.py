"""The ticket file on disk: readable by its owner only, and never written over by accident."""

import os
from pathlib import Path

from domain.errors import Misconfigured


class TicketFile:
    """Where a ticket will be written. Making one checks the place, so that no ticket is made that cannot be kept."""

    def __init__(self, folder: Path, name: str, *, overwrite: bool = False) -> None:
        """Check the place.

        Raises:
            Misconfigured: The folder is not there or not writable, or the file exists and may not be replaced.
        """
        self.path = folder / name
        self._overwrite = overwrite
        if not folder.is_dir():
            raise Misconfigured(f"{folder} is no folder. Make it, or choose another one with -o.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Misconfigured(f"Nothing can be written in {folder}. Choose another folder with -o.")
        if self.path.exists() and not overwrite:
            raise self._taken()

    def write(self, content: bytes) -> None:
        """Write the ticket, mode 0600, whole or not at all.

        Raises:
            Misconfigured: Somebody made the file meanwhile.
        """
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self._overwrite:
                draft.replace(self.path)
            else:
                self._place(draft)
        finally:
            draft.unlink(missing_ok=True)

    def _place(self, draft: Path) -> None:
        """Give the draft its name in one step that fails when the name is taken."""
        try:
            self.path.hardlink_to(draft)
        except FileExistsError:
            raise self._taken() from None

    def _taken(self) -> Misconfigured:
        return Misconfigured(f"{self.path} exists already. Move it away, or use --overwrite.")
