"""One of this project's own programs as a process of its own."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.private_files import make_private_folder
from devstack import processes

_STOP_PATIENCE_SECONDS = 30.0
_METRICS_BIND = "SB_TRANSFER_METRICS_BIND"


class Program:
    """A command with the settings of a stack; `name` is how messages call it."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        """Prepare the process; `folder` is made when it is missing and holds `log`."""
        self.name = name
        self.folder = folder.absolute()
        self._command = command
        self._environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the id of the process that runs now, or of the last one while the next is being started."""
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Tell whether the process that was started last still runs."""
        return self._process is not None and self._process.poll() is None

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set all of the program's environment variables, before the first start."""
        self._environment = dict(environment)

    @property
    def metrics_url(self) -> str | None:
        """Return where the program shows its metrics, if it was given a place of its own for them."""
        bind = self._environment.get(_METRICS_BIND)
        return f"http://{bind}/metrics" if bind else None

    def _with_metrics(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the variables with a port for metrics: programs of one machine cannot share one."""
        make_private_folder(self.folder)
        port = processes.remembered_ports(self.folder / "metrics-port.json", "metrics")["metrics"]
        return {**environment, _METRICS_BIND: f"127.0.0.1:{port}"}

    async def start(self) -> None:
        """Start the program; it is at work somewhat later."""
        make_private_folder(self.folder)
        self._process = processes.launch(self._command, folder=self.folder, environment=self._environment)

    async def ended(self) -> int:
        """Wait until the process has ended and return its exit code."""
        return await processes.ended(self._started())

    async def stop(self) -> None:
        """Stop the program in order: it finishes what it can."""
        if self._process is not None:
            await processes.stop(self._process, signal.SIGTERM, patience_seconds=_STOP_PATIENCE_SECONDS)

    def stop_leftover(self) -> None:
        """End what a killed `up` left behind: it has the addresses of servers that are no more."""
        processes.end(processes.leftovers(self.folder), signal.SIGTERM, patience_seconds=5)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError(f"the {self.name} has not been started")
        return self._process
