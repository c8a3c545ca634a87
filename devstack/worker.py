"""The worker as a process of its own."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from temporalio.client import Client

from adapters.temporal import pollers
from devstack import processes
from domain.errors import Unavailable
from workflows.queues import CLONE, TRANSFERS

_READY_TIMEOUT_SECONDS = 60.0
_STOP_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.1
# Safe path: a `worker.py` or `domain/` in the folder where somebody types `sb-transfer up` must not be taken for ours.
COMMAND = (sys.executable, "-P", "-m", "worker")


class WorkerProcess:
    """`python -m worker` with the settings of a stack."""

    def __init__(self, folder: Path) -> None:
        """Prepare the process; `folder` is made when it is missing and holds `log`."""
        self.folder = folder.absolute()
        self._environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the worker that runs now, or of the last one while the next is being started."""
        if self._process is None:
            raise RuntimeError("the worker has not been started")
        return self._process.pid

    def configure(self, environment: Mapping[str, str]) -> None:
        """Set all of the worker's environment variables, before the first start."""
        self._environment = dict(environment)

    async def start(self) -> None:
        """Start the worker; it is at work somewhat later (`ready`)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = processes.launch(COMMAND, folder=self.folder, environment=self._environment)

    async def ready(self, client: Client) -> None:
        """Wait until the server sees the worker ask both queues for work.

        Raises:
            Unavailable: It has ended, or does not ask for work in time; the message names its log.
        """
        failure = f"The worker did not start. Its log says why: {self.folder / 'log'}"
        try:
            async with asyncio.timeout(_READY_TIMEOUT_SECONDS):
                while not await self._is_at_work(client):
                    if self._process is None or self._process.poll() is not None:
                        raise Unavailable(failure)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable(failure) from error

    async def ended(self) -> int:
        """Wait until the process has ended and return its exit code."""
        if self._process is None:
            raise RuntimeError("the worker has not been started")
        return await processes.ended(self._process)

    async def stop(self) -> None:
        """Stop the worker: it finishes what it can and gives back the rest."""
        if self._process is not None:
            await processes.stop(self._process, signal.SIGTERM, patience_seconds=_STOP_PATIENCE_SECONDS)

    def stop_leftover(self) -> None:
        """End a worker that a killed `up` left behind: it has the addresses of servers that are no more."""
        processes.end(processes.leftovers(self.folder), signal.SIGTERM, patience_seconds=5)

    async def _is_at_work(self, client: Client) -> bool:
        heard = [await pollers(client, queue) for queue in (TRANSFERS, CLONE)]
        return all(any(identity.partition("@")[0] == str(self.pid) for identity in identities) for identities in heard)
