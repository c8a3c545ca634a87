"""The API and the codec server, each as a process of its own."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from adapters.private_files import make_private_folder
from devstack import processes
from devstack.program import Program
from domain.errors import Unavailable

_READY_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.1


class HttpProcess(Program):
    """A program that listens where `SB_TRANSFER_<setting>_HOST` and `_PORT` say, on loopback."""

    def __init__(self, name: str, module: str, setting: str, folder: Path) -> None:
        """Prepare the process; `folder` is made when it is missing, and holds `log` and the port it had before."""
        super().__init__(name, (sys.executable, "-P", "-m", module), folder)
        self._setting = setting
        self.port = 0

    @property
    def url(self) -> str:
        """Return where the program is, once its port has been chosen."""
        return f"http://127.0.0.1:{self.port}"

    def choose_port(self) -> None:
        """Choose the port: the one it had before, unless somebody else has taken it."""
        make_private_folder(self.folder)
        name = self._setting.lower()
        self.port = processes.remembered_ports(self.folder / "ports.json", name)[name]

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set the program's environment variables, before the first start."""
        if not self.port:
            self.choose_port()
        prefix = f"SB_TRANSFER_{self._setting}"
        super().configure({**environment, f"{prefix}_HOST": "127.0.0.1", f"{prefix}_PORT": str(self.port)})

    async def ready(self) -> None:
        """Wait until the program listens.

        Raises:
            Unavailable: It has ended, or does not listen in time; the message names its log.
        """
        failure = f"The {self.name} did not start. Its log says why: {self.folder / 'log'}"
        try:
            async with asyncio.timeout(_READY_TIMEOUT_SECONDS):
                while not await processes.accepts_connections("127.0.0.1", self.port):
                    if not self.is_running:
                        raise Unavailable(failure)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable(failure) from error


class ApiProcess(HttpProcess):
    """`sb-transfer api` with the settings of a stack."""

    def __init__(self, folder: Path) -> None:
        """Prepare the process; see `HttpProcess`."""
        super().__init__("API", "starter.api.main", "API", folder)

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set the program's environment variables, before the first start; it shows its metrics."""
        super().configure(self._with_metrics(environment))


class CodecProcess(HttpProcess):
    """`sb-transfer codec` with the settings of a stack."""

    def __init__(self, folder: Path) -> None:
        """Prepare the process; see `HttpProcess`."""
        super().__init__("codec server", "starter.codec.main", "CODEC", folder)
