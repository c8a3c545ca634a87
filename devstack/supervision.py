"""Starts a server again whenever it dies, without being asked."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from devstack.server_process import ServerProcess
from domain.errors import TransferError

_log = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 10.0
_HEALTHY_SECONDS = 30.0


class Supervision:
    """Watches one server; `on_start` hears the process id of each new one."""

    def __init__(self, name: str, server: ServerProcess, on_start: Callable[[str, int], None]) -> None:
        self._name = name
        self._server = server
        self._on_start = on_start
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Watch a server that has been started."""
        self._task = asyncio.create_task(self._watch(), name=f"supervision of {self._name}")

    async def end(self) -> None:
        """Watch no longer; a server that is being started stays as far as it has come."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE_SECONDS
        while True:
            began = clock()
            code = await self._server.ended()
            if clock() - began > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            _log.warning("%s ended (exit code %s) and is started again in %.2g s", self._name, code, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            try:
                await self._server.start()
            except TransferError as error:
                _log.warning("%s", error)
            else:
                self._on_start(self._name, self._server.pid)
