"""Writers that write without a pause, as the bookkeeping application and in every way it can, and keep the score.

Each writer has a connection of its own, and with it a server process of its own: what they race for is decided between
those processes, so the writers themselves may share one event loop. A test and a benchmark play with the same ones.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from adapters.postgres.connection import Connection, Pool

# A refused application shows its sentence and tries again later; this one is impatient.
_PAUSE_WHEN_REFUSED_SECONDS = 0.01
REFUSED = asyncpg.ReadOnlySQLTransactionError


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to write: when it began and ended (`time.perf_counter`), and whether it was refused."""

    begun: float
    ended: float
    refused: bool


@dataclass(slots=True)
class Writer:
    """One writer's score."""

    number: int
    kind: str
    schema: str
    acknowledged: list[int] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    numbers_refused: int = 0
    conflicts: int = 0
    _next: int = 0

    def claim(self, count: int = 1) -> list[int]:
        """Return numbers that this writer has never tried to write before."""
        numbers = list(range(self._next, self._next + count))
        self._next += count
        return numbers

    def rows(self, numbers: list[int]) -> list[tuple[int, int]]:
        return [(self.number, number) for number in numbers]


Write = Callable[[Connection, Writer], Awaitable[list[int]]]


async def create_tables(connection: Connection, schema: str) -> None:
    """Add the tables, the sequence and the functions that the writers use, and let the application at them."""
    await connection.execute("select set_config('search_path', $1 || ', pg_catalog', false)", schema)
    await connection.execute(
        "create table tally (writer integer, number integer, primary key (writer, number)); "
        "create table parted (writer integer, number integer) partition by list (writer); "
        "create table parted_rest partition of parted default; "
        "create table parent (writer integer, number integer, primary key (writer, number)); "
        "create table child (writer integer, number integer, "
        "foreign key (writer, number) references parent on update cascade on delete cascade); "
        "create table scratch (number integer); "
        "create sequence drawn; "
        "create function write_one(writer integer, number integer) returns void language sql "
        "as $$ insert into tally values (writer, number) $$; "
        "grant select, insert, update, delete, truncate "
        "on tally, parted, parted_rest, parent, child, scratch to sb_app; "
        "grant select, update on administration to sb_app; "
        "grant usage, select on sequence drawn to sb_app; reset search_path"
    )


async def _autocommit(app: Connection, writer: Writer) -> list[int]:
    numbers = writer.claim()
    await app.execute("insert into tally values ($1, $2)", *writer.rows(numbers)[0])
    return numbers


def _transaction(isolation: str, pause_seconds: float) -> Write:
    async def write(app: Connection, writer: Writer) -> list[int]:
        numbers = writer.claim(3)
        async with app.transaction(isolation=isolation):  # type: ignore[arg-type] # any of the literals
            await app.fetchval("select count(*) from scratch")
            for row in writer.rows(numbers):
                await app.execute("insert into tally values ($1, $2)", *row)
                await asyncio.sleep(pause_seconds)
        return numbers

    return write


async def _copy(app: Connection, writer: Writer) -> list[int]:
    numbers = writer.claim(20)
    await app.copy_records_to_table("tally", records=writer.rows(numbers))
    return numbers


async def _two_phases(app: Connection, writer: Writer) -> list[int]:
    numbers = writer.claim()
    gid = f"{writer.schema} {writer.number} {numbers[0]}"
    await app.execute("begin")
    try:
        await app.execute("insert into tally values ($1, $2)", *writer.rows(numbers)[0])
    except REFUSED:
        await app.execute("rollback")
        raise
    await app.execute(f"prepare transaction '{gid}'")
    await app.execute(f"commit prepared '{gid}'")
    return numbers


async def _function(app: Connection, writer: Writer) -> list[int]:
    numbers = writer.claim()
    async with app.transaction():
        await app.execute("select write_one($1, $2)", *writer.rows(numbers)[0])
    return numbers


async def _partition(app: Connection, writer: Writer) -> list[int]:
    numbers = writer.claim(2)
    first, second = writer.rows(numbers)
    async with app.transaction():
        await app.execute("insert into parted_rest values ($1, $2)", *first)
        await app.execute("insert into parted values ($1, $2)", *second)
    return numbers


async def _cascade(app: Connection, writer: Writer) -> list[int]:
    """A row in the child whose key comes from an update of the parent; last, the parent goes and takes it along."""
    numbers = writer.claim(2)
    first, second = writer.rows(numbers)
    async with app.transaction():
        await app.execute("insert into parent values ($1, $2)", first[0], -1 - first[1])
        await app.execute("insert into child values ($1, $2)", first[0], -1 - first[1])
        await app.execute("update parent set number = $2 where writer = $1 and number = $3", *first, -1 - first[1])
        await app.execute("delete from parent where writer = $1 and number < $2", *first)
        await app.execute("insert into tally values ($1, $2)", *second)
    return numbers[1:]  # the next one's delete takes the first along


