"""The write fence on an environment's schema, with bounded waits: no writer queues for long behind this service."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import asyncpg

from adapters.catalog import inspect_schema
from adapters.docket import one
from adapters.postgres import Connection, Pool, transaction
from adapters.statements import load
from domain.errors import CannotBeCarried, EnvironmentBusy

LOCK_TIMEOUT = timedelta(milliseconds=150)
# One lock after another may each take the lock timeout; this bounds them together, and so how long writers are held.
HOLD_TIMEOUT = timedelta(milliseconds=600)
# Making a fence takes about an eighth of a millisecond; with thousands of tables that is what writers wait for.
FENCE_TIMEOUT_PER_TABLE = timedelta(milliseconds=5)
# Beside writers, or where the application may not write anyway, there is no hurry. Longer than deadlock_timeout (1 s),
# after which the server ends an automatic vacuum that is in our way.
PATIENT_TIMEOUT = timedelta(seconds=3)
PATIENT_STATEMENT_TIMEOUT = timedelta(seconds=20)
# A worker that is stopped between two statements while it holds writers is cut off by the server.
IDLE_TIMEOUT = timedelta(seconds=3)
_DROP_ROUNDS = 3
_DROP_PAUSE_SECONDS = 0.2

_SQL = load("gate")


async def freeze_schema(connection: Connection, schema_name: str) -> asyncpg.Record:
    """Flag a schema's administrations and fence its tables; its writers are held from here until the commit.

    Returns:
        `administrations` (the ids of those that were writable), `administration_count`, `table_count`.

    Raises:
        EnvironmentBusy: A lock was not to be had in time. The transaction is lost; another attempt may succeed.
    """
    with busy_when_late():
        await _bound(connection, PATIENT_TIMEOUT, PATIENT_STATEMENT_TIMEOUT)
        tables = await connection.fetchval(_SQL["lock_tables"], schema_name, "vacuum")
        await _bound(connection, LOCK_TIMEOUT, HOLD_TIMEOUT)
        await connection.fetchval(_SQL["lock_tables"], schema_name, "writers")
        await _bound(connection, LOCK_TIMEOUT, HOLD_TIMEOUT + tables * FENCE_TIMEOUT_PER_TABLE)
        return await one(connection, _SQL["freeze_schema"], schema_name)


@asynccontextmanager
async def patiently(connection: Connection) -> AsyncIterator[None]:
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


async def refuse_obstacles(connection: Connection, schema_name: str) -> None:
    """Make sure that everything in a schema can be carried exactly.

    Raises:
        CannotBeCarried: Something cannot; the message lists what and why.
    """
    obstacles = await inspect_schema(connection, schema_name)
    if obstacles:
        lines = "\n".join(f"- {obstacle.what}: {obstacle.why}" for obstacle in obstacles)
        raise CannotBeCarried(
            f"{CannotBeCarried.default_english()}\n{lines}", dutch=f"{CannotBeCarried.dutch}\n{lines}"
        )


async def sweep(pool: Pool, schema_name: str) -> int:
    """Drop the fences of a schema that are lifted; return how many were left because somebody reads on and on.

    A lifted fence does nothing. Dropping it needs the table to itself for a moment, so each is its own short
    transaction, and one that cannot be had is left: the next freeze uses it again.
    """
    for attempt in range(_DROP_ROUNDS):
        if attempt:
            await asyncio.sleep(_DROP_PAUSE_SECONDS)
        async with transaction(pool) as connection:
            drops = [row[0] for row in await connection.fetch(_SQL["fence_drops"], schema_name)]
        left = 0
        for drop in drops:
            left += not await _dropped(pool, drop)
        if not left:
            return 0
    return left


async def _dropped(pool: Pool, drop: str) -> bool:
    try:
        async with transaction(pool) as connection:
            with busy_when_late():
                await _bound(connection, LOCK_TIMEOUT, HOLD_TIMEOUT)
                await connection.execute(drop)
    except EnvironmentBusy:
        return False
    return True


def _milliseconds(duration: timedelta) -> str:
    """Return a duration as PostgreSQL's settings take it."""
    return f"{duration // timedelta(milliseconds=1)}ms"
