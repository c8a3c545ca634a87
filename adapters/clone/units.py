"""One attempt's way through a blueprint: the units of work and what each of them runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Protocol

import asyncpg

from adapters.clone.attempt import CloneAttempt
from adapters.clone.copy_stream import carry_ranges
from adapters.clone.plan import ClonePlan, PageRange
from adapters.clone.scheduler import CloneUnit, UnitScheduler, Work
from adapters.clone.throttle import Throttle
from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from adapters.schema import catalog
from domain.errors import TransferError
from domain.messages import CloneProgress
from domain.ports import ReportProgress

_SQL = load("adapters.clone.clone")
_REPORT_SECONDS = 0.5
_ANALYZE_TABLES = 60
_STATISTICS_CARRIED = 18  # the PostgreSQL since which they can be
# A definition may need one that comes later (a view on a view, a function on a table): it is tried again after them.
_NOT_YET = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidForeignKeyError,
)
_STRUCTURE = "structure"


class IdleWork(Protocol):
    """What is done with connections while there is nothing to copy on them."""

    async def run_chunk(self, there: Connection) -> bool:
        """Do a little, on a connection to the source's database outside any transaction; tell whether there was any."""
        ...

    async def keep(self, home: Connection) -> None:
        """Keep what was done, in the transaction that says that the clone is whole."""
        ...


class NotCarried(TransferError):
    """Something in the environment could not be made again. The transfer is undone; the message names it."""


