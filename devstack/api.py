"""The HTTP servers, each as a process of its own: API, codec server, pages, and where people log in to those."""

import sys
from pathlib import Path

from devstack.program import Program


class HttpProcess(Program):
    """A program that listens where `SB_TRANSFER_<setting>_HOST` and `_PORT` say, on loopback."""

    def __init__(self, name: str, module: str, setting: str, folder: Path, *, metrics: bool) -> None:
        """Prepare the process; `folder` is made when it is missing, and holds `log` and the ports it had before."""
        super().__init__(name, (sys.executable, "-P", "-m", module), folder, "http", metrics=metrics)
        self._setting = setting

    @property
    def url(self) -> str:
        """Return where the program is, once its port has been chosen."""
        return f"http://127.0.0.1:{self.ports['http']}"

    def environment(self) -> dict[str, str]:
        """Return the program's variables with its address."""
        prefix = f"SB_TRANSFER_{self._setting}"
        return {**super().environment(), f"{prefix}_HOST": "127.0.0.1", f"{prefix}_PORT": str(self.ports["http"])}


class ApiProcess(HttpProcess):
    """`sb-transfer api` with the settings of a stack; it shows its metrics."""

    def __init__(self, folder: Path) -> None:
        """Prepare the process; see `HttpProcess`."""
        super().__init__("API", "starter.api.main", "API", folder, metrics=True)


class CodecProcess(HttpProcess):
    """`sb-transfer codec` with the settings of a stack."""

    def __init__(self, folder: Path) -> None:
        """Prepare the process; see `HttpProcess`."""
        super().__init__("codec server", "starter.codec.main", "CODEC", folder, metrics=False)


class WebProcess(HttpProcess):
    """`sb-transfer web` with the settings of a stack."""

    def __init__(self, folder: Path) -> None:
        """Prepare the process; see `HttpProcess`."""
        super().__init__("pages", "starter.web.main", "WEB", folder, metrics=False)


class IdentityProcess(HttpProcess):
    """The stack's own identity provider, for those who have none."""

    def __init__(self, folder: Path) -> None:
        """Prepare the process; see `HttpProcess`."""
        super().__init__("identity provider", "devstack.identity_provider", "IDENTITY", folder, metrics=False)
