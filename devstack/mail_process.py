"""The mail catcher as a process of its own."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from adapters.private_files import make_private_folder
from devstack import processes
from domain.errors import Unavailable

_START_TIMEOUT_SECONDS = 20.0
_POLL_SECONDS = 0.05


class MailProcess:
    """`python -m devstack.mail` for one folder, which keeps its port and its mails between starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.mail_dir = self.folder / "mails"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        if self._process is None:
            raise RuntimeError("the mail catcher has not been started")
        return self._process.pid

    @property
    def url(self) -> str:
        """Return the address as in SB_TRANSFER_SMTP_URL."""
        return f"smtp://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start the server; a leftover of this folder is stopped first.

        Raises:
            Unavailable: It did not start; the message names its log.
        """
        make_private_folder(self.folder)
        make_private_folder(self.mail_dir)
        leftovers = processes.leftovers(self.folder)
        await asyncio.to_thread(processes.end, leftovers, signal.SIGTERM, patience_seconds=5)
        self._port = processes.remembered_ports(self.folder / "ports.json", "port")["port"]
        self._process = processes.launch(
            [sys.executable, "-P", "-m", "devstack.mail", f"--port={self._port}", f"--dir={self.mail_dir}"],
            folder=self.folder,
        )
        failure = f"The mail catcher did not start. Its log says why: {self.folder / 'log'}"
        try:
            async with asyncio.timeout(_START_TIMEOUT_SECONDS):
                while not await processes.accepts_connections("127.0.0.1", self._port):
                    if self._process.poll() is not None:
                        raise Unavailable(failure)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable(failure) from error

    async def ended(self) -> int:
        """Wait until the server has ended, by whatever cause, and return its exit code."""
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return await processes.ended(self._process)

    async def stop(self) -> None:
        """Stop the server; the mails stay."""
        if self._process is not None:
            await processes.stop(self._process, signal.SIGTERM)
            self._process = None
