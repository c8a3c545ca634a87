"""Connections to PostgreSQL, and its errors in the domain's words."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from adapters.task_group import task_group
from domain.errors import EnvironmentBusy, Unavailable

if TYPE_CHECKING:  # asyncpg's classes take a type parameter in its stubs only
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

_AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a server that hangs up between two statements
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    TimeoutError,
)
# Nothing but the server's own is found without its schema: a function of the application's that matches better would
# run as this service.
# No lock is waited for long: see `adapters.postgres.lock_waits`. Longer than deadlock_timeout (1 s), after which the
# server ends an automatic vacuum that is in our way.
# Questions about a catalog are short, and translating one into machine code takes longer than its answer.
_SETTINGS = {"search_path": "pg_catalog, pg_temp", "lock_timeout": "5s", "jit": "off"}
# Worth another try as it is: the transaction was rolled back whole.
_TRANSIENT = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
LOCKED = "Somebody keeps locked what this needs. It is tried again by itself."


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn "the server is away" and "try that transaction again" into `Unavailable`; leave every other error alone."""
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise EnvironmentBusy(LOCKED, dutch=EnvironmentBusy.dutch) from error
    except _AWAY as error:
        raise Unavailable(
            f"The database does not answer ({type(error).__name__}). It is tried again by itself."
        ) from error
    except _TRANSIENT as error:
        raise Unavailable(f"The database asks to try again ({error}). It is tried again by itself.") from error


async def connect_pool(
    dsn: str,
    *,
    min_size: int = 0,
    max_size: int = 8,
    application_name: str,
    prove: Callable[[Connection], Coroutine[Any, Any, None]] | None = None,
    keeps_no_state: bool = False,
) -> Pool:
    """Open a pool; connections beyond `min_size` are made when they are needed.

    Args:
        dsn: Where the database is.
        min_size: Connections that are opened at once and kept.
        max_size: Connections at most.
        application_name: What the server's list of sessions calls them.
        prove: Looks at each new connection.
        keeps_no_state: Whoever uses them sets nothing and leaves nothing behind, so they go back into the pool without
            a question that would clean up.

    Raises:
        Unavailable: The server cannot be reached. The message holds no password.
    """
    with translated_errors():
        return await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            server_settings={**_SETTINGS, "application_name": application_name},
            command_timeout=None,
            timeout=10,
            init=prove,
            reset=_leave_as_it_is if keeps_no_state else None,
        )


async def connect(dsn: str) -> Connection:
    """Open a connection, for a moment.

    Raises:
        Unavailable: The server cannot be reached.
    """
    with translated_errors():
        return await asyncpg.connect(dsn, timeout=10, server_settings=_SETTINGS)


async def _leave_as_it_is(_: Connection) -> None:
    """Clean nothing up."""


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Run a block in one transaction, with errors in the domain's words."""
    with translated_errors():
        async with pool.acquire() as connection, connection.transaction():
            yield connection


@asynccontextmanager
async def unless_lost(connection: Connection) -> AsyncIterator[None]:
    """Run a block that writes rows with COPY, and end it when the connection is lost.

    A COPY that waits for room to write does not hear of that, and would wait for ever (asyncpg 0.32).

    Raises:
        asyncpg.ConnectionDoesNotExistError: It was lost.
    """
    lost = asyncio.Event()

    def hear(_: object) -> None:
        lost.set()

    async def watch() -> None:
        if not connection.is_closed():
            await lost.wait()
        raise asyncpg.ConnectionDoesNotExistError("the connection was lost while rows were written")

    connection.add_termination_listener(hear)
    try:
        async with task_group() as tasks:
            watching = tasks.create_task(watch())
            yield
            watching.cancel()
    finally:
        with suppress(asyncpg.InterfaceError):  # a pool takes a lost connection back at once
            connection.remove_termination_listener(hear)


async def rows_of(
    connection: Connection, statement: str, *arguments: object, at_once: int
) -> AsyncIterator[tuple[object, ...]]:
    """Read the rows of a statement so many at a time; the caller's transaction holds them."""
    async for row in connection.cursor(statement, *arguments, prefetch=at_once):
        yield tuple(row)
