"""The worker as a process of its own, started again whenever it dies."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from temporalio.client import Client

from adapters.temporal import pollers
from devstack import processes
from domain.errors import Unavailable
from workflows.queues import CLONE, TRANSFERS

_log = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_HEALTHY_SECONDS = 30.0
_READY_TIMEOUT_SECONDS = 60.0
_STOP_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.1
# Safe path: a `worker.py` or `domain/` in the folder where somebody types `sb-transfer up` must not be taken for ours.
COMMAND = (sys.executable, "-P", "-m", "worker")


class WorkerProcess:
    """Keeps one worker process running; `on_start` hears each new process id."""

    def __init__(self, folder: Path, on_start: Callable[[int], None]) -> None:
        """Prepare the process; `folder` is made when it is missing and holds `log`."""
        self.folder = folder.absolute()
        self._on_start = on_start
        self._environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._supervision: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the worker that runs now, or of the last one while the next is being started."""
        if self._process is None:
            raise RuntimeError("the worker has not been started")
        return self._process.pid

    async def start(self, client: Client, environment: Mapping[str, str]) -> None:
        """Start the worker and wait until the server sees it ask for work.

        Args:
            client: Of the server that the worker is to work for.
            environment: All of the worker's environment variables.

        Raises:
            Unavailable: It ended at once, or does not ask for work in time; the message names its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._environment = dict(environment)
        process = self._launch()
        failure = f"The worker did not start. Its log says why: {self.folder / 'log'}"
        try:
            async with asyncio.timeout(_READY_TIMEOUT_SECONDS):
                while not await self._is_at_work(client, process.pid):
                    if process.poll() is not None:
                        raise Unavailable(failure)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable(failure) from error
        self._supervision = asyncio.create_task(self._supervise(), name="worker supervision")

    async def stop(self) -> None:
        """Stop the supervision, then the worker: it finishes what it can and gives back the rest."""
        if self._supervision is not None:
            self._supervision.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervision
            self._supervision = None
        if self._process is not None:
            await processes.stop(self._process, signal.SIGTERM, patience_seconds=_STOP_PATIENCE_SECONDS)

    def stop_leftover(self) -> None:
        """End a worker that a killed `up` left behind: it has the addresses of servers that are no more."""
        processes.end(processes.leftovers(self.folder), signal.SIGTERM, patience_seconds=5)

    async def _is_at_work(self, client: Client, pid: int) -> bool:
        heard = [await pollers(client, queue) for queue in (TRANSFERS, CLONE)]
        return all(any(identity.partition("@")[0] == str(pid) for identity in identities) for identities in heard)

    def _launch(self) -> subprocess.Popen[bytes]:
        self._process = processes.launch(COMMAND, folder=self.folder, environment=self._environment)
        self._on_start(self._process.pid)
        return self._process

    async def _supervise(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE_SECONDS
        started = clock()
        while self._process is not None:
            code = await processes.ended(self._process)
            if clock() - started > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            _log.warning("The worker ended (exit code %s) and is started again in %.2g s", code, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            started = clock()
            self._launch()
