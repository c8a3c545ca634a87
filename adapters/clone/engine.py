"""The clone engine: bare tables, rows, indexes, constraints, and everything that hangs on them.

Each unit of work commits together with its line in `control.clone_unit`: after a kill the next attempt goes on there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from uuid import uuid5

import asyncpg

from adapters import catalog
from adapters.clone.run import Run, leftover_name
from adapters.docket import hold_backward, tell
from adapters.postgres import Connection, Pool, transaction, translated_errors
from adapters.statements import load
from domain.errors import AlreadyReleased, Superseded, TransferError, Unavailable
from domain.messages import CloneAdministrations, CloneFinished, CloneProgress, DropClone
from domain.ports import ReportProgress

_SQL = load("clone")
# 64 MB: small enough to redo, large enough that its bookkeeping does not show.
_RANGE_PAGES = 8192
# Small tables share a unit: a transaction for each of 500 near-empty tables would cost more than their rows.
_BATCH_PAGES = 512
# A definition may need one that comes later (a view on a view, a function on a table): it is tried again then.
_NOT_YET = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidForeignKeyError,
)

Work = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A range of a table's pages, the end not included."""

    load: catalog.Load
    start: int
    end: int


class NotCarried(TransferError):
    """A definition of the environment could not be made again. The transfer is undone; the message names it."""


class PostgresCloneEngine:
    """Copies a frozen schema to a new one inside the server; rows never pass through this process."""

    def __init__(self, pool: Pool, *, parallelism: int) -> None:
        """Prepare an engine.

        Args:
            pool: Has at least `parallelism` + 1 connections for each clone that runs at once.
            parallelism: Connections that one clone keeps busy.
        """
        self._pool = pool
        self._parallelism = parallelism

    async def clone(self, order: CloneAdministrations, report: ReportProgress) -> CloneFinished:
        """Carry everything in the source schema to the target schema; go on where an earlier attempt stopped.

        Raises:
            NotCarried: A definition cannot be made again in the target.
            Superseded: The transfer is being undone, or a newer attempt has begun.
            Unavailable: The server went away; another attempt goes on.
        """
        began = time.monotonic()
        run = await Run.begin(self._pool, order.transfer_id, order.source_schema, order.target_schema)
        try:
            with translated_errors():
                async with self._pool.acquire() as connection:
                    plan = await catalog.draw_blueprint(connection, order.source_schema)
                await _Copy(run, plan, self._parallelism, report, began).everything()
        except asyncpg.PostgresError as error:
            raise NotCarried(f"{error} The transfer is undone; ask support.") from error
        finally:
            await self._add_seconds(run, time.monotonic() - began)
        return await self._finish(run, plan)

    async def drop(self, order: DropClone) -> None:
        """Leave nothing of the clone.

        Raises:
            AlreadyReleased: The new environment is in use; nothing is dropped.
        """
        async with transaction(self._pool) as connection:
            # The undo has begun (checked here), so no new attempt can start; what still runs is ended, then barred.
            await hold_backward(connection, order.transfer_id)
            await connection.execute(_SQL["end_leftovers"], leftover_name(order.transfer_id))
        async with transaction(self._pool) as connection:
            schema = await connection.fetchval(_SQL["close_run"], order.transfer_id)
            schema = schema or await connection.fetchval(_SQL["reserved_schema"], order.transfer_id)
        if schema is None:
            return
        async with transaction(self._pool) as connection:
            try:
                await connection.execute(_SQL["drop_schema"], order.transfer_id, schema)
            except asyncpg.ObjectInUseError as error:
                raise AlreadyReleased from error
            await connection.execute(_SQL["forget_run"], order.transfer_id)
            await tell(
                connection, order.transfer_id, "clone_dropped", event_key=uuid5(order.transfer_id, "clone_dropped")
            )

    async def _add_seconds(self, run: Run, seconds: float) -> None:
        try:
            async with transaction(self._pool) as connection:
                await connection.execute(_SQL["add_seconds"], run.target, seconds)
        except Unavailable:
            return  # the time of an attempt that the server did not survive is not worth another failure

    async def _finish(self, run: Run, plan: catalog.Blueprint) -> CloneFinished:
        async with transaction(self._pool) as connection:
            if not await connection.fetchval(_SQL["hold_run"], run.target, run.attempt):
                raise Superseded
            seconds = await connection.fetchval(_SQL["add_seconds"], run.target, 0.0)
            finished = CloneFinished(
                tables=len(plan.tables),
                rows=sum(unit.rows for unit in run.done.values()),
                bytes=sum(load.bytes for load in plan.loads),
                seconds=round(seconds, 3),
            )
            await connection.execute(
                _SQL["finish_run"], run.transfer_id, finished.tables, finished.rows, finished.bytes, finished.seconds
            )
            await tell(
                connection,
                run.transfer_id,
                "clone_finished",
                detail=finished.model_dump(),
                event_key=uuid5(run.transfer_id, "clone_finished"),
            )
        return finished


