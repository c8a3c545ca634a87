"""One attempt at a clone: units of work that commit together with the line that says they are done."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from uuid import UUID, uuid5

import asyncpg

from adapters.observability.metrics import UNMEASURED, Metrics
from adapters.postgres.connection import Connection, Pool, translated_errors
from adapters.postgres.place import Move
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import lock_for_step, one, record_event
from domain.errors import Superseded, WindowTooShort
from domain.events import EventKind
from domain.vocabulary import TransferState

_SQL = load("adapters.clone.clone")
# From the clone to the certificate everything is read some six times: to copy it, by the proof on both sides, by the
# comparison, and once more when it is opened; indexes are built on the way.
_READINGS = 6.0
# A move that is too large for what is left now is no better off on another evening, of which no more would be left.
_NEARLY_ALL = 0.9


@dataclass(slots=True)
class UnitResult:
    """Rows and bytes of a unit, set by the work itself before it commits."""

    rows: int = 0
    bytes: int = 0


@dataclass(slots=True)
class CloneAttempt:
    """The right of one attempt to write into a target schema; its books are in the target's database."""

    pool: Pool
    transfer_id: UUID
    move: Move
    attempt: int
    metrics: Metrics
    evening: int = 1
    result: str | None = None
    done: dict[str, UnitResult] = field(default_factory=dict)
    source_pool: Pool | None = None
    """Where the source is, when that is another database than the target's."""

    @classmethod
    async def begin(
        cls,
        pool: Pool,
        transfer_id: UUID,
        move: Move,
        *,
        evening: int = 1,
        closes_at: datetime | None = None,
        grace_until: datetime | None = None,
        metrics: Metrics = UNMEASURED,
        shards: Shards | None = None,
    ) -> "CloneAttempt":
        """Bar every older attempt and read what they have finished; `result` is set when that is everything.

        Raises:
            WindowTooShort: It would not be ready by `closes_at`, or might not be by `grace_until`; nothing has begun.
            Superseded: The transfer is being undone, this evening was put off, or the clone has been dropped.
        """
        shards = shards or Shards(pool)
        target = move.new.schema
        there = shards.pool(move.new.shard)
        from_elsewhere = shards.pool(move.old.shard) if move.across else None
        lag: float | None = None
        with translated_errors():
            async with pool.acquire() as connection, connection.transaction():
                transfer = await lock_for_step(connection, transfer_id, evening=evening)
                result = await connection.fetchval(_SQL["clone_result"], transfer_id)
                if result is not None:
                    return cls(there, transfer_id, move, 0, metrics, evening, result, source_pool=from_elsewhere)
                if transfer["state"] == TransferState.SCHEDULED:
                    if closes_at is not None:
                        await _require_time(connection, transfer, closes_at, grace_until or closes_at)
                    await connection.execute(_SQL["begin_cloning"], transfer_id)
                    key = uuid5(transfer_id, f"clone_started {evening}")
                    await record_event(
                        connection, transfer_id, EventKind.CLONE_STARTED, detail={"evening": evening}, event_key=key
                    )
                    if (planned := transfer["starts_at"]) is not None:
                        lag = (datetime.now(UTC) - planned).total_seconds()
                async with shards.forward(connection, move.new.shard, transfer, evening=evening) as books:
                    # The server goes on with the statement of a worker that is gone; waiting would hold up an undo.
                    await books.execute(_SQL["terminate_sessions"], session_name(transfer_id))
                    attempt = await books.fetchval(_SQL["open_run"], target, move.old.schema, transfer_id)
                    if attempt is None:
                        raise Superseded
                    rows = await books.fetch(_SQL["done_units"], target)
        if lag is not None:
            metrics.start_lag.record(max(lag, 0.0))  # somebody started it before its evening: it was not late
        return cls(
            there,
            transfer_id,
            move,
            attempt,
            metrics,
            evening,
            done={row["unit"]: UnitResult(row["rows"], row["bytes"]) for row in rows},
            source_pool=from_elsewhere,
        )

    @property
    def source(self) -> str:
        """Return the schema that is copied."""
        return self.move.old.schema

    @property
    def target(self) -> str:
        """Return the schema that is written."""
        return self.move.new.schema

    @property
    def across(self) -> bool:
        """Tell whether rows have to leave one database for another."""
        return self.source_pool is not None

    @asynccontextmanager
    async def reading(self, connection: Connection) -> AsyncIterator[Connection]:
        """Look at the source: with a target's own connection when both are in one database."""
        if self.source_pool is None:
            yield connection
        else:
            async with self.source_pool.acquire() as there:
                yield there

    @asynccontextmanager
    async def unit(self, name: str, connection: Connection) -> AsyncIterator[UnitResult]:
        """Run one unit of work in a transaction that also writes its line.

        Raises:
            Superseded: A newer attempt has begun or the clone has been dropped; nothing of the unit stays.
        """
        finished = UnitResult()
        async with connection.transaction():
            held = await connection.fetchval(
                _SQL["begin_unit"], self.target, self.attempt, session_name(self.transfer_id)
            )
            if not held:
                raise Superseded
            yield finished
            await connection.execute(_SQL["finish_unit"], self.target, name, finished.rows, finished.bytes)
        self.done[name] = finished
        self.metrics.clone_rows.add(finished.rows)


async def _require_time(
    connection: Connection, transfer: asyncpg.Record, closes_at: datetime, grace_until: datetime
) -> None:
    """Make sure that a move can be ready before the window closes, or that no other evening would give it more time.

    How much longer it may take than such moves usually do is what the grace is there for.

    Raises:
        WindowTooShort: It cannot.
    """
    now, starts_at = datetime.now(UTC), transfer["starts_at"]
    left = (closes_at - now).total_seconds()
    if left >= _NEARLY_ALL * (closes_at - starts_at).total_seconds():
        return
    needed = await one(connection, _SQL["seconds_needed"], transfer["transfer_id"], starts_at, _READINGS)
    seconds = needed["seconds"]
    if seconds is not None and (seconds > left or seconds + needed["more"] > (grace_until - now).total_seconds()):
        raise WindowTooShort(
            f"{WindowTooShort.default_english()} It needs some {_minutes(seconds)} min, and {_minutes(left)} were left."
        )


def _minutes(seconds: float) -> int:
    return max(ceil(seconds / 60), 0)


def session_name(transfer_id: UUID) -> str:
    """Return the application name by which a drop finds what an attempt left running in the server."""
    return f"sb-transfer clone {transfer_id.hex}"
