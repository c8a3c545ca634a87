"""Definitions that may run code that somebody has made: the tables are that role's meanwhile which can do nothing.

See `adapters/postgres/contained.py`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.contained import let_in
from adapters.postgres.statements import load
from adapters.schema.ddl import NotMadeError

_SQL = load(__name__)


@asynccontextmanager
async def lend(
    connection: Connection, schema: str, tables: Sequence[str], *, letting_in: bool = False
) -> AsyncIterator[None]:
    """Let the role that can do nothing be the owner of some tables or materialised views of a copy meanwhile.

    The server runs code in indexes, in views that are refreshed and in statistics as their owner. What fails inside
    takes the caller's transaction back.

    Args:
        connection: In a transaction.
        schema: The copy's.
        tables: Their names; those that are not this service's stay whose they are.
        letting_in: Let that code look at everything in the copy, and write there.
    """
    if not tables:
        yield
        return
    lent = await connection.fetchval(_SQL["lend"], schema, tables)
    taking_back = await let_in(connection, schema, writes=True) if letting_in else ""
    yield
    if taking_back:
        await connection.execute(taking_back)
    await connection.execute(_SQL["give_back"], schema, lent)


async def lending(
    connection: Connection, schema: str, tables: Sequence[str], work: Callable[[], Awaitable[object]]
) -> None:
    """Do something while tables of a copy are lent; once more, when its code cannot do without a look at the copy.

    Raises:
        asyncpg.SyntaxOrAccessError, NotMadeError: That code wants more.
    """
    if tables:
        try:
            async with connection.transaction(), lend(connection, schema, tables):
                await work()
        except (asyncpg.SyntaxOrAccessError, NotMadeError) as error:
            refused = error.refusal.error if isinstance(error, NotMadeError) else error
            if not isinstance(refused, asyncpg.SyntaxOrAccessError):
                raise
        else:
            return
    async with lend(connection, schema, tables, letting_in=True):
        await work()
