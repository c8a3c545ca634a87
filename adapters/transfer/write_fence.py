"""The write fence on an environment's schema, with bounded waits: no writer queues for long behind this service."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import one
from domain.errors import EnvironmentBusy


@dataclass(frozen=True, slots=True)
class Patience:
    """How long writers may be held for the locks of a freeze: for one of them, and for all together."""

    lock: timedelta
    hold: timedelta


# A freeze that people do not notice comes first. It can starve: transactions of half a second each that overlap without
# end never leave it a moment. So a longer one follows. Both stay below deadlock_timeout (1 s): when a writer and the
# freeze wait for each other it is always the freeze that gives in.
_SOON = Patience(lock=timedelta(milliseconds=150), hold=timedelta(milliseconds=600))
_SURE = Patience(lock=timedelta(milliseconds=600), hold=timedelta(milliseconds=800))
PATIENCE = (_SOON, _SOON, _SURE, _SURE)
# In between, whoever queued behind the freeze goes first.
PAUSE_BETWEEN_TRIES = timedelta(milliseconds=200)
# Making a fence takes about an eighth of a millisecond; with thousands of tables that is what writers wait for.
FENCE_TIMEOUT_PER_TABLE = timedelta(milliseconds=5)
# Beside writers, or where the application may not write anyway, there is no hurry. Longer than deadlock_timeout (1 s),
# after which the server ends an automatic vacuum that is in our way.
PATIENT_TIMEOUT = timedelta(seconds=3)
PATIENT_STATEMENT_TIMEOUT = timedelta(seconds=20)
# A worker that is stopped between two statements while it holds writers is cut off by the server.
IDLE_TIMEOUT = timedelta(seconds=3)
_NUMBERS_PAUSE_SECONDS = 0.02
_DROP_ROUNDS = 3
_DROP_PAUSE_SECONDS = 0.2

_SQL = load("adapters.transfer.freeze_release")


@dataclass(frozen=True, slots=True)
class Raised:
    """What a freeze changed in a schema: the ids of the administrations that were writable, and how many there are."""

    administrations: list[str]
    administration_count: int
    table_count: int


class TableBusy(EnvironmentBusy):
    """A table is being written at this moment, so the environment could not be frozen. It is tried again by itself."""

    def __init__(self, english: str | None = None, *, dutch: str | None = None, table: int = 0) -> None:
        super().__init__(english, dutch=dutch)
        self.table = table


async def freeze_schema(
    connection: Connection, schema_name: str, patience: Patience, first_of_all: Sequence[int]
) -> Raised:
    """Flag a schema's administrations and fence its tables; its writers are held from here until the commit.

    Args:
        connection: In a transaction.
        schema_name: The environment's schema.
        patience: How long writers may be held.
        first_of_all: Tables, by oid, that were in the way before.

    Raises:
        TableBusy: (an EnvironmentBusy) Somebody keeps this table.
        EnvironmentBusy: A lock was not to be had in time. The transaction is lost; another attempt may succeed.
    """
    with busy_when_late():
        await _bound(connection, PATIENT_TIMEOUT, PATIENT_STATEMENT_TIMEOUT)
        tables = await connection.fetchval(_SQL["lock_tables"], schema_name, "vacuum")
        held_since = time.monotonic()

        async def bound(extra: timedelta = timedelta()) -> None:
            left = patience.hold - timedelta(seconds=time.monotonic() - held_since) + extra
            await _bound(connection, patience.lock, max(left, timedelta(milliseconds=1)))

        await bound()
        flagged = await one(connection, _SQL["flag_administrations"], schema_name)
        await bound()
        kept = await connection.fetchval(_SQL["hold_writers"], schema_name, list(first_of_all))
        if kept is not None:
            raise TableBusy(table=kept)
        await bound(tables * FENCE_TIMEOUT_PER_TABLE)
        # An administration that was being added has been committed by now, and nobody can add another.
        late = await one(connection, _SQL["flag_administrations"], schema_name)
        fenced = await connection.fetchval(_SQL["raise_fence"], schema_name, "transferred")
    return Raised(sorted({*flagged[0], *late[0]}), late["administration_count"], fenced)


async def wait_for_drawn_numbers(pool: Pool, schema_name: str) -> None:
    """Wait until every transaction has ended that drew a number before the right to draw was taken.

    A prepared statement in such a transaction never looks at its rights again, and nextval() is no statement that a
    trigger sees. It is waited for after the commit of the freeze, when it finds the fence if it writes: before, it
    could hold its number and wait for us while we wait for its number.

    Raises:
        EnvironmentBusy: It goes on and on. Another attempt may succeed.
    """
    deadline = time.monotonic() + PATIENT_TIMEOUT.total_seconds()
    before = await _number_holders(pool, schema_name)
    while before:
        await asyncio.sleep(_NUMBERS_PAUSE_SECONDS)
        before &= await _number_holders(pool, schema_name)
        if before and time.monotonic() > deadline:
            raise EnvironmentBusy


async def settle_sequences(connection: Connection, schema_name: str) -> None:
    """Let no crash of the server move on a sequence from which nobody draws any more: it would differ from its hash."""
    await connection.execute(_SQL["settle_sequences"], schema_name)


async def _number_holders(pool: Pool, schema_name: str) -> set[str]:
    async with transaction(pool) as connection:
        return set(await connection.fetchval(_SQL["number_holders"], schema_name))


@asynccontextmanager
async def bounded_waits(connection: Connection) -> AsyncIterator[None]:
    """Bound every wait of a block that works where the application may not write.

    Raises:
        EnvironmentBusy: A lock was not to be had in time. The transaction is lost; another attempt may succeed.
    """
    with busy_when_late():
        await _bound(connection, PATIENT_TIMEOUT, PATIENT_STATEMENT_TIMEOUT)
        yield


@contextmanager
def busy_when_late() -> Iterator[None]:
    """Turn a bounded wait that ran out into `EnvironmentBusy`."""
    try:
        yield
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.DeadlockDetectedError) as error:
        raise EnvironmentBusy from error


async def _bound(connection: Connection, lock: timedelta, statement: timedelta) -> None:
    await connection.execute(
        _SQL["bound_waits"], _milliseconds(lock), _milliseconds(statement), _milliseconds(IDLE_TIMEOUT)
    )


async def sweep(pool: Pool, schema_name: str) -> int:
    """Drop the fences of a schema that are lifted; return how many were left because somebody reads on and on.

    A lifted fence does nothing. Dropping it needs the table to itself for a moment, so each is its own short
    transaction, and one that cannot be had is left: the next freeze uses it again. One that the next freeze has
    already raised again is left as well.
    """
    for attempt in range(_DROP_ROUNDS):
        if attempt:
            await asyncio.sleep(_DROP_PAUSE_SECONDS)
        async with transaction(pool) as connection:
            lifted = [row[0] for row in await connection.fetch(_SQL["lifted_fences"], schema_name)]
        left = 0
        for table in lifted:
            left += not await _dropped(pool, table)
        if not left:
            return 0
    return left


async def _dropped(pool: Pool, table: int) -> bool:
    try:
        async with transaction(pool) as connection:
            with busy_when_late():
                await _bound(connection, _SOON.lock, _SOON.hold)
                await connection.fetchval(_SQL["drop_lifted_fence"], table)
    except EnvironmentBusy:
        return False
    return True


def _milliseconds(duration: timedelta) -> str:
    """Return a duration as PostgreSQL's settings take it."""
    return f"{duration // timedelta(milliseconds=1)}ms"
