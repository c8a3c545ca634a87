"""Shuts and opens an environment again and again under the writers of `tests.load.writers`, and keeps the score."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.postgres.connection import Pool
from adapters.transfer.event_log import PostgresTransferEventLog
from adapters.transfer.freeze_release import PostgresEnvironmentAccess
from domain.errors import EnvironmentBusy
from domain.messages import BeginUndo, FinishUndo, FreezeEnvironment, UnfreezeEnvironment
from domain.naming import schema_name_of, workflow_id_of
from domain.vocabulary import UndoReason
from tests.load.writers import Attempt, Writer, contents, written

# An attempt that finds the environment busy takes over a second; the workflow's own pauses are longer.
_PAUSE_WHEN_BUSY_SECONDS = 0.05
_MOST_ATTEMPTS = 30


@dataclass(frozen=True, slots=True)
class Cycle:
    """One freeze and its undo; moments are `time.perf_counter`, `changed` names what did not keep still in between."""

    ordered_at: float
    begun_at: float
    frozen_at: float
    undone_at: float
    busy: int
    changed: tuple[str, ...]


async def run_freeze_cycles(
    pool: Pool, environment_id: uuid.UUID, *, cycles: int, open_seconds: float, shut_seconds: float
) -> list[Cycle]:
    """Freeze and unfreeze `cycles` times, open and shut for so long in between, as the workflow's activities do."""
    gate, log = PostgresEnvironmentAccess(pool), PostgresTransferEventLog(pool)
    done = []
    for _ in range(cycles):
        await asyncio.sleep(open_seconds)
        done.append(await _cycle(pool, gate, log, environment_id, shut_seconds))
    return done


async def _cycle(
    pool: Pool,
    gate: PostgresEnvironmentAccess,
    log: PostgresTransferEventLog,
    environment_id: uuid.UUID,
    shut_seconds: float,
) -> Cycle:
    transfer_id, schema = uuid.uuid4(), schema_name_of(environment_id)
    workflow_id = workflow_id_of(environment_id)
    order = FreezeEnvironment(
        transfer_id=transfer_id, environment_id=environment_id, workflow_id=workflow_id, requested_by="load test"
    )
    ordered_at = time.perf_counter()
    busy = 0
    while True:
        begun_at = time.perf_counter()
        try:
            await gate.freeze(order)
            break
        except EnvironmentBusy as error:
            busy += 1
            if busy == _MOST_ATTEMPTS:
                raise AssertionError("the freeze starves") from error
            await asyncio.sleep(_PAUSE_WHEN_BUSY_SECONDS)
    frozen_at = time.perf_counter()
    before = await contents(pool, schema)
    await asyncio.sleep(shut_seconds)
    after = await contents(pool, schema)
    await log.begin_undo(
        BeginUndo(
            transfer_id=transfer_id, environment_id=environment_id, workflow_id=workflow_id, reason=UndoReason.CANCELLED
        )
    )
    undone_at = time.perf_counter()
    await gate.unfreeze(UnfreezeEnvironment(transfer_id=transfer_id, environment_id=environment_id))
    await log.finish_undo(FinishUndo(transfer_id=transfer_id))
    changed = tuple(sorted(line[0] for line in set(before) ^ set(after)))
    return Cycle(ordered_at, begun_at, frozen_at, undone_at, busy, changed)


@dataclass(frozen=True, slots=True)
class Score:
    """What became of the writes: `lost` were acknowledged and are nowhere, `strays` are there and were refused."""

    acknowledged: int
    refused: int
    lost: int
    strays: int
    doubled: int


async def score(pool: Pool, schema: str, writers: Sequence[Writer]) -> Score:
    """Compare what was acknowledged with what is there; nobody writes any more."""
    there = Counter(await written(pool, schema))
    told = {(writer.number, number) for writer in writers for number in writer.acknowledged}
    return Score(
        acknowledged=len(told),
        refused=sum(one.refused for writer in writers for one in writer.attempts),
        lost=len(told - set(there)),
        strays=len(set(there) - told),
        doubled=sum(count - 1 for count in there.values()),
    )


def held(writers: Sequence[Writer], cycles: Sequence[Cycle]) -> list[float]:
    """Return for each freeze and writer how long the write took, in seconds, that the freeze met and refused."""
    return [
        first.ended - first.begun
        for cycle in cycles
        for writer in writers
        if (first := _first_refused(writer, cycle)) is not None and first.begun < cycle.frozen_at
    ]


def refused_after(writers: Sequence[Writer], cycles: Sequence[Cycle]) -> list[float]:
    """Return for each freeze and writer how long after the freeze's answer the first refusal came; at once is 0."""
    return [
        max(0.0, first.ended - cycle.frozen_at)
        for cycle in cycles
        for writer in writers
        if (first := _first_refused(writer, cycle)) is not None
    ]


def passed_meanwhile(writers: Sequence[Writer], cycles: Sequence[Cycle]) -> list[float]:
    """Return how long the writes took that went through while a freeze was being tried: these were held, too."""
    return [
        one.ended - one.begun
        for cycle in cycles
        for writer in writers
        for one in writer.attempts
        if not one.refused and one.ended > cycle.ordered_at and one.begun < cycle.frozen_at
    ]


def _first_refused(writer: Writer, cycle: Cycle) -> Attempt | None:
    return next(
        (
            one
            for one in writer.attempts
            if one.refused and cycle.ordered_at < one.ended and one.begun < cycle.undone_at
        ),
        None,
    )
