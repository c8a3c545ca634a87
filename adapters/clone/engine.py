"""The clone engine: bare tables, rows, indexes, constraints, and everything that hangs on them.

Each unit of work commits together with its line in `control.clone_unit`; whatever is killed, the next attempt goes on
there.
"""

import time
from collections.abc import Callable
from uuid import uuid5

import asyncpg

from adapters.clone.attempt import CloneAttempt, session_name
from adapters.clone.partitioning import Partitioning, partition
from adapters.clone.plan import ClonePlan
from adapters.clone.target import NotCarried
from adapters.clone.throttle import Limits, Throttle
from adapters.clone.units import CloneExecution, IdleWork
from adapters.observability.metrics import UNMEASURED, Metrics
from adapters.postgres.connection import Connection, Pool, transaction, translated_errors
from adapters.postgres.lock_waits import named_waits
from adapters.postgres.place import Move, Place
from adapters.postgres.shards import Guest, Shards, cell_of_new, note
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import await_no_disk, lock_for_step, lock_for_undo, record_event
from adapters.schema import catalog
from adapters.schema.blueprint import Blueprint
from domain.errors import AlreadyReleased, Superseded, Unavailable
from domain.events import EventKind
from domain.messages import CloneAdministrations, CloneFinished, DropClone
from domain.ports import MustStop, ReportProgress
from domain.vocabulary import EnvironmentStatus

_SQL = load("adapters.clone.clone")
_SET_ON_PARAMETER = 15  # the PostgreSQL since which the right to set one parameter can be granted
_DROP_OBJECTS = 200
_NO_LIMITS = Limits()


def _goes_on() -> bool:
    """Say that nothing has to stop."""
    return False


