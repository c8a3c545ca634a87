"""One stack, and one transfer after the other through its faults."""

import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from temporalio.client import Client

from adapters.crypto.payload_codec import encrypting
from adapters.postgres.database import database
from adapters.reconcile.inspection import PostgresInspector
from adapters.temporal.client import connect_temporal
from adapters.temporal.running_workflows import TemporalWorkflows
from adapters.verify.verifier import PostgresVerifier
from devstack.mail import MailFolder
from devstack.seed import make_books
from devstack.stack import Stack
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from tests.chaos.blows import Ring
from tests.chaos.faults import Ending, Fault, draw
from tests.chaos.hooks import Hooks
from tests.chaos.journey import Journey
from tests.chaos.reckoning import Reckoner, Score
from workflows.task_queues import TRANSFERS

_WORKER = (sys.executable, "-P", str(Path(__file__).with_name("hooked_worker.py")))
_OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
_ENVIRONMENTS = ("Hofman Groep", "enyoi", "Van Dam Horeca", "Bloemisterij Smit", "Linden Tandartsen")
_FIRMS = ("10001", "10002", "10003")
# A fault whose moment a transfer did not come past is given to another one, so often.
_TRIES = 4


@dataclass(slots=True)
class Work:
    """The faults that are still to be injected, for all lanes together."""

    open: list[Fault]
    dice: random.Random
    at_most: int
    deadline: float = float("inf")
    """`time.monotonic` after which no transfer is begun."""
    tries: Counter[Fault] = field(default_factory=Counter)
    given_up: list[Fault] = field(default_factory=list)
    transfers: int = 0

    def next(self) -> tuple[int, Ending, list[Fault]] | None:
        """Return the next transfer's number, ending and faults, or nothing when all is done."""
        if not self.open or time.monotonic() > self.deadline:
            return None
        self.transfers += 1
        return (self.transfers, *draw(self.open, self.dice, self.at_most))

    def give_back(self, faults: list[Fault]) -> None:
        """Take back what was not injected; after some tries it is given up."""
        for fault in faults:
            self.tries[fault] += 1
            (self.open if self.tries[fault] < _TRIES else self.given_up).append(fault)


@dataclass(slots=True)
class Lane:
    """A running stack with its hooks, and where the environment that is moved around is now."""

    number: int
    client: TransferClient
    temporal: Client
    hooks: Hooks
    ring: Ring
    reckoner: Reckoner
    score: Score
    environments: list[UUID]

    async def work_off(self, work: Work) -> None:
        """Run transfers until every fault is injected or given up, or something is wrong with all environments."""
        while self.environments and (due := work.next()):
            number, ending, faults = due
            label = f"[lane {self.number}, transfer {number}, {ending}]"
            planned = list(faults)
            before = len(self.score.violations)
            journey = Journey(
                client=self.client,
                temporal=self.temporal,
                hooks=self.hooks,
                ring=self.ring,
                reckoner=self.reckoner,
                score=self.score,
                label=label,
            )
            began = time.monotonic()
            try:
                here = (await self.client.environment(str(self.environments[0]))).licence_number
                firm = next(firm for firm in _FIRMS if firm != here)
                self.environments[0] = await journey.run(
                    self.environments[0], firm, f"Verhuizing {self.number} {number}", ending, faults
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a transfer that did not end well
                self.score.violations.append(f"{label} did not end: {error!r}")
                traceback.print_exc()
                self.environments.pop(0)
            work.give_back(faults)
            injected = len(planned) - len(faults)
            print(  # noqa: T201
                f"{label} {injected} of {len(planned)} faults, {time.monotonic() - began:.0f} s; so far: {self.score}",
                flush=True,
            )
            for violation in self.score.violations[before:]:
                print(f"VIOLATION {violation}", flush=True)  # noqa: T201


@asynccontextmanager
async def lane(number: int, folder: Path, score: Score, *, journal_lines: int) -> AsyncIterator[Lane]:
    """Start a stack whose worker asks before and after everything it does.

    Args:
        number: For messages.
        folder: Of the stack: data and logs stay there.
        score: Where what is found is counted.
        journal_lines: The size of the books, see `devstack.seed.seed`.
    """
    async with AsyncExitStack() as resources:
        hooks = await resources.enter_async_context(Hooks())
        variables = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        stack = await resources.enter_async_context(
            Stack(
                folder,
                environment={**variables, **_never_open(), "CHAOS_PORT": str(hooks.port)},
                worker_command=_WORKER,
                restarts=False,
            )
        )
        environment = stack.process_environment()
        settings = settings_of(environment)
        books = await make_books(settings, journal_lines=journal_lines)
        known = {one.name: one.environment_id for one in books.environments}
        client = await resources.enter_async_context(connect(settings, environment=environment))
        pool = await resources.enter_async_context(database(settings.database_url, connections=8))
        temporal = await connect_temporal(environment=environment, data_converter=encrypting(settings.payload_keys))
        hooks.ring = Ring(stack)
        inspector = PostgresInspector(
            pool, TemporalWorkflows(temporal, TRANSFERS), PostgresVerifier(pool, parallelism=2)
        )
        assert stack.info.mail_dir is not None
        yield Lane(
            number=number,
            client=client,
            temporal=temporal,
            hooks=hooks,
            ring=hooks.ring,
            reckoner=Reckoner(pool, inspector, MailFolder(stack.info.mail_dir), score),
            score=score,
            environments=[known[name] for name in _ENVIRONMENTS],
        )
        await hooks.ring.calm()


def _never_open() -> dict[str, str]:
    """Return an evening window that begins when this run is long over: a transfer that is put off stays put off."""
    now = datetime.now(ZoneInfo("Europe/Amsterdam"))
    opens, closes = now + timedelta(hours=8), now + timedelta(hours=11)
    return {
        "SB_TRANSFER_WINDOW_OPENS": f"{opens:%H:%M}",
        "SB_TRANSFER_WINDOW_CLOSES": f"{closes:%H:%M}",
    }
