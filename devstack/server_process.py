"""One server as a process of its own: started until it answers, stopped in order, on ports that stay the same."""

import asyncio
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from errno import EADDRINUSE
from pathlib import Path

from adapters.private_files import make_private_folder
from devstack import processes
from devstack.ports import Ports
from domain.errors import Unavailable

_POLL_SECONDS = 0.05
_TRIES = 6
_FIRST_PAUSE_SECONDS = 0.25  # twice as long each time
_PORT_TAKEN = os.strerror(EADDRINUSE).lower()


class ServerProcess(ABC):
    """A server in one folder, which holds its `log` and `ports.json`; `name` is how messages call it."""

    start_timeout_seconds = 300.0
    """For one that hangs, also on a busy machine: one that ends is noticed at once."""
    stop_patience_seconds = 30.0
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    passing_troubles: tuple[str, ...] = ()
    """What the log of a server that ended says, in small letters, when it would have started a moment later."""
    niceness = 0
    """How far it stands behind what people wait for: those who ask the API, and who work in other environments."""

    def __init__(self, name: str, folder: Path, *ports: str) -> None:
        """Prepare the server; the folder is made at the first start when it is missing."""
        self.name = name
        self.folder = folder.absolute()
        self.ports = Ports(self.folder / "ports.json", *ports)
        self._process: subprocess.Popen[bytes] | None = None
        self._address_is_given_away = False

    @property
    def pid(self) -> int:
        """Return the id of the process that runs now, or of the last one while the next is being started."""
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Tell whether the process that was started last still runs."""
        return self._process is not None and self._process.poll() is None

    def choose_ports(self) -> None:
        """Choose the ports before the start, for those who have to know them earlier."""
        make_private_folder(self.folder)
        self.ports.choose()
        self._address_is_given_away = True

    async def start(self) -> None:
        """Start the server and wait until it answers; one that was left behind in this folder is stopped first.

        A port that somebody else has got costs another try, on another port, and a trouble that passes costs one a
        moment later. A server that died starts on the ports that it had, or not at all: others have its address.

        Raises:
            Unavailable: It has ended, or does not answer in time; the message names its log.
        """
        make_private_folder(self.folder)
        for tried in range(_TRIES):
            await asyncio.to_thread(self.stop_leftover)
            self.ports.choose()
            log_begins = processes.log_size(self.folder)
            self._process = processes.launch(
                self.command(), folder=self.folder, environment=self.environment(), niceness=self.niceness
            )
            try:
                await self._until_ready()
            except Unavailable:
                if self.is_running or tried == _TRIES - 1:
                    raise
                said = processes.log_from(self.folder, log_begins).lower()
                if not self._address_is_given_away and (self.ports.are_taken() or _PORT_TAKEN in said):
                    self.ports.let_go()
                elif any(trouble in said for trouble in self.passing_troubles):
                    await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2**tried)
                else:
                    raise
            else:
                self._address_is_given_away = True
                return

    async def ended(self) -> int:
        """Wait until the process has ended, by whatever cause, and return its exit code."""
        return await processes.ended(self._started())

    async def stop(self, *how: signal.Signals) -> None:
        """Stop the server, in order unless `how` says otherwise; SIGKILL is a crash."""
        if self._process is not None:
            signals = how or self.stop_signals
            await processes.stop(self._process, *signals, patience_seconds=self.stop_patience_seconds)
        self.ports.let_go()
        self._address_is_given_away = False

    def stop_leftover(self) -> None:
        """End what a killed `up` left behind: it has the addresses of servers that are no more."""
        processes.end(processes.leftovers(self.folder), signal.SIGTERM, patience_seconds=5)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the program and its arguments, once the ports have been chosen."""

    def environment(self) -> Mapping[str, str] | None:
        """Return all of the program's environment variables, `None` for this process's own."""
        return None

    async def is_ready(self) -> bool:
        """Tell whether the server answers: its process, and no other, listens on every one of its ports."""
        return processes.listening(self.pid) >= set(self.ports)

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + self.start_timeout_seconds
        while not await self.is_ready():
            if not self.is_running or asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"The {self.name} did not start. Its log says why: {self.folder / 'log'}")
            await asyncio.sleep(_POLL_SECONDS)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError(f"the {self.name} has not been started")
        return self._process
