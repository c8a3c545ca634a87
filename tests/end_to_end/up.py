"""`up` as a process of its own, and ways to end it and all that belongs to it."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from devstack import processes
from devstack.info import StackInfo
from devstack.postgres import EmbeddedPostgres

# What the command line does, without its words.
_UP = """
import asyncio, sys
from pathlib import Path
from devstack.stack import up
from domain.errors import TransferError
try:
    asyncio.run(up(Path(sys.argv[1]), lambda stack: print("ready", flush=True), worker=sys.argv[2] == "worker"))
except TransferError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
_PARTS = ("mail", "temporal", "worker")


class Up:
    """`up` in a process of its own."""

    def __init__(self, folder: Path, *, worker: bool = False) -> None:
        self.folder = folder
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("SB_TRANSFER_", "TEMPORAL_"))
        }
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _UP, str(folder), "worker" if worker else "alone"],
            env=clean,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    async def ready(self) -> StackInfo:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), 90)
        assert line == "ready\n", self.end(signal.SIGKILL)
        info = StackInfo.read(self.folder)
        assert info is not None
        assert info.pids["up"] == self.process.pid
        return info

    def end(self, how: signal.Signals) -> tuple[int, str]:
        """Send a signal; return the exit code and what was written to standard error."""
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


def alive(folder: Path) -> list[str]:
    """Return the names of the servers of a folder that run, each as often as it runs."""
    found = [name for name in _PARTS for _ in processes.leftovers(folder / name)]
    here = EmbeddedPostgres(folder / "postgres")._running_here()
    pids = {one.pid for one in here}
    for one in here:
        with suppress(psutil.NoSuchProcess):
            # A helper that has only just been forked still has the command of its server.
            if "-D" in one.cmdline() and one.ppid() not in pids:
                found.append("postgres")
    return sorted(found)


def kill_all(folder: Path) -> None:
    """End everything that a failed test left behind, `up` first: it starts again whatever ends."""
    processes.end(one for one in psutil.process_iter(["cmdline"]) if str(folder) in (one.info["cmdline"] or ()))
    for name in _PARTS:
        processes.end(processes.leftovers(folder / name))
    processes.end(EmbeddedPostgres(folder / "postgres")._running_here())


def kill_everything(info: StackInfo) -> None:
    """Kill -9 as a power cut does: all at once, helpers of PostgreSQL included."""
    victims = [psutil.Process(pid) for pid in info.pids.values()]
    victims += [child for victim in victims for child in victim.children(recursive=True)]
    for strike in (psutil.Process.suspend, psutil.Process.kill):
        for victim in victims:
            with suppress(psutil.NoSuchProcess):  # a helper of PostgreSQL that ended by itself meanwhile
                strike(victim)
