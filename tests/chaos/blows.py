"""Blows to real processes: given, seen to have had their effect, and got over."""

import asyncio
import signal

import psutil

from devstack.stack import Stack
from tests.chaos.faults import Manner, Victim

# Away for longer than the worker needs to notice; asleep for longer than an attempt may take.
_AWAY_SECONDS = 0.4
_ASLEEP_SECONDS = 2.5
_SEEN_WITHIN_SECONDS = 10.0
_LOOK_SECONDS = 0.002
_HOW = {
    Manner.KILLED: signal.SIGKILL,
    Manner.SHUT_DOWN: signal.SIGQUIT,
    Manner.STOPPED: signal.SIGSTOP,
}


class Ring:
    """Hits the servers of a stack, one at a time, and helps each of them up again."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._one_at_a_time = asyncio.Lock()
        self._recovery: asyncio.Task[None] | None = None

    async def strike(self, victim: Victim, manner: Manner) -> str:
        """Hit a server and return what was seen of it; it gets up by itself later, see `calm`.

        Raises:
            TimeoutError: The blow had no effect.
        """
        async with self._one_at_a_time:
            await self._recovered()
            hit = self._processes(victim)
            _signal(hit[:1] if manner is Manner.SHUT_DOWN else hit, _HOW[manner])
            async with asyncio.timeout(_SEEN_WITHIN_SECONDS):
                while not all(_stands_still(one) if manner is Manner.STOPPED else _is_gone(one) for one in hit):  # noqa: ASYNC110 - the system tells of no stop
                    await asyncio.sleep(_LOOK_SECONDS)
            self._recovery = asyncio.create_task(self._get_up(victim, manner, hit))
            others = f" and {len(hit) - 1} others" if len(hit) > 1 else ""
            return f"process {hit[0].pid}{others} {'stopped' if manner is Manner.STOPPED else 'gone'}"

    async def calm(self) -> None:
        """Wait until nobody is down."""
        async with self._one_at_a_time:
            await self._recovered()

    async def mind_the_worker(self) -> None:
        """Start a worker again that ended by itself, as supervisors do: it ends when a server is away at its start."""
        async with self._one_at_a_time:
            worker = self._stack.servers[Victim.WORKER.value]
            down = self._recovery is not None and not self._recovery.done()
            if not down and (not psutil.pid_exists(worker.pid) or _is_gone(psutil.Process(worker.pid))):
                await worker.ended()
                await worker.start()

    async def _recovered(self) -> None:
        if self._recovery is not None:
            await self._recovery
            self._recovery = None

    async def _get_up(self, victim: Victim, manner: Manner, hit: list[psutil.Process]) -> None:
        if manner is Manner.STOPPED:
            await asyncio.sleep(_ASLEEP_SECONDS)
            _signal(hit, signal.SIGCONT)
            return
        server = self._stack.servers[victim.value]
        await server.ended()
        await asyncio.sleep(_AWAY_SECONDS)
        await server.start()

    def _processes(self, victim: Victim) -> list[psutil.Process]:
        """Return the server's process and, of PostgreSQL, one for each connection: the first one begets the others."""
        first = psutil.Process(self._stack.servers[victim.value].pid)
        return [first, *first.children(recursive=True)]


def _signal(processes: list[psutil.Process], how: signal.Signals) -> None:
    for one in processes:
        try:
            one.send_signal(how)
        except psutil.NoSuchProcess:
            continue


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _stands_still(process: psutil.Process) -> bool:
    try:
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True  # a connection that ended in the moment before
