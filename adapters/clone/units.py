"""One attempt's way through a blueprint: the units of work and what each of them runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from adapters.clone.attempt import CloneAttempt
from adapters.clone.plan import ClonePlan, PageRange
from adapters.clone.scheduler import CloneUnit, UnitScheduler, Work
from adapters.clone.target import TargetWriter
from adapters.clone.throttle import Throttle
from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from adapters.schema import catalog
from adapters.schema.blueprint import ConstraintDefinition, IndexDefinition
from adapters.schema.ordering import Definition
from domain.messages import CloneProgress
from domain.ports import ReportProgress

_SQL = load("adapters.clone.clone")
_REPORT_SECONDS = 0.5
_ANALYZE_TABLES = 60
# What a unit makes at most, counted in locks that a server with max_locks_per_transaction = 64 can hold for several
# clones at once: a table has one itself, and for its TOAST table and its sequences.
_UNIT_LOCKS = 1000
_TABLE_LOCKS, _REFERENCE_LOCKS = 4, 3
_STRUCTURE = "structure"
_Item = TypeVar("_Item")


class IdleWork(Protocol):
    """What is done with connections while there is nothing to copy on them."""

    async def run_chunk(self, there: Connection) -> bool:
        """Do a little, on a connection to the source's database outside any transaction; tell whether there was any."""
        ...

    async def keep(self, home: Connection) -> None:
        """Keep what was done, in the transaction that says that the clone is whole."""
        ...


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
        self._structured = _STRUCTURE
        self._target = TargetWriter(attempt, plan)
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
            await catalog.enter_definitions(connection)
            if self._plan.blueprint.code.families:
                await connection.execute(_SQL["hold_copy"], self._attempt.target)
            finished.rows = await unit.work(connection)
            finished.bytes = unit.bytes

    # --- what there is to do -----------------------------------------------------------------------------------------

    def _units(self) -> Iterator[CloneUnit]:
        plan = self._plan
        yield from self._structure()
        shaped: list[str] = [self._structured]
        for number, batch in enumerate(plan.partitioning.batches):
            unit = self._small(number, batch)
            shaped.append(unit.name)
            yield unit
        for family in plan.large:
            yield from self._large(family)
            shaped.append(f"keys {family}")
        declared, soon, validations = plan.late()
        jobs = [(_REFERENCE_LOCKS * len(part), self._statements(part)) for part in _parts(declared, _REFERENCE_LOCKS)]
        if validations:
            for unit in _chained("constraints", jobs, shaped):
                shaped = [unit.name]
                yield unit
            jobs = []
        sizes = {stored.table: stored.bytes for stored in plan.blueprint.loads}
        waiting = frozenset(shaped)
        for table, statements in validations.items():
            shaped.append(f"validate {table}")
            yield CloneUnit(shaped[-1], "constraints", self._validation(statements), sizes.get(table, 0), after=waiting)
        if soon:
            jobs.append((len(soon), self._validation(soon)))
        for unit in _chained("finish", [*jobs, *self._finishing()], shaped):
            shaped = [unit.name]
            yield unit
        known = [*self._statistics(shaped[0])]
        yield from known
        owners = _TABLE_LOCKS * len(plan.blueprint.owners)
        yield from _chained("rights", [(owners, self._rights())], [*shaped, *(unit.name for unit in known)])

    def _structure(self) -> Iterator[CloneUnit]:
        """Make what comes before rows, in as many transactions as the server's table of locks demands."""
        after: frozenset[str] = frozenset()
        parts = _parts(self._plan.structure(), _TABLE_LOCKS)
        for number, part in enumerate(parts or [[]]):
            self._structured = f"{_STRUCTURE} {number}"
            yield CloneUnit(self._structured, "tables", self._definitions(part, first=not number), after=after)
            after = frozenset({self._structured})

    def _definitions(self, part: list[Definition], *, first: bool) -> Work:
        async def work(connection: Connection) -> int:
            if first:
                await self._target.create_schema(connection)
            await self._target.make(connection, [statement for item in part for statement in item.statements])
            return 0

        return work

    def _small(self, number: int, batch: tuple[str, ...]) -> CloneUnit:
        """Make everything of some small tables in one transaction."""
        plan = self._plan
        loads = plan.loads_of(batch)
        name = f"small tables {number}"
        for stored in loads:
            self._units_of_table[stored.table] = [name]
        pieces = [PageRange(stored, 0, stored.pages) for stored in loads]
        rest = [*(index.statement for index in plan.indexes_after_rows(batch)), *plan.keys_of(batch)]

        async def work(connection: Connection) -> int:
            await self._target.make(connection, plan.bare_of(batch))
            await self._target.make(connection, plan.indexes_before_rows(batch), batch)
            copied = await self._target.copy(connection, pieces)
            await self._target.make(connection, rest, batch)
            return copied

        size = sum(stored.bytes for stored in loads)
        return CloneUnit(name, "rows", work, size, size, frozenset({self._structured}))

    def _large(self, family: str) -> Iterator[CloneUnit]:
        plan = self._plan
        begin = frozenset({self._structured})
        references = plan.references_of(family)
        if references:
            needed = {name for item in references if (name := self._keys_unit(item.referred))}
            work = self._references(references)
            yield CloneUnit(f"references {family}", "constraints", work, after=begin | needed)
            begin = frozenset({f"references {family}"})
        # After those, though it needs none of them: whoever refers to this family comes after its key, so two units
        # never want the same tables for themselves in another order.
        if indexes := plan.indexes_before_rows([family]):
            yield CloneUnit(f"key {family}", "tables", self._statements(indexes, family), after=begin)
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
                yield CloneUnit(name, "rows", self._rows(piece), size, size, before)
                mine.append(name)
                before = begin | {name}
            loaded += mine
        built: list[str] = []
        for index in plan.indexes_after_rows([family]):
            built.append(f"index {index.name}")
            yield CloneUnit(built[-1], "indexes", self._index(index), index.effort, after=begin | frozenset(loaded))
        # Not while indexes are built: a transaction that has built one and then wants the whole table for itself would
        # wait for another build on it, and that one for the first.
        rest = self._statements(plan.keys_of([family]), family)
        yield CloneUnit(f"keys {family}", "constraints", rest, after=begin | frozenset(loaded) | frozenset(built))

    def _keys_unit(self, family: str | None) -> str | None:
        """Return the unit after which a family can be referred to; None for a table outside the schema."""
        if family in self._plan.small:
            return f"small tables {self._plan.small[family]}"
        if family in self._plan.partitioning.keyed:
            return f"key {family}"
        return f"keys {family}" if family in self._plan.large else None

    def _finishing(self) -> Iterator["_Job"]:
        """Make what hangs on whole tables, and put sequences where they stand."""
        blueprint = self._plan.blueprint
        for items in _parts(blueprint.late, 1):
            yield len(items), self._late(items)
        for statements in _parts([*blueprint.attached, *blueprint.comments], 1):
            yield len(statements), self._attached(statements)
        for sequences in _parts(blueprint.sequences, 2):
            yield 2 * len(sequences), self._positions(sequences)

    def _statistics(self, after: str) -> Iterator[CloneUnit]:
        loads = [stored for stored in self._plan.blueprint.loads if stored.pages]
        single = [[stored] for stored in loads if stored.family not in self._plan.small]
        small = [stored for stored in loads if stored.family in self._plan.small]
        at_once = min(_ANALYZE_TABLES, -(-len(small) // self._parallelism)) or 1
        many = [small[first : first + at_once] for first in range(0, len(small), at_once)]
        for number, tables in enumerate([*single, *many]):
            work = self._know([stored.name for stored in tables])
            size = sum(stored.bytes for stored in tables)
            yield CloneUnit(f"statistics {number}", "statistics", work, size, after=frozenset({after}))

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

    def _statements(self, statements: list[str], *families: str) -> Work:
        async def work(connection: Connection) -> int:
            await self._target.make(connection, statements, families)
            return 0

        return work

    def _attached(self, statements: list[str]) -> Work:
        async def work(connection: Connection) -> int:
            await self._target.attach(connection, statements)
            return 0

        return work

    def _references(self, items: list[ConstraintDefinition]) -> Work:
        async def work(connection: Connection) -> int:
            await self._target.refer(connection, items)
            return 0

        return work

    def _validation(self, items: list[ConstraintDefinition]) -> Work:
        async def work(connection: Connection) -> int:
            await self._target.validate(connection, items)
            return 0

        return work

    def _rows(self, piece: PageRange) -> Work:
        return lambda connection: self._target.copy(connection, [piece])

    def _index(self, index: IndexDefinition) -> Work:
        async def work(connection: Connection) -> int:
            # While there is other work, the connections keep the cores busy and a build's own helper would only be in
            # the way. When this is the last that can begin, another connection is idle or soon will be.
            helped = self._parallelism > 1 and not self._schedule.others_ready
            await connection.execute(_SQL["index_settings"], str(int(helped)))
            await self._target.make(connection, [index.statement], [index.family])
            return 0

        return work

    def _late(self, items: list[Definition]) -> Work:
        async def work(connection: Connection) -> int:
            await self._target.finish(connection, items)
            return 0

        return work

    def _positions(self, sequences: list[str]) -> Work:
        async def work(connection: Connection) -> int:
            await self._target.copy_positions(connection, sequences)
            return 0

        return work

    def _rights(self) -> Work:
        async def work(connection: Connection) -> int:
            await self._target.apply_rights(connection)
            return 0

        return work

    def _know(self, tables: list[str]) -> Work:
        async def work(connection: Connection) -> int:
            await self._target.know(connection, tables)
            return 0

        return work


_Job = tuple[int, Work]
"""Locks that it takes, and what it does."""


def _parts(items: Sequence[_Item], locks: int) -> list[list[_Item]]:
    """Cut a list so that each part, with so many locks for an item, fits one transaction."""
    size = _UNIT_LOCKS // locks
    return [[*items[first : first + size]] for first in range(0, len(items), size)]


def _chained(name: str, jobs: Iterable[_Job], after: Iterable[str]) -> Iterator[CloneUnit]:
    """Return units that come one after another, each with as many jobs as one transaction has locks for."""
    groups: list[list[Work]] = [[]]
    taken = 0
    for locks, job in jobs:
        if taken + locks > _UNIT_LOCKS and groups[-1]:
            groups.append([])
            taken = 0
        groups[-1].append(job)
        taken += locks
    waiting = frozenset(after)
    for number, group in enumerate(groups):
        unit = CloneUnit(f"{name} {number}", name, _all(group), after=waiting)
        waiting = frozenset({unit.name})
        yield unit


def _all(jobs: list[Work]) -> Work:
    async def work(connection: Connection) -> int:
        return sum([await job(connection) for job in jobs])

    return work