async def _row_lock(app: Connection, writer: Writer) -> list[int]:
    numbers = writer.claim()
    async with app.transaction():
        await app.fetch("select id from administration where not read_only for share")
        await app.execute("insert into tally values ($1, $2)", *writer.rows(numbers)[0])
    return numbers


async def _drawn_number(app: Connection, writer: Writer) -> list[int]:
    """Draw a number first and write it after, as an application does that shows the number before it saves."""
    numbers = writer.claim()
    async with app.transaction():
        await app.fetchval("select nextval('drawn')")
        await app.execute("insert into tally values ($1, $2)", *writer.rows(numbers)[0])
    return numbers


async def _truncate(app: Connection, writer: Writer) -> list[int]:
    numbers = writer.claim()
    async with app.transaction():
        await app.execute("truncate scratch")
        await app.execute("insert into scratch select generate_series(1, 3)")
        await app.execute("lock table tally in row exclusive mode")
        await app.execute("insert into tally values ($1, $2)", *writer.rows(numbers)[0])
    await asyncio.sleep(0.02)  # everybody waits for a truncation
    return numbers


KINDS: dict[str, Write] = {
    "autocommit": _autocommit,
    "autocommit again": _autocommit,
    "read committed": _transaction("read_committed", 0.004),
    "long transaction": _transaction("read_committed", 0.05),
    "repeatable read": _transaction("repeatable_read", 0.01),
    "serializable": _transaction("serializable", 0.002),
    "copy": _copy,
    "two phases": _two_phases,
    "function": _function,
    "partition": _partition,
    "cascade": _cascade,
    "row lock": _row_lock,
    "drawn number": _drawn_number,
    "truncate": _truncate,
    "replica": _autocommit,
}


@asynccontextmanager
async def running_writers(
    dsn: str, schema: str, kinds: list[str], *, replica: bool = False
) -> AsyncIterator[list[Writer]]:
    """Let one writer of each kind write until the block ends; after it each of their tries has been answered.

    Args:
        dsn: The database as `sb_app`.
        schema: Where `create_tables` has been.
        kinds: Names of `KINDS`; one may come more than once.
        replica: Whether the application may set `session_replication_role`; the kind `replica` needs it.
    """
    writers = [Writer(number, kind, schema) for number, kind in enumerate(kinds)]
    apps: list[Connection] = []
    stop = asyncio.Event()
    try:
        for kind in kinds:
            apps.append(await asyncpg.connect(dsn, server_settings={"search_path": schema}))
            if replica and kind == "replica":
                await apps[-1].execute("set session_replication_role to replica")
        running = [
            asyncio.create_task(_write_until_stopped(app, one, stop)) for app, one in zip(apps, writers, strict=True)
        ]
        try:
            yield writers
        finally:
            stop.set()
            await asyncio.gather(*running)
    finally:
        for app in apps:
            await app.close()


async def _write_until_stopped(app: Connection, writer: Writer, stop: asyncio.Event) -> None:
    write = KINDS[writer.kind]
    while not stop.is_set():
        begun = time.perf_counter()
        try:
            numbers = await write(app, writer)
        except REFUSED:
            writer.attempts.append(Attempt(begun, time.perf_counter(), refused=True))
            await asyncio.sleep(_PAUSE_WHEN_REFUSED_SECONDS)
        except asyncpg.InsufficientPrivilegeError:
            writer.numbers_refused += 1  # the right to draw a number is gone, which no trigger can put in words
            await asyncio.sleep(_PAUSE_WHEN_REFUSED_SECONDS)
        except asyncpg.SerializationError:
            writer.conflicts += 1
        else:
            writer.attempts.append(Attempt(begun, time.perf_counter(), refused=False))
            writer.acknowledged.extend(numbers)


async def contents(pool: Pool, schema: str) -> tuple[tuple[str, int, int], ...]:
    """Return for each table and sequence of a schema its name and two numbers that change with its contents."""
    union = await pool.fetchval(
        "select string_agg(case c.relkind "
        "when 'S' then format('select %L, last_value, is_called::integer::bigint from %s', c.relname, c.oid::regclass) "
        "else format('select %L, count(*), coalesce(sum(hashtextextended(t::text, 7) %% 4294967296), 0)::bigint ' || "
        "'from %s t', c.relname, c.oid::regclass) end, ' union all ' order by c.oid) "
        "from pg_class c where c.relnamespace = $1::text::regnamespace and c.relkind in ('r', 'S')",
        schema,
    )
    return tuple(tuple(row) for row in await pool.fetch(union))


async def written(pool: Pool, schema: str) -> list[tuple[int, int]]:
    """Return every row that writers wrote for good: a row that is there twice comes twice."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select set_config('search_path', $1, true)", schema)
        rows = await connection.fetch("select * from tally union all select * from parted order by 1, 2")
    return [(row[0], row[1]) for row in rows]
