"""What units of work run in the target: definitions, rows, indexes, views with their rows, owners, statistics."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import asyncpg

from adapters.clone.attempt import CloneAttempt
from adapters.clone.copy_stream import carry_ranges, carry_to_staging
from adapters.clone.plan import ClonePlan, PageRange
from adapters.postgres.connection import Connection
from adapters.postgres.contained import as_contained
from adapters.postgres.statements import load
from adapters.schema import catalog, ddl
from adapters.schema.blueprint import ConstraintDefinition, StoredTable
from adapters.schema.lending import lend, lending
from adapters.schema.ordering import Definition
from adapters.schema.rights import apply_owners_and_rights
from domain.errors import TransferError

_SQL = load("adapters.clone.clone")
_STATISTICS_CARRIED = 18  # the PostgreSQL since which they can be
# The server is going down, or somebody has cut the connection: that is not the definition's fault.
_INTERVENED = "57"


class NotCarried(TransferError):
    """Something in the environment could not be made again. The transfer is undone; the message names it."""


class TargetWriter:
    """Writes into the target schema, in transactions of its caller that have entered its definitions."""

    def __init__(self, attempt: CloneAttempt, plan: ClonePlan) -> None:
        """Take the attempt and what it has to make."""
        self._attempt = attempt
        self._blueprint = plan.blueprint
        code = plan.blueprint.code
        self._with_code = frozenset(table for family in code.families for table in code.tables[family])
        self._replica = plan.partitioning.replica
        self._files = plan.partitioning.filenodes

    async def create_schema(self, connection: Connection) -> None:
        """Make the empty target, with the source's comment."""
        target = self._attempt.target
        await connection.execute(await connection.fetchval(_SQL["create_schema"], target))
        async with self._attempt.reading(connection) as there:
            comment = await catalog.schema_comment(there, self._attempt.source)
        if comment is not None:
            await connection.execute(await connection.fetchval(_SQL["comment_schema"], target, comment))

    async def make(self, connection: Connection, statements: Sequence[str], families: Iterable[str] = ()) -> None:
        """Run definitions; `families` are those whose rows, or planner, they may look at.

        Raises:
            NotCarried: The server refuses one.
        """
        lent = self._blueprint.code.of(*families)
        await self._made(connection, [*map(as_contained, statements)] if lent else statements, lent)

    async def attach(self, connection: Connection, statements: Sequence[str]) -> None:
        """Run definitions that hang on tables and views, indexes of materialised views among them.

        Raises:
            NotCarried: The server refuses one.
        """
        await self._made(connection, statements, self._blueprint.code.views)

    async def _made(self, connection: Connection, statements: Sequence[str], lent: Sequence[str]) -> None:
        async def work() -> None:
            await ddl.make(connection, statements)

        if not statements:
            return
        try:
            await lending(connection, self._attempt.target, lent, work)
        except ddl.NotMadeError as error:
            raise NotCarried(f"{error}. The transfer is undone; ask support.") from error

    async def refer(self, connection: Connection, items: Sequence[ConstraintDefinition]) -> None:
        """Declare foreign keys of tables that have no rows yet.

        Raises:
            NotCarried: The server refuses one.
        """
        for item in items:
            careful = item.validation is not None and self._blueprint.code.around(item)
            await self.make(connection, [f"{item.statement} not valid" if careful else item.statement])
            if careful:
                await self.validate(connection, [item])

    async def validate(self, connection: Connection, items: Sequence[ConstraintDefinition]) -> None:
        """Hold rows against constraints that were declared without a look at them, or that need one to be declared."""

        async def work() -> int:
            for item in items:
                lent = self._blueprint.code.around(item)
                statement = item.validation or item.statement
                hold = partial(connection.execute, as_contained(statement) if lent else statement)
                await lending(connection, self._attempt.target, lent, hold)
            return 0

        if items:
            await self._as_rows_were_written(connection, work)

    async def copy(self, connection: Connection, pieces: Iterable[PageRange]) -> int:
        """Copy ranges of pages and return how many rows they held."""
        chosen = [piece for piece in pieces if piece.end > piece.start]
        if not chosen:
            return 0
        return await self._as_rows_were_written(connection, lambda: self._copied(connection, chosen))

    async def _copied(self, connection: Connection, pieces: list[PageRange]) -> int:
        run = self._attempt
        files = [self._files[piece.load.table] for piece in pieces]
        if run.across:
            if self._replica:
                await connection.execute(_SQL["past_triggers"], "replica")
            async with run.reading(connection) as there:
                rows = await carry_ranges(
                    there, connection, pieces, (run.source, run.target), files, run_code=self._blueprint.code.families
                )
            if self._replica:
                await connection.execute(_SQL["past_triggers"], "origin")
            return rows
        copied: int = await connection.fetchval(
            _SQL["copy_ranges"],
            run.source,
            run.target,
            self._replica,
            [piece.load.name for piece in pieces],
            [piece.load.target for piece in pieces],
            files,
            [piece.load.columns for piece in pieces],
            [piece.load.expressions for piece in pieces],
            [piece.start for piece in pieces],
            [piece.end for piece in pieces],
            [piece.load.family in self._blueprint.code.families for piece in pieces],
        )
        return copied

    async def _as_rows_were_written(self, connection: Connection, work: Callable[[], Awaitable[int]]) -> int:
        """Let functions find the schema's names, and try again in other time zones what breaks a rule in this one.

        A rule may hang on the time zone of the session that wrote a row (`at::date = day`), which nothing tells.
        """
        await catalog.enter_rows(connection, self._attempt.target)
        try:
            async with connection.transaction():
                done = await work()
        except asyncpg.CheckViolationError:
            done = await self._in_another_zone(connection, work)
        await catalog.enter_definitions(connection)
        return done

    async def _in_another_zone(self, connection: Connection, work: Callable[[], Awaitable[int]]) -> int:
        await catalog.enter_definitions(connection)
        zones = await catalog.time_zones(connection)
        await catalog.enter_rows(connection, self._attempt.target)
        for zone in zones:
            last = zone == zones[-1]
            try:
                async with connection.transaction():
                    await connection.execute(_SQL["time_zone"], zone)
                    return await work()
            except asyncpg.CheckViolationError:
                if last:
                    raise
        raise AssertionError("this session has a time zone")

    async def finish(self, connection: Connection, items: Iterable[Definition]) -> None:
        """Make what comes when rows, keys and constraints are there; materialised views with the source's rows."""
        waiting: list[str] = []
        for item in items:
            view = self._blueprint.filled.get(item.key)
            if view is None:
                waiting += item.statements
            else:
                create, refresh = item.statements
                await self.make(connection, [*waiting, create])
                waiting = []
                async with lend(connection, self._attempt.target, [view.name], letting_in=True):
                    await catalog.enter_rows(connection, self._attempt.target)
                    await self.make(connection, [refresh])
                    await catalog.enter_definitions(connection)
                    await self._replace_rows(connection, view)
        await self.make(connection, waiting)

    async def _replace_rows(self, connection: Connection, view: StoredTable) -> None:
        """Give a materialised view the rows that the source's holds, which its query may never return again."""
        run = self._attempt
        into = run.target, view.name, view.columns
        if not run.across:
            await connection.execute(_SQL["show_rows"], run.source, view.name, view.columns, view.expressions)
            await connection.execute(_SQL["write_view_rows"], *into, "select * from pg_temp.sb_rows")
            await connection.execute(_SQL["drop_rows"])
        else:
            async with run.reading(connection) as there, there.transaction():
                await catalog.enter_definitions(there)
                query = await there.fetchval(_SQL["view_query"], run.source, view.name, view.columns)
                staged = await carry_to_staging(there, connection, query, (run.source, run.target), view)
            await connection.execute(_SQL["write_view_rows"], *into, staged)
            await connection.execute(_SQL["drop_staging"])

    async def copy_positions(self, connection: Connection, sequences: list[str]) -> None:
        """Put sequences where the source's stand."""
        run = self._attempt
        async with run.reading(connection) as there:
            await catalog.copy_sequence_positions(there, run.source, connection, run.target, sequences)

    async def apply_rights(self, connection: Connection) -> None:
        """Give everything its owner, and everybody his rights."""
        blueprint = self._blueprint
        await catalog.enter_schema(connection, self._attempt.target)
        await self.make(connection, blueprint.definers)
        await apply_owners_and_rights(connection, self._attempt.target, blueprint.owners, blueprint.rights)
        await self.make(connection, blueprint.default_privileges)

    async def know(self, connection: Connection, tables: list[str]) -> None:
        """Let the planner know tables: by what it knows of the source's, or by a look at the rows.

        What fails here is gathered by the server itself in time, and no reason to lose a clone that is whole.
        """
        known: set[str] = set()
        if connection.get_server_version().major >= _STATISTICS_CARRIED and not self._attempt.across:
            async with _forgiven(connection):
                # A value of a domain's is held against its rules when it is told to the planner.
                told = [table for table in tables if table not in self._with_code]
                rows = await connection.fetch(_SQL["copy_statistics"], self._attempt.source, self._attempt.target, told)
                known = {row["name"] for row in rows}
        unknown = [table for table in tables if table not in known]
        if unknown and not await self._analyzed(connection, unknown):
            for table in unknown:
                await self._analyzed(connection, [table])

    async def _analyzed(self, connection: Connection, tables: list[str]) -> bool:
        statement = await connection.fetchval(_SQL["analyze"], self._attempt.target, tables)
        own = [table for table in tables if table in self._with_code]
        async with _forgiven(connection), lend(connection, self._attempt.target, own):
            await catalog.enter_rows(connection, self._attempt.target)
            await connection.execute(statement)
            await catalog.enter_definitions(connection)
            return True
        return False


@asynccontextmanager
async def _forgiven(connection: Connection) -> AsyncIterator[None]:
    """Undo what a block did when the server refuses it, and go on."""
    try:
        async with connection.transaction():
            yield
    except asyncpg.PostgresError as error:
        if connection.is_closed() or (error.sqlstate or "").startswith(_INTERVENED):
            raise