class CloneExecution:
    """Runs what earlier attempts have not finished."""

    def __init__(
        self,
        attempt: CloneAttempt,
        plan: ClonePlan,
        parallelism: int,
        report: ReportProgress,
        *,
        throttle: Throttle,
        meanwhile: IdleWork | None = None,
    ) -> None:
        self._attempt = attempt
        self._plan = plan
        self._parallelism = parallelism
        self._throttle = throttle
        self._meanwhile = meanwhile
        self._rows_begun = False
        self._report = report
        self._began = time.monotonic()
        self._phase = "tables"
        loads = plan.blueprint.loads
        self._rows_total = sum(stored.rows_estimate for stored in loads)
        self._bytes_total = sum(stored.bytes for stored in loads)
        self._units_of_table: dict[str, list[str]] = {}
        self._schedule = UnitScheduler((), attempt.done, throttle.must_stop)

    async def run(self) -> None:
        """Run every unit of work; report twice a second meanwhile, and at the end.

        Raises:
            NotCarried: A definition cannot be made again in the target.
            Superseded: A newer attempt has begun, or the transfer is being undone.
            WorkerStopping: This process is to end, and every unit that had begun is finished.
        """
        self._schedule = UnitScheduler(self._units(), self._attempt.done, self._throttle.must_stop)
        async with self._reporting():
            await self._schedule.run(
                self._attempt.pool, self._parallelism, self._throttle.let_pass, self._take, self._idle
            )

    async def _idle(self, connection: Connection) -> bool:
        """Use a connection for which there is nothing to copy, once a large table is on its way."""
        if self._meanwhile is None or not self._rows_begun:
            return False
        await self._throttle.let_pass(connection)
        if self._throttle.must_stop():
            return False
        async with self._attempt.reading(connection) as there:
            return await self._meanwhile.run_chunk(there)

    async def _take(self, unit: CloneUnit, connection: Connection) -> None:
        self._phase = unit.phase
        self._rows_begun |= unit.phase == "rows" and bool(self._plan.large)
        async with self._attempt.unit(unit.name, connection) as finished:
            await catalog.enter(connection, self._attempt.target)
            finished.rows = await unit.work(connection)
            finished.bytes = unit.bytes

    # --- what there is to do -----------------------------------------------------------------------------------------

    def _units(self) -> Iterator[CloneUnit]:
        plan = self._plan
        yield CloneUnit(_STRUCTURE, "tables", self._structure)
        shaped: list[str] = [_STRUCTURE]
        for number, batch in enumerate(plan.partitioning.batches):
            unit = self._small(number, batch)
            shaped.append(unit.name)
            yield unit
        for family in plan.large:
            yield from self._large(family)
            shaped.append(f"keys {family}")
        declared, validations = plan.late()
        if validations:
            yield CloneUnit("constraints", "constraints", self._statements(declared), after=frozenset(shaped))
            shaped, declared = ["constraints"], []
        sizes = {stored.table: stored.bytes for stored in plan.blueprint.loads}
        for table, statements in validations.items():
            shaped.append(f"validate {table}")
            work = self._statements(statements)
            yield CloneUnit(shaped[-1], "constraints", work, sizes.get(table, 0), after=frozenset({"constraints"}))
        yield CloneUnit("finish", "finish", self._finish(declared), after=frozenset(shaped))
        yield from self._statistics()

    def _small(self, number: int, batch: tuple[str, ...]) -> CloneUnit:
        """Make everything of some small tables in one transaction."""
        plan = self._plan
        loads = plan.loads_of(batch)
        name = f"small tables {number}"
        for stored in loads:
            self._units_of_table[stored.table] = [name]
        rows = self._rows([PageRange(stored, 0, stored.pages) for stored in loads])
        bare = plan.bare_of(batch)
        rest = [*(index.statement for index in plan.indexes_of(batch)), *plan.keys_of(batch)]

        async def work(connection: Connection) -> int:
            await self._make(connection, bare)
            copied = await rows(connection)
            await self._make(connection, rest)
            return copied

        size = sum(stored.bytes for stored in loads)
        return CloneUnit(name, "rows", work, size, size, frozenset({_STRUCTURE}))

    def _large(self, family: str) -> Iterator[CloneUnit]:
        plan = self._plan
        begin = frozenset({_STRUCTURE})
        references = plan.references_of(family)
        if references:
            needed = {name for item in references if (name := self._keys_unit(item.referred))}
            work = self._statements([item.statement for item in references])
            yield CloneUnit(f"references {family}", "constraints", work, after=begin | needed)
            begin = frozenset({f"references {family}"})
        # After those, though it needs none of them: whoever refers to this family comes after its key, so two units
        # never want the same tables for themselves in another order.
        if keys := plan.keys_before_rows(family):
            yield CloneUnit(f"key {family}", "tables", self._statements(keys), after=begin)
            begin = frozenset({f"key {family}"})
        loaded: list[str] = []
        for stored in plan.loads_of([family]):
            mine = self._units_of_table.setdefault(stored.table, [])
            # One after the other, so that rows lie as they did: what is sorted in the source is sorted here. Two
            # connections would load one table a third faster and lay its rows down by turns, and every index that
            # follows the order of the rows would take twice as long to build, and be slower to use ever after.
            before = begin
            for piece in plan.ranges_of(stored):
                name = f"rows {stored.table} {piece.start}"
                size = stored.bytes * (piece.end - piece.start) // max(stored.pages, 1)
                yield CloneUnit(name, "rows", self._rows([piece]), size, size, before)
                mine.append(name)
                before = begin | {name}
            loaded += mine
        built: list[str] = []
        for index in plan.builds_of(family):
            built.append(f"index {index.name}")
            yield CloneUnit(
                built[-1], "indexes", self._index(index.statement), index.effort, after=begin | frozenset(loaded)
            )
        # Not while indexes are built: a transaction that has built one and then wants the whole table for itself would
        # wait for another build on it, and that one for the first.
        rest = self._statements(plan.keys_of([family]))
        yield CloneUnit(f"keys {family}", "constraints", rest, after=begin | frozenset(loaded) | frozenset(built))

    def _keys_unit(self, family: str | None) -> str | None:
        """Return the unit after which a family can be referred to; None for a table outside the schema."""
        if family in self._plan.small:
            return f"small tables {self._plan.small[family]}"
        if family in self._plan.partitioning.keyed:
            return f"key {family}"
        return f"keys {family}" if family in self._plan.large else None

    def _statistics(self) -> Iterator[CloneUnit]:
        loads = [stored for stored in self._plan.blueprint.loads if stored.pages]
        single = [[stored] for stored in loads if stored.family not in self._plan.small]
        small = [stored for stored in loads if stored.family in self._plan.small]
        at_once = min(_ANALYZE_TABLES, -(-len(small) // self._parallelism)) or 1
        many = [small[first : first + at_once] for first in range(0, len(small), at_once)]
        for number, tables in enumerate([*single, *many]):
            work = self._know([stored.name for stored in tables])
            size = sum(stored.bytes for stored in tables)
            yield CloneUnit(f"statistics {number}", "statistics", work, size, after=frozenset({"finish"}))

    # --- how far it is -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _reporting(self) -> AsyncIterator[None]:
        async def keep_reporting() -> None:
            while True:
                self._report(self._progress())
                await asyncio.sleep(_REPORT_SECONDS)

        reporter = asyncio.create_task(keep_reporting())
        try:
            yield
        finally:
            reporter.cancel()
            await asyncio.wait([reporter])
        self._report(self._progress())

    def _progress(self) -> CloneProgress:
        done = self._attempt.done
        rows = sum(unit.rows for unit in done.values())
        return CloneProgress(
            phase=self._throttle.paused or self._phase,
            rows_done=rows,
            rows_total=max(self._rows_total, rows),
            bytes_done=sum(unit.bytes for unit in done.values()),
            bytes_total=self._bytes_total,
            tables_done=sum(all(name in done for name in names) for names in self._units_of_table.values()),
            tables_total=len(self._units_of_table),
            elapsed_seconds=round(time.monotonic() - self._began, 3),
        )

    # --- what a unit runs --------------------------------------------------------------------------------------------

    async def _structure(self, connection: Connection) -> int:
        blueprint, target = self._plan.blueprint, self._attempt.target
        await connection.execute(await connection.fetchval(_SQL["create_schema"], target))
        async with self._attempt.reading(connection) as there:
            comment = await catalog.schema_comment(there, self._attempt.source)
        if comment is not None:
            await connection.execute(await connection.fetchval(_SQL["comment_schema"], target, comment))
        tables, rest = self._plan.bare_first()
        await self._make(connection, [*blueprint.types, *blueprint.sequences, *blueprint.functions, *tables])
        await self._make(connection, [*blueprint.attachments, *rest])
        return 0

    async def _make(self, connection: Connection, statements: list[str]) -> None:
        """Run definitions in the target: all at once, or those again that need another one first."""
        if not statements:
            return
        try:
            await connection.execute("\n;\n".join(["savepoint before", *statements, "release savepoint before"]))
        except _NOT_YET:
            await connection.execute("rollback to savepoint before")
            await self._make_one_by_one(connection, statements)

    async def _make_one_by_one(self, connection: Connection, statements: list[str]) -> None:
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
        async def work(connection: Connection) -> int:
            await self._make(connection, statements)
            return 0

        return work

    def _rows(self, pieces: Iterable[PageRange]) -> Work:
        chosen = [piece for piece in pieces if piece.end > piece.start]

        async def work(connection: Connection) -> int:
            if not chosen:
                return 0
            if self._attempt.across:
                return await self._carried(connection, chosen)
            rows: int = await connection.fetchval(
                _SQL["copy_ranges"],
                self._attempt.source,
                self._attempt.target,
                self._plan.partitioning.replica,
                [piece.load.name for piece in chosen],
                [self._plan.partitioning.filenodes[piece.load.table] for piece in chosen],
                [piece.load.columns for piece in chosen],
                [piece.load.expressions for piece in chosen],
                [piece.start for piece in chosen],
                [piece.end for piece in chosen],
            )
            return rows

        return work

    async def _carried(self, connection: Connection, pieces: list[PageRange]) -> int:
        """Carry rows from another database."""
        attempt, partitioning = self._attempt, self._plan.partitioning
        if partitioning.replica:
            await connection.execute(_SQL["past_triggers"], "replica")
        files = [partitioning.filenodes[piece.load.table] for piece in pieces]
        async with attempt.reading(connection) as there:
            rows = await carry_ranges(there, connection, pieces, (attempt.source, attempt.target), files)
        if partitioning.replica:
            await connection.execute(_SQL["past_triggers"], "origin")
        return rows

    def _index(self, statement: str) -> Work:
        async def work(connection: Connection) -> int:
            # While there is other work, the connections keep the cores busy and a build's own helper would only be in
            # the way. When this is the last that can begin, another connection is idle or soon will be.
            helped = self._parallelism > 1 and not self._schedule.others_ready
            await connection.execute(_SQL["index_settings"], str(int(helped)))
            await connection.execute(statement)
            return 0

        return work

    def _finish(self, declared: list[str]) -> Work:
        """Declare the last constraints, make what hangs on whole tables, and put the sequences where they stand."""
        blueprint, attempt = self._plan.blueprint, self._attempt

        async def work(connection: Connection) -> int:
            await self._make(connection, declared)
            await self._make(connection, [*blueprint.views, *blueprint.view_functions])
            await self._make(
                connection, [*blueprint.attached, *blueprint.comments, *blueprint.grants, *blueprint.owners]
            )
            if attempt.across:
                async with attempt.reading(connection) as there:
                    await catalog.copy_sequence_positions(there, attempt.source, connection, attempt.target)
                return 0
            for statement in await catalog.position_statements(connection, attempt.source, attempt.target):
                await connection.execute(statement)
            return 0

        return work

    def _know(self, tables: list[str]) -> Work:
        """Let the planner know the tables: by what it knows of the source's, or by a look at the rows."""

        async def work(connection: Connection) -> int:
            known: set[str] = set()
            if connection.get_server_version().major >= _STATISTICS_CARRIED and not self._attempt.across:
                source, target = self._attempt.source, self._attempt.target
                known = {row["name"] for row in await connection.fetch(_SQL["copy_statistics"], source, target, tables)}
            unknown = [table for table in tables if table not in known]
            if unknown:
                await connection.execute(await connection.fetchval(_SQL["analyze"], self._attempt.target, unknown))
            return 0

        return work
