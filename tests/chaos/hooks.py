"""The other end of the worker's hooks: knows what is under way at each instant, and strikes when it is time."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from domain.steps import ActivityName
from domain.vocabulary import TransferState
from tests.chaos.blows import Ring
from tests.chaos.faults import PASSING, Boundary, Fault, Manner, Victim

_LOOK_SECONDS = 0.01
# The window of a late transfer is open for this long, and its verification is held up until it has closed.
_WINDOW_SECONDS = 3.0
_HOLD_SECONDS = 8.0


@dataclass(slots=True)
class Plan:
    """What is to happen to one transfer, and what has happened."""

    workflow_ids: set[str]
    due: list[Fault]
    late: bool = False
    state: Callable[[], Awaitable[TransferState | None]] | None = None
    """Asks the workflow itself."""
    half_way: Callable[[], Awaitable[bool]] | None = None
    """Tells whether the clone has finished some of its units of work, for good."""
    done: dict[Fault, str] = field(default_factory=dict)
    """Each fault that was injected, and what was seen of it."""
    met: Counter[ActivityName] = field(default_factory=Counter)
    """How often each activity was begun."""
    mail_at_risk: Counter[str] = field(default_factory=Counter)
    """Blows that fell while a kind of mail was under way, or under which it began: between acceptance and commit, for
    all we know."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A question from a hook."""

    pid: int
    boundary: str
    activity: str
    attempt: int
    workflow_id: str
    mail: str | None


class Hooks:
    """Listens on loopback for the worker of one stack."""

    def __init__(self) -> None:
        self.port = 0
        self.ring: Ring | None = None
        self.plan: Plan | None = None
        self._server: asyncio.Server | None = None
        self._under_way: Counter[tuple[str, str | None]] = Counter()
        self._strikes: set[asyncio.Task[None]] = set()
        self._blows_at_mail = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    async def settled(self) -> None:
        """Wait until no blow is on its way."""
        while self._strikes:
            await asyncio.wait(self._strikes)

    async def strike(self, fault: Fault) -> None:
        """Inject a fault now, and note what was seen of it."""
        plan, ring = self.plan, self.ring
        if plan is None or ring is None or fault not in plan.due:
            return
        plan.due.remove(fault)
        reaches_mail = fault.victim is not Victim.TEMPORAL
        if reaches_mail:
            plan.mail_at_risk.update(mail for (_, mail), mails in self._under_way.items() if mail and mails)
        self._blows_at_mail += reaches_mail
        try:
            seen = await ring.strike(fault.victim, fault.manner)
        except TimeoutError:
            plan.due.append(fault)
            return
        finally:
            self._blows_at_mail -= reaches_mail
        if fault.victim is Victim.WORKER and fault.manner is Manner.KILLED:
            self._under_way.clear()
        plan.done[fault] = seen

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # whoever asked was killed
            if line := await reader.readline():
                answer = await self._decide(_Call(**json.loads(line)), reader)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _decide(self, call: _Call, reader: asyncio.StreamReader) -> dict[str, Any]:
        work = (call.activity, call.mail)
        plan = self.plan
        if call.boundary == "failed" or plan is None or call.workflow_id not in plan.workflow_ids:
            self._count(work, 0 if call.boundary == "before" else -1)
            return {}
        boundary = Boundary(call.boundary)
        activity = ActivityName(call.activity)
        if boundary is Boundary.AFTER:
            self._count(work, -1)
        else:
            plan.met[activity] += 1
        for fault in self._due(plan, activity, boundary):
            await self.strike(fault)
        if boundary is Boundary.AFTER:
            return {"window_seconds": _WINDOW_SECONDS} if plan.late and activity is ActivityName.ACCEPT_UPLOAD else {}
        if plan.late and activity is ActivityName.VERIFY_CLONE and not plan.met[ActivityName.POSTPONE_START]:
            with suppress(TimeoutError):  # a cancel hangs up
                await asyncio.wait_for(reader.read(), _HOLD_SECONDS)
        self._count(work, 1)
        if call.mail:  # finding the processes to stop takes a while, and mail is quick
            plan.mail_at_risk[call.mail] += self._blows_at_mail
        for fault in self._due(plan, activity, Boundary.HALF_WAY):
            self._later(self._strike_half_way(plan, fault, work))
        await self._strike_in_passing(plan, activity)
        return {}

    async def _strike_in_passing(self, plan: Plan, activity: ActivityName) -> None:
        """Strike while a transfer is in a state that it only passes through: an activity of that state is under way."""
        for fault in plan.due:
            if fault.state in PASSING and PASSING[fault.state] is activity:
                if plan.state is not None and await plan.state() is fault.state:
                    self._later(self.strike(fault))
                return

    async def _strike_half_way(self, plan: Plan, fault: Fault, work: tuple[str, str | None]) -> None:
        """Strike while the activity is under way: a clone when some of its units are done, others at once."""
        await asyncio.sleep(_LOOK_SECONDS)
        while fault.activity is ActivityName.CLONE_ADMINISTRATIONS and plan.half_way is not None:
            if not self._under_way[work]:
                return
            if await plan.half_way():
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if self._under_way[work]:
            await self.strike(fault)

    def _due(self, plan: Plan, activity: ActivityName, boundary: Boundary) -> list[Fault]:
        """Return at most one: the next attempt meets the next."""
        return [fault for fault in plan.due if (fault.activity, fault.boundary) == (activity, boundary)][:1]

    def _later(self, strike: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(strike)
        self._strikes.add(task)
        task.add_done_callback(self._strikes.discard)

    def _count(self, work: tuple[str, str | None], change: int) -> None:
        self._under_way[work] = max(self._under_way[work] + change, 0)