class PostgresCloneEngine:
    """Copies a frozen schema to a new one: inside the server, or from one cell's database to another's."""

    def __init__(
        self,
        pool: Pool,
        *,
        parallelism: int,
        limits: Limits = _NO_LIMITS,
        shards: Shards | None = None,
        metrics: Metrics = UNMEASURED,
        meanwhile: Callable[[CloneAdministrations], IdleWork] | None = None,
    ) -> None:
        """Prepare an engine.

        Args:
            pool: Has at least `parallelism` + 1 connections for each clone that runs at once.
            parallelism: Connections that one clone keeps busy.
            limits: Above these a clone pauses between two units.
            shards: Where environments live that are not in the pool's database; as many connections to each.
            metrics: Measure what is carried, and how late a clone begins.
            meanwhile: Makes what each clone's connections do while there is nothing to copy on them.
        """
        self._pool = pool
        self._parallelism = parallelism
        self._limits = limits
        self._shards = shards or Shards(pool)
        self._metrics = metrics
        self._meanwhile = meanwhile

    async def clone(
        self, order: CloneAdministrations, report: ReportProgress, must_stop: MustStop = _goes_on
    ) -> CloneFinished:
        """Carry everything in the source schema to the target schema; go on where an earlier attempt stopped.

        Args:
            order: From where to where, for which transfer.
            report: Hears twice a second how far it is.
            must_stop: Asked before each unit of work.

        Raises:
            WorkerStopping: `must_stop` said so; what had begun is finished, and the next attempt goes on after it.
            WindowTooShort: It would not be ready before the window closes; nothing has begun.
            NotCarried: A definition cannot be made again in the target.
            Superseded: The transfer is being undone, or a newer attempt has begun.
            EnvironmentBusy: Somebody keeps a table locked; another attempt goes on.
            Unavailable: The server went away; another attempt goes on.
        """
        began = time.monotonic()
        attempt = await CloneAttempt.begin(
            self._pool,
            order.transfer_id,
            Move.of(order),
            evening=order.evening,
            closes_at=order.closes_at,
            grace_until=order.grace_until,
            metrics=self._metrics,
            shards=self._shards,
        )
        if attempt.result is not None:
            return CloneFinished.model_validate_json(attempt.result)
        meanwhile = self._meanwhile(order) if self._meanwhile else None
        try:
            async with named_waits(self._shards, attempt.move.old, attempt.move.new):
                with translated_errors():
                    async with attempt.pool.acquire() as connection:
                        version = await catalog.server_version(connection)
                        blueprint = await self._blueprint(attempt, connection, version)
                        plan = ClonePlan(
                            blueprint, await _keep_partitioning(connection, attempt, blueprint, self._parallelism)
                        )
                    throttle = Throttle(self._limits, must_stop)
                    execution = CloneExecution(
                        attempt, plan, self._parallelism, report, throttle=throttle, meanwhile=meanwhile
                    )
                    await execution.run()
        except asyncpg.PostgresError as error:
            raise NotCarried(f"{error} The transfer is undone; ask support.") from error
        finally:
            await self._add_seconds(attempt, time.monotonic() - began)
        return await self._finish(attempt, blueprint, meanwhile)

    async def _blueprint(self, attempt: CloneAttempt, connection: Connection, version: int) -> Blueprint:
        async with attempt.reading(connection) as there:
            if self._parallelism == 1:
                return await catalog.read_blueprint(there, attempt.source, attempt.target, version=version)
            async with (attempt.source_pool or attempt.pool).acquire() as second:
                return await catalog.read_blueprint(
                    there, attempt.source, attempt.target, version=version, second=second
                )

    async def drop(self, order: DropClone) -> None:
        """Leave nothing of the clone.

        Raises:
            AlreadyReleased: The new environment is in use; nothing is dropped.
        """
        async with transaction(self._pool) as connection:
            # The undo has begun (checked here), so no new attempt can start; what still runs is ended, then barred.
            transfer = await lock_for_undo(connection, order.transfer_id)
            if transfer is None:
                return
            cell = await cell_of_new(connection, transfer)
            reserved = await connection.fetchval(_SQL["reserved_schema"], order.transfer_id)
            async with self._shards.backward(connection, cell, transfer) as there:
                await there.execute(_SQL["terminate_sessions"], session_name(order.transfer_id))
        pool = self._shards.pool(cell)
        async with transaction(pool) as there:
            schema = await there.fetchval(_SQL["close_run"], order.transfer_id) or reserved
        if schema is None:
            return
        try:
            async with named_waits(self._shards, Place(schema, cell), readers=True):
                while await _drop_some(pool, order, schema):
                    continue
                async with transaction(pool) as there:
                    await there.execute(_SQL["drop_schema"], order.transfer_id, schema)
                    await note(there, cell, Guest(transfer["new_environment_id"], schema, order.transfer_id, None))
        except asyncpg.ObjectInUseError as error:
            raise AlreadyReleased from error
        async with transaction(self._pool) as connection:
            await record_event(
                connection,
                order.transfer_id,
                EventKind.CLONE_DROPPED,
                event_key=uuid5(order.transfer_id, EventKind.CLONE_DROPPED),
            )
            async with self._shards.backward(connection, cell, transfer) as there:
                await there.execute(_SQL["forget_run"], order.transfer_id)

    async def _add_seconds(self, attempt: CloneAttempt, seconds: float) -> None:
        try:
            async with transaction(attempt.pool) as connection:
                await await_no_disk(connection)
                await connection.execute(_SQL["add_seconds"], attempt.target, seconds)
        except Unavailable:
            return  # the time of an attempt that the server did not survive is not worth another failure

    async def _finish(self, attempt: CloneAttempt, blueprint: Blueprint, meanwhile: IdleWork | None) -> CloneFinished:
        shard = attempt.move.new.shard
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, attempt.transfer_id, evening=attempt.evening)
            async with self._shards.forward(connection, shard, transfer) as books:
                done = await books.fetchval(_SQL["hold_run"], attempt.target, attempt.attempt)
                if done is None:
                    raise Superseded
                if done != len(attempt.done):  # the server crashed before the last units had reached its disk
                    raise Unavailable("The database has lost the end of the clone. It is tried again by itself.")
                # This commit waits for the disk, and so for every unit before it.
                seconds = await books.fetchval(_SQL["add_seconds"], attempt.target, 0.0)
                building = EnvironmentStatus.BUILDING
                await note(
                    books, shard, Guest(transfer["new_environment_id"], attempt.target, attempt.transfer_id, building)
                )
            finished = CloneFinished(
                tables=blueprint.tables,
                rows=sum(unit.rows for unit in attempt.done.values()),
                bytes=sum(load.bytes for load in blueprint.loads),
                seconds=round(seconds, 3),
            )
            if meanwhile is not None:
                await meanwhile.keep(connection)
            await connection.execute(
                _SQL["finish_run"],
                attempt.transfer_id,
                finished.tables,
                finished.rows,
                finished.bytes,
                finished.seconds,
            )
            await record_event(
                connection,
                attempt.transfer_id,
                EventKind.CLONE_FINISHED,
                detail=finished.model_dump(),
                event_key=uuid5(attempt.transfer_id, f"clone_finished {attempt.evening}"),
            )
        self._metrics.clone_seconds.record(finished.seconds)
        return finished


async def _drop_some(pool: Pool, order: DropClone, schema: str) -> int:
    async with transaction(pool) as connection:
        dropped: int = await connection.fetchval(_SQL["drop_some"], order.transfer_id, schema, _DROP_OBJECTS)
        return dropped


async def _keep_partitioning(
    connection: Connection, attempt: CloneAttempt, blueprint: Blueprint, parallelism: int
) -> Partitioning:
    """Divide the work, or return how the first attempt has divided it."""
    replica = bool(await connection.fetchval(_SQL["is_superuser"]))
    if not replica and connection.get_server_version().major >= _SET_ON_PARAMETER:
        replica = bool(await connection.fetchval(_SQL["replica_role_allowed"]))
    drawn = partition(blueprint, replica=replica, parallelism=parallelism)
    async with connection.transaction():
        await await_no_disk(connection)
        kept = await connection.fetchval(_SQL["keep_plan"], attempt.target, attempt.attempt, drawn.to_json())
    if kept is None:
        raise Superseded
    return Partitioning.from_json(kept)
