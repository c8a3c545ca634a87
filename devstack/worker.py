"""The worker as a process of its own."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from temporalio.client import Client

from adapters.temporal.client import pollers
from devstack.program import Program
from domain.errors import Unavailable
from workflows.task_queues import CLONE, TRANSFERS

_READY_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.1
# Safe path: a `worker.py` or `domain/` in the folder where somebody types `sb-transfer up` must not be taken for ours.
COMMAND = (sys.executable, "-P", "-m", "worker")


class WorkerProcess(Program):
    """`python -m worker` with the settings of a stack."""

    niceness = 10

    def __init__(self, folder: Path, command: Sequence[str] = COMMAND) -> None:
        """Prepare the process; `folder` is made when it is missing and holds `log`. It shows its metrics."""
        super().__init__("worker", command, folder, metrics=True)

    async def ready(self, client: Client) -> None:
        """Wait until the server sees the worker ask both queues for work.

        Raises:
            Unavailable: It has ended, or does not ask for work in time; the message names its log.
        """
        failure = f"The worker did not start. Its log says why: {self.folder / 'log'}"
        try:
            async with asyncio.timeout(_READY_TIMEOUT_SECONDS):
                while not await self._is_at_work(client):
                    if not self.is_running:
                        raise Unavailable(failure)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise Unavailable(failure) from error

    async def _is_at_work(self, client: Client) -> bool:
        heard = [await pollers(client, queue) for queue in (TRANSFERS, CLONE)]
        return all(any(identity.partition("@")[0] == str(self.pid) for identity in identities) for identities in heard)