class _Copy:
    """One attempt's way through a blueprint."""

    def __init__(
        self, run: Run, plan: catalog.Blueprint, parallelism: int, report: ReportProgress, began: float
    ) -> None:
        self._run = run
        self._plan = plan
        self._parallelism = parallelism
        self._report = report
        self._began = began
        self._rows_total = sum(load.rows_estimate for load in plan.loads)
        self._bytes_total = sum(load.bytes for load in plan.loads)

    async def everything(self) -> None:
        """Run every phase; a phase begins when the one before is whole."""
        async with self._run.pool.acquire() as connection:
            replica = bool(await connection.fetchval(_SQL["replica_role_allowed"]))
        await self._side_by_side("tables", [("structure", self._structure)])
        await self._side_by_side("rows", self._loads(replica=replica))
        await self._side_by_side("indexes", self._indexes())
        await self._side_by_side("constraints", [("keys", self._statements(self._keys()))])
        await self._side_by_side("constraints", [("checks", self._statements(self._constraints(foreign_key=False)))])
        await self._side_by_side(
            "constraints", [("foreign keys", self._statements(self._constraints(foreign_key=True)))]
        )
        await self._side_by_side("finish", [("finish", self._hangers_on)])
        await self._side_by_side("statistics", [("statistics", self._analyze)])

    async def _side_by_side(self, phase: str, units: Iterable[tuple[str, Work]]) -> None:
        """Run units on up to `parallelism` connections; the first failure stops the others."""
        waiting = [(name, work) for name, work in units if name not in self._run.done]
        waiting.reverse()

        async def take_turns() -> None:
            async with self._run.pool.acquire() as connection:
                while waiting:
                    name, work = waiting.pop()
                    async with self._run.unit(name, connection) as finished:
                        self._report(self._progress(phase))
                        await work(connection)
                        finished.rows = self._counted.pop(name, 0)
                    self._report(self._progress(phase))

        self._counted: dict[str, int] = {}
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._parallelism, len(waiting))):
                    tasks.create_task(take_turns())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    def _progress(self, phase: str) -> CloneProgress:
        rows = sum(unit.rows for unit in self._run.done.values())
        done = min(1.0, rows / self._rows_total) if self._rows_total else 1.0
        return CloneProgress(
            phase=phase,
            rows_done=rows,
            rows_total=max(self._rows_total, rows),
            bytes_done=int(done * self._bytes_total),
            bytes_total=self._bytes_total,
            tables_done=sum(1 for name in self._run.done if name.startswith("rows ")),
            tables_total=len(self._plan.loads),
            elapsed_seconds=round(time.monotonic() - self._began, 3),
        )

    # --- structure -------------------------------------------------------------------------------------------------

    async def _structure(self, connection: Connection) -> None:
        plan = self._plan
        await connection.execute(await connection.fetchval(_SQL["create_schema"], self._run.target))
        comment = await catalog.schema_comment(connection, self._run.source)
        if comment is not None:
            await connection.execute(await connection.fetchval(_SQL["comment_schema"], self._run.target, comment))
        await self._make(connection, [*plan.types, *plan.sequences, *plan.functions, *plan.tables])
        await self._make(connection, [*plan.attachments, *plan.columns])

    async def _make(self, connection: Connection, statements: list[str]) -> None:
        """Run definitions in the target; those that need another one first are tried again after it."""
        await catalog.enter(connection, self._run.target)
        waiting = statements
        while waiting:
            postponed: list[str] = []
            problem: asyncpg.PostgresError | None = None
            for statement in waiting:
                try:
                    async with connection.transaction():
                        await connection.execute(statement)
                except _NOT_YET as error:
                    postponed.append(statement)
                    problem = error
            if problem is not None and len(postponed) == len(waiting):
                raise NotCarried(f"{problem} in: {postponed[0][:200]}. The transfer is undone; ask support.")
            waiting = postponed

    def _statements(self, statements: list[str]) -> Work:
        async def work(connection: Connection) -> None:
            await self._make(connection, statements)

        return work

    # --- rows ------------------------------------------------------------------------------------------------------

    def _loads(self, *, replica: bool) -> list[tuple[str, Work]]:
        units: list[tuple[str, Work]] = []
        small: list[_Piece] = []
        pages = 0
        for load_ in self._plan.loads:
            if load_.pages >= _BATCH_PAGES:
                for start in range(0, load_.pages, _RANGE_PAGES):
                    piece = _Piece(load_, start, min(start + _RANGE_PAGES, load_.pages))
                    name = f"rows {load_.table} {start}"
                    units.append((name, self._load(name, [piece], replica=replica)))
                continue
            small.append(_Piece(load_, 0, load_.pages))
            pages += load_.pages
            if pages >= _BATCH_PAGES:
                units.append(self._batch(small, replica=replica))
                small, pages = [], 0
        if small:
            units.append(self._batch(small, replica=replica))
        return units

    def _batch(self, pieces: list[_Piece], *, replica: bool) -> tuple[str, Work]:
        name = f"rows {pieces[0].load.table} +{len(pieces) - 1}"
        return name, self._load(name, pieces, replica=replica)

    def _load(self, name: str, pieces: list[_Piece], *, replica: bool) -> Work:
        async def work(connection: Connection) -> None:
            await catalog.enter(connection, self._run.target)
            if replica:
                await connection.execute("set local session_replication_role = replica")
            rows = 0
            for piece in pieces:
                if piece.start == piece.end:
                    continue
                source, target, load_ = self._run.source, self._run.target, piece.load
                if load_.columns:
                    statement = await connection.fetchval(
                        _SQL["load_range"],
                        source,
                        target,
                        load_.name,
                        load_.columns,
                        load_.expressions,
                        piece.start,
                        piece.end,
                    )
                else:
                    statement = await connection.fetchval(
                        _SQL["load_empty_rows"], source, target, load_.name, piece.start, piece.end
                    )
                rows += int((await connection.execute(statement)).split()[-1])
            self._counted[name] = rows

        return work

    # --- indexes and constraints -------------------------------------------------------------------------------------

    def _indexes(self) -> list[tuple[str, Work]]:
        """Make the tables' indexes side by side."""
        return [
            (f"index {index.name}", self._index(index.statement))
            for index in self._plan.indexes
            if not index.partitioned
        ]

    def _index(self, statement: str) -> Work:
        async def work(connection: Connection) -> None:
            await catalog.enter(connection, self._run.target)
            # The connections already keep the cores busy; a build's own helpers would only get in each other's way.
            await connection.execute("set local max_parallel_maintenance_workers = 0")
            await connection.execute("set local maintenance_work_mem = '256MB'")
            await connection.execute(statement)

        return work

    def _keys(self) -> list[str]:
        """Put indexes under their constraints, then let partitioned tables' indexes adopt their partitions'.

        Not while indexes are built: a transaction that has built one and then wants the whole table for itself would
        wait for another build on it, and that one for the first.
        """
        indexes = self._plan.indexes
        return [
            *(index.constraint for index in indexes if index.constraint),
            *(index.statement for index in indexes if index.partitioned),
            *(statement for index in indexes for statement in index.afterwards),
        ]

    def _constraints(self, *, foreign_key: bool) -> list[str]:
        return [item.statement for item in self._plan.constraints if item.foreign_key is foreign_key]

    # --- the rest ----------------------------------------------------------------------------------------------------

    async def _hangers_on(self, connection: Connection) -> None:
        plan, run = self._plan, self._run
        await self._make(connection, [*plan.views, *plan.attached])
        await self._make(connection, [*plan.comments, *plan.grants, *plan.owners])
        for sequence in plan.positions:
            reading = await connection.fetchval(_SQL["read_position"], run.source, sequence)
            position = await connection.fetchrow(reading)
            if position is not None:
                await connection.execute(_SQL["set_position"], run.target, sequence, *position)

    async def _analyze(self, connection: Connection) -> None:
        for load_ in self._plan.loads:
            await connection.execute(await connection.fetchval(_SQL["analyze"], self._run.target, load_.name))
