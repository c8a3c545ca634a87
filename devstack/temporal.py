"""The Temporal dev server for demo, `up` and tests: the real server with its web UI, keeping its state in a file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from temporalio.client import Client

from adapters.temporal.client import connect_temporal
from devstack.binaries import temporal_cli
from devstack.server_process import ServerProcess
from domain.errors import Misconfigured, Unavailable

_ANSWER_SECONDS = 5.0  # on a busy machine; one that refuses is asked again meanwhile
# As in deploy/temporal-dynamic.yaml, which says why.
DYNAMIC = {
    "limit.blobSize.error": "307200",
    "limit.blobSize.warn": "262144",
    "limit.historySize.error": "209715200",
    "limit.historyCount.error": "204800",
    "history.maxInFlightUpdatePayloads": "200000",
    "matching.enableFairness": "true",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "frontend.WorkflowPauseEnabled": "true",
}
_PORTS = ("port", "ui-port", "http-port", "metrics-port")


class EmbeddedTemporal(ServerProcess):
    """One Temporal server in one folder, which keeps its workflows and its ports between starts."""

    niceness = 5

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """Prepare a server.

        Args:
            folder: Made when it is missing. Holds `temporal.db`, `log` and `ports.json`.
            settings: Dynamic configuration beyond the defaults, as JSON values, e.g.
                `{"frontend.WorkflowTimeSkippingEnabled": "true"}`.
        """
        super().__init__("Temporal server", folder, *_PORTS)
        self._settings = {**DYNAMIC, **(settings or {})}
        self.codec_url: str | None = None
        """Where the UI has payloads decoded, from the next start on."""

    @property
    def address(self) -> str:
        """Return host:port for clients, as in TEMPORAL_ADDRESS."""
        return f"127.0.0.1:{self.ports['port']}"

    @property
    def ui_url(self) -> str:
        """Return where people look."""
        return f"http://127.0.0.1:{self.ports['ui-port']}"

    def command(self) -> Sequence[str]:
        """Return the server's command, with its ports and its dynamic configuration."""
        return [
            str(temporal_cli()),
            "server",
            "start-dev",
            "--ip=127.0.0.1",
            *(f"--{name}={self.ports[name]}" for name in _PORTS),
            f"--db-filename={self.folder / 'temporal.db'}",
            "--log-level=error",
            "--ui-disable-news-fetch",
            *([f"--ui-codec-endpoint={self.codec_url}"] if self.codec_url else []),
            *(f"--dynamic-config-value={name}={value}" for name, value in self._settings.items()),
        ]

    def environment(self) -> Mapping[str, str]:
        """Return this process's variables without those meant for clients, which the program would take for itself."""
        return {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}

    async def is_ready(self) -> bool:
        """Tell whether the namespace is there, some moments after the ports are open."""
        if not await super().is_ready():
            return False
        try:
            await connect_temporal(environment={"TEMPORAL_ADDRESS": self.address}, timeout_seconds=_ANSWER_SECONDS)
        except (Unavailable, Misconfigured):
            return False
        return True

    async def connect(self) -> Client:
        """Return a client of this server, whatever this process's environment says."""
        return await connect_temporal(environment={"TEMPORAL_ADDRESS": self.address})
