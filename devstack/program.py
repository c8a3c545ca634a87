"""One of this project's own programs as a process of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from devstack.server_process import ServerProcess

_METRICS = "metrics"


class Program(ServerProcess):
    """A command with the settings of a stack."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, *ports: str, metrics: bool) -> None:
        """Prepare the process.

        Args:
            name: How messages call it.
            command: The program and its arguments.
            folder: Made when it is missing; holds `log` and `ports.json`.
            ports: What it listens for, beside metrics.
            metrics: Whether it shows metrics, on a port of its own: programs of one machine cannot share one.
        """
        super().__init__(name, folder, *ports, *([_METRICS] if metrics else []))
        self._command = command
        self._shows_metrics = metrics
        self._environment: dict[str, str] = {}

    @property
    def metrics_url(self) -> str | None:
        """Return where the program shows its metrics, if it does."""
        return f"http://127.0.0.1:{self.ports[_METRICS]}/metrics" if self._shows_metrics else None

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set all of the program's environment variables, before the first start."""
        self._environment = dict(environment)

    def command(self) -> Sequence[str]:
        """Return the program and its arguments."""
        return self._command

    def environment(self) -> dict[str, str]:
        """Return the program's variables with the address of its metrics."""
        shown = {"SB_TRANSFER_METRICS_BIND": f"127.0.0.1:{self.ports[_METRICS]}"} if self._shows_metrics else {}
        return {**self._environment, **shown}
