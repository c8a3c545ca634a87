"""The Temporal dev server for demo, `up` and tests: the real server with its web UI, keeping its state in a file."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from temporalio.client import Client

from adapters.private_files import make_private_folder
from adapters.temporal.client import connect_temporal
from devstack import processes
from devstack.binaries import temporal_cli
from domain.errors import Misconfigured, Unavailable

_START_TIMEOUT_SECONDS = 30.0
_PORT_TRIES = 3
_PORT_TAKEN = "address already in use"
_LOG_TAIL = 500
_POLL_SECONDS = 0.05


class EmbeddedTemporal:
    """One Temporal server in one folder, which keeps its workflows and its ports between starts."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """Prepare a server.

        Args:
            folder: Made when it is missing. Holds `temporal.db`, `log` and `ports.json`.
            settings: Dynamic configuration beyond the defaults, as JSON values, e.g.
                `{"frontend.WorkflowTimeSkippingEnabled": "true"}`.
        """
        self.folder = folder.absolute()
        self._settings = dict(settings or {})
        self.codec_url: str | None = None
        """Where the UI has payloads decoded, from the next start on."""
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return self._process.pid

    @property
    def address(self) -> str:
        """Return host:port for clients, as in TEMPORAL_ADDRESS."""
        return f"127.0.0.1:{self._ports['port']}"

    @property
    def ui_url(self) -> str:
        """Return where people look."""
        return f"http://127.0.0.1:{self._ports['ui-port']}"

    async def start(self) -> None:
        """Start the server; a leftover server of this folder is stopped first.

        Raises:
            Unavailable: It did not start; the message names its log.
        """
        make_private_folder(self.folder)
        await asyncio.to_thread(self._stop_leftover)
        for left in reversed(range(_PORT_TRIES)):
            self._launch()
            try:
                await self._until_ready()
                break
            except Unavailable:
                if not left or not self._lost_its_port():
                    raise

    def _launch(self) -> None:
        names = ("port", "ui-port", "http-port", "metrics-port")
        self._ports = processes.remembered_ports(self.folder / "ports.json", *names)
        self._process = processes.launch(
            [
                str(temporal_cli()),
                "server",
                "start-dev",
                "--ip=127.0.0.1",
                *(f"--{name}={port}" for name, port in self._ports.items()),
                f"--db-filename={self.folder / 'temporal.db'}",
                "--log-level=error",
                "--ui-disable-news-fetch",
                *([f"--ui-codec-endpoint={self.codec_url}"] if self.codec_url else []),
                *(f"--dynamic-config-value={name}={value}" for name, value in self._settings.items()),
            ],
            folder=self.folder,
            # The program would take addresses and profiles that are meant for clients.
            environment={name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")},
        )

    async def connect(self) -> Client:
        """Return a client of this server, whatever this process's environment says."""
        return await connect_temporal(environment={"TEMPORAL_ADDRESS": self.address})

    async def ended(self) -> int:
        """Wait until the server has ended, by whatever cause, and return its exit code."""
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return await processes.ended(self._process)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server; SIGKILL is a crash."""
        if self._process is not None:
            await processes.stop(self._process, how)
            self._process = None

    def _lost_its_port(self) -> bool:
        """Tell whether it ended because somebody took a port between our look and its own: it can have another one."""
        ended = self._process is not None and self._process.poll() is not None
        return ended and _PORT_TAKEN in (self.folder / "log").read_text(errors="replace")[-_LOG_TAIL:]

    def _stop_leftover(self) -> None:
        """End a server that a killed `up` left on this folder; two servers on one file must never be."""
        processes.end(processes.leftovers(self.folder), signal.SIGTERM)

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_SECONDS
        target = {"TEMPORAL_ADDRESS": self.address}
        while True:
            try:
                await connect_temporal(environment=target, timeout_seconds=2 * _POLL_SECONDS)
            except (Unavailable, Misconfigured) as error:  # the port opens before the namespace is there
                crashed = self._process is None or self._process.poll() is not None
                if crashed or asyncio.get_running_loop().time() > deadline:
                    raise Unavailable(f"Temporal did not start. Its log says why: {self.folder / 'log'}") from error
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return
