"""The API as a process of its own."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from devstack import processes
from devstack.program import Program
from domain.errors import Unavailable

_READY_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.1
COMMAND = (sys.executable, "-P", "-m", "starter.api.serving")


class ApiProcess(Program):
    """`sb-transfer api` with the settings of a stack."""

    def __init__(self, folder: Path) -> None:
        """Prepare the process; `folder` is made when it is missing, and holds `log` and the port it had before."""
        super().__init__("API", COMMAND, folder)
        self.port = 0

    @property
    def url(self) -> str:
        """Return where the API is, once it has been configured."""
        return f"http://127.0.0.1:{self.port}"

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set the program's environment variables and choose its port, before the first start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = processes.remembered_ports(self.folder / "ports.json", "api")["api"]
        super().configure({**environment, "SB_TRANSFER_API_HOST": "127.0.0.1", "SB_TRANSFER_API_PORT": str(self.port)})

    async def ready(self) -> None:
        """Wait until the API listens.

        Raises:
            Unavailable: It has ended, or does not listen in time; the message names its log.
        """
        failure = f"The API did not start. Its log says why: {self.folder / 'log'}"
        try:
            async with asyncio.timeout(_READY_TIMEOUT_SECONDS):
                while not await processes.answers("127.0.0.1", self.port):
                    if not self.is_running:
                        raise Unavailable(failure)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable(failure) from error
