"""Units of work in the order that they need, side by side, the critical path first."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Container, Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter

from adapters.postgres.connection import Connection, Pool
from adapters.task_group import task_group
from domain.errors import WorkerStopping
from domain.ports import MustStop

Work = Callable[[Connection], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class CloneUnit:
    """One transaction's work. It returns the rows that it has copied."""

    name: str
    phase: str
    work: Work
    cost: int = 0
    bytes: int = 0
    after: frozenset[str] = frozenset()


class UnitScheduler:
    """Units that wait for one another, without a circle."""

    def __init__(self, units: Iterable[CloneUnit], done: Container[str], must_stop: MustStop) -> None:
        """Take the units, in any order, the names of those that need not run again, and whom to ask before each."""
        self._must_stop = must_stop
        every = {unit.name: unit for unit in units}
        dependents: dict[str, list[str]] = {name: [] for name in every}
        for unit in every.values():
            for needed in unit.after:
                dependents[needed].append(unit.name)

        # The cost of the longest chain that begins with a unit: what waits for it is reckoned before it.
        critical_path: dict[str, int] = {}
        for name in TopologicalSorter(dependents).static_order():
            longest = max((critical_path[other] for other in dependents[name]), default=0)
            critical_path[name] = every[name].cost + longest
        self._priority = {name: -cost for name, cost in critical_path.items()}
        self._units = {name: unit for name, unit in every.items() if name not in done}
        self._dependents = dependents
        self._missing = {
            name: sum(1 for needed in unit.after if needed in self._units) for name, unit in self._units.items()
        }
        self._ready = [(self._priority[name], name) for name, missing in self._missing.items() if not missing]
        heapq.heapify(self._ready)
        self._left = len(self._units)
        self._changed = asyncio.Condition()

    @property
    def others_ready(self) -> bool:
        """Tell whether a unit could begin now that nobody has taken."""
        return bool(self._ready)

    async def run(
        self,
        pool: Pool,
        parallelism: int,
        ready: Callable[[Connection], Awaitable[None]],
        take: Callable[[CloneUnit, Connection], Awaitable[None]],
        idle: Callable[[Connection], Awaitable[bool]],
    ) -> None:
        """Run every unit on up to `parallelism` connections; the first failure stops the others and is raised.

        Args:
            pool: Where the connections come from.
            parallelism: How many at most.
            ready: Waited for before each unit begins, outside any transaction.
            take: Runs a unit.
            idle: Does a little of something else on a connection for which there is no unit now; tells whether there
                was anything to do. It is asked again as soon as it has done something, or a unit is finished.

        Raises:
            WorkerStopping: The process is to end. Every unit that had begun has been finished first.
        """

        async def take_turns() -> None:
            async with pool.acquire() as connection:
                while (unit := await self._next(lambda: idle(connection))) is not None:
                    await ready(connection)
                    if self._must_stop():
                        break
                    await take(unit, connection)
                    await self._finished(unit)
            async with self._changed:
                self._changed.notify_all()  # nobody may go on waiting for a unit that will not come

        async with task_group() as tasks:
            for _ in range(min(parallelism, self._left)):
                tasks.create_task(take_turns())
        if self._left:
            raise WorkerStopping

    async def _next(self, idle: Callable[[], Awaitable[bool]]) -> CloneUnit | None:
        while True:
            if not self._settled and await idle():
                continue
            async with self._changed:
                if not self._settled:
                    await self._changed.wait()
                if not self._left or self._must_stop():
                    return None
                if self._ready:
                    return self._units[heapq.heappop(self._ready)[1]]

    @property
    def _settled(self) -> bool:
        """Tell whether a connection that asks for a unit need not wait for the answer."""
        return bool(self._ready) or not self._left or self._must_stop()

    async def _finished(self, unit: CloneUnit) -> None:
        async with self._changed:
            self._left -= 1
            for name in self._dependents[unit.name]:
                if name in self._missing:
                    self._missing[name] -= 1
                    if not self._missing[name]:
                        heapq.heappush(self._ready, (self._priority[name], name))
            self._changed.notify_all()
