"""One attempt's way through a blueprint: the units of work and what each of them runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Protocol

import asyncpg

from adapters.clone.attempt import Run
from adapters.clone.copy_stream import carry_ranges
from adapters.clone.plan import Course, Range
from adapters.clone.scheduler import Schedule, Unit, Work
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


class Meanwhile(Protocol):
    """What is done with connections while there is nothing to copy on them."""

    async def piece(self, there: Connection) -> bool:
        """Do a little, on a connection to the source's database outside any transaction; tell whether there was any."""
        ...

    async def keep(self, home: Connection) -> None:
        """Keep what was done, in the transaction that says that the clone is whole."""
        ...


class NotCarried(TransferError):
    """Something in the environment could not be made again. The transfer is undone; the message names it."""


class Copying:
    """Runs what earlier attempts have not finished."""

    def __init__(
        self,
        run: Run,
        course: Course,
        parallelism: int,
        report: ReportProgress,
        *,
        throttle: Throttle,
        meanwhile: Meanwhile | None = None,
    ) -> None:
        self._run = run
        self._course = course
        self._parallelism = parallelism
        self._throttle = throttle
        self._meanwhile = meanwhile
        self._rows_begun = False
        self._report = report
        self._began = time.monotonic()
        self._phase = "tables"
        loads = course.plan.loads
        self._rows_total = sum(load_.rows_estimate for load_ in loads)
        self._bytes_total = sum(load_.bytes for load_ in loads)
        self._units_of_table: dict[str, list[str]] = {}
        self._schedule = Schedule((), run.done, throttle.must_stop)

    async def everything(self) -> None:
        """Run every unit of work; report twice a second meanwhile, and at the end.

        Raises:
            NotCarried: A definition cannot be made again in the target.
            Superseded: A newer attempt has begun, or the transfer is being undone.
            WorkerStopping: This process is to end, and every unit that had begun is finished.
        """
        self._schedule = Schedule(self._units(), self._run.done, self._throttle.must_stop)
        async with self._telling():
            await self._schedule.run(self._run.pool, self._parallelism, self._throttle.let_pass, self._take, self._idle)

    async def _idle(self, connection: Connection) -> bool:
        """Use a connection for which there is nothing to copy, once a large table is on its way."""
        if self._meanwhile is None or not self._rows_begun:
            return False
        await self._throttle.let_pass(connection)
        if self._throttle.must_stop():
            return False
        async with self._run.reading(connection) as there:
            return await self._meanwhile.piece(there)

    async def _take(self, unit: Unit, connection: Connection) -> None:
        self._phase = unit.phase
        self._rows_begun |= unit.phase == "rows" and bool(self._course.large)
        async with self._run.unit(unit.name, connection) as finished:
            await catalog.enter(connection, self._run.target)
            finished.rows = await unit.work(connection)
            finished.bytes = unit.bytes

    # --- what there is to do -----------------------------------------------------------------------------------------

    def _units(self) -> Iterator[Unit]:
        course = self._course
        yield Unit(_STRUCTURE, "tables", self._structure)
        shaped: list[str] = [_STRUCTURE]
        for number, batch in enumerate(course.division.batches):
            unit = self._small(number, batch)
            shaped.append(unit.name)
            yield unit
        for family in course.large:
            yield from self._large(family)
            shaped.append(f"keys {family}")
        declared, validations = course.late()
        if validations:
            yield Unit("constraints", "constraints", self._statements(declared), after=frozenset(shaped))
            shaped, declared = ["constraints"], []
        sizes = {load_.table: load_.bytes for load_ in course.plan.loads}
        for table, statements in validations.items():
            shaped.append(f"validate {table}")
            work = self._statements(statements)
            yield Unit(shaped[-1], "constraints", work, sizes.get(table, 0), after=frozenset({"constraints"}))
        yield Unit("finish", "finish", self._finish(declared), after=frozenset(shaped))
        yield from self._statistics()

    def _small(self, number: int, batch: tuple[str, ...]) -> Unit:
        """Make everything of some small tables in one transaction."""
        course = self._course
        loads = course.loads_of(batch)
        name = f"small tables {number}"
        for load_ in loads:
            self._units_of_table[load_.table] = [name]
        rows = self._rows([Range(load_, 0, load_.pages) for load_ in loads])
        bare = course.bare_of(batch)
        rest = [*(index.statement for index in course.indexes_of(batch)), *course.keys_of(batch)]

        async def work(connection: Connection) -> int:
            await self._make(connection, bare)
            copied = await rows(connection)
            await self._make(connection, rest)
            return copied

        size = sum(load_.bytes for load_ in loads)
        return Unit(name, "rows", work, size, size, frozenset({_STRUCTURE}))

    def _large(self, family: str) -> Iterator[Unit]:
        course = self._course
        begin = frozenset({_STRUCTURE})
        references = course.references_of(family)
        if references:
            needed = {name for item in references if (name := self._keys_unit(item.referred))}
            work = self._statements([item.statement for item in references])
            yield Unit(f"references {family}", "constraints", work, after=begin | needed)
            begin = frozenset({f"references {family}"})
        # After those, though it needs none of them: whoever refers to this family comes after its key, so two units
        # never want the same tables for themselves in another order.
        if keys := course.keys_before_rows(family):
            yield Unit(f"key {family}", "tables", self._statements(keys), after=begin)
            begin = frozenset({f"key {family}"})
        loaded: list[str] = []
        for load_ in course.loads_of([family]):
            mine = self._units_of_table.setdefault(load_.table, [])
            # One after the other, so that rows lie as they did: what is sorted in the source is sorted here. Two
            # connections would load one table a third faster and lay its rows down by turns, and every index that
            # follows the order of the rows would take twice as long to build, and be slower to use ever after.
            before = begin
            for piece in course.ranges_of(load_):
                name = f"rows {load_.table} {piece.start}"
                size = load_.bytes * (piece.end - piece.start) // max(load_.pages, 1)
                yield Unit(name, "rows", self._rows([piece]), size, size, before)
                mine.append(name)
                before = begin | {name}
            loaded += mine
        built: list[str] = []
        for index in course.builds_of(family):
            built.append(f"index {index.name}")
            yield Unit(
                built[-1], "indexes", self._index(index.statement), index.effort, after=begin | frozenset(loaded)
            )
        # Not while indexes are built: a transaction that has built one and then wants the whole table for itself would
        # wait for another build on it, and that one for the first.
        rest = self._statements(course.keys_of([family]))
        yield Unit(f"keys {family}", "constraints", rest, after=begin | frozenset(loaded) | frozenset(built))

    def _keys_unit(self, family: str | None) -> str | None:
        """Return the unit after which a family can be referred to; None for a table outside the schema."""
        if family in self._course.small:
            return f"small tables {self._course.small[family]}"
        if family in self._course.division.keyed:
            return f"key {family}"
        return f"keys {family}" if family in self._course.large else None

    def _statistics(self) -> Iterator[Unit]:
        loads = [load_ for load_ in self._course.plan.loads if load_.pages]
        single = [[load_] for load_ in loads if load_.family not in self._course.small]
        small = [load_ for load_ in loads if load_.family in self._course.small]
        at_once = min(_ANALYZE_TABLES, -(-len(small) // self._parallelism)) or 1
        many = [small[first : first + at_once] for first in range(0, len(small), at_once)]
        for number, tables in enumerate([*single, *many]):
            work = self._know([load_.name for load_ in tables])
            size = sum(load_.bytes for load_ in tables)
            yield Unit(f"statistics {number}", "statistics", work, size, after=frozenset({"finish"}))

    # --- how far it is -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        async def keep_telling() -> None:
            while True:
                self._report(self._progress())
                await asyncio.sleep(_REPORT_SECONDS)

        teller = asyncio.create_task(keep_telling())
        try:
            yield
        finally:
            teller.cancel()
            await asyncio.wait([teller])
        self._report(self._progress())

    def _progress(self) -> CloneProgress:
        done = self._run.done
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
        plan, target = self._course.plan, self._run.target
        await connection.execute(await connection.fetchval(_SQL["create_schema"], target))
        async with self._run.reading(connection) as there:
            comment = await catalog.schema_comment(there, self._run.source)
        if comment is not None:
            await connection.execute(await connection.fetchval(_SQL["comment_schema"], target, comment))
        tables, rest = self._course.bare_first()
        await self._make(connection, [*plan.types, *plan.sequences, *plan.functions, *tables])
        await self._make(connection, [*plan.attachments, *rest])
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

    def _rows(self, pieces: Iterable[Range]) -> Work:
        chosen = [piece for piece in pieces if piece.end > piece.start]

        async def work(connection: Connection) -> int:
            if not chosen:
                return 0
            if self._run.across:
                return await self._carried(connection, chosen)
            rows: int = await connection.fetchval(
                _SQL["copy_ranges"],
                self._run.source,
                self._run.target,
                self._course.division.replica,
                [piece.load.name for piece in chosen],
                [self._course.division.filenodes[piece.load.table] for piece in chosen],
                [piece.load.columns for piece in chosen],
                [piece.load.expressions for piece in chosen],
                [piece.start for piece in chosen],
                [piece.end for piece in chosen],
            )
            return rows

        return work

    async def _carried(self, connection: Connection, pieces: list[Range]) -> int:
        """Carry rows from another database."""
        run, division = self._run, self._course.division
        if division.replica:
            await connection.execute(_SQL["past_triggers"], "replica")
        files = [division.filenodes[piece.load.table] for piece in pieces]
        async with run.reading(connection) as there:
            rows = await carry_ranges(there, connection, pieces, (run.source, run.target), files)
        if division.replica:
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
        plan, run = self._course.plan, self._run

        async def work(connection: Connection) -> int:
            await self._make(connection, declared)
            await self._make(connection, [*plan.views, *plan.view_functions])
            await self._make(connection, [*plan.attached, *plan.comments, *plan.grants, *plan.owners])
            if run.across:
                async with run.reading(connection) as there:
                    await catalog.stand_as(there, run.source, connection, run.target)
                return 0
            for statement in await catalog.position_statements(connection, run.source, run.target):
                await connection.execute(statement)
            return 0

        return work

    def _know(self, tables: list[str]) -> Work:
        """Let the planner know the tables: by what it knows of the source's, or by a look at the rows."""

        async def work(connection: Connection) -> int:
            told: set[str] = set()
            if connection.get_server_version().major >= _STATISTICS_CARRIED and not self._run.across:
                source, target = self._run.source, self._run.target
                told = {row["name"] for row in await connection.fetch(_SQL["copy_statistics"], source, target, tables)}
            unknown = [table for table in tables if table not in told]
            if unknown:
                await connection.execute(await connection.fetchval(_SQL["analyze"], self._run.target, unknown))
            return 0

        return work
