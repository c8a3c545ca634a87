"""The ticket file on disk: readable by its owner only, and never written over by accident."""

import os
from pathlib import Path

from adapters.private_files import write_private
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
        try:
            write_private(self.path, content, replace=self._overwrite)
        except FileExistsError:
            raise self._taken() from None

    def _taken(self) -> Misconfigured:
        return Misconfigured(f"{self.path} exists already. Move it away, or use --overwrite.")
