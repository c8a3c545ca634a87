"""The database that an address names, opened for a program and closed after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from pydantic import SecretStr

from adapters.postgres.connection import Pool, connect_pool, translated_errors
from domain.errors import Unavailable


@asynccontextmanager
async def database(url: SecretStr, *, connections: int = 4, keeps_no_state: bool = False) -> AsyncIterator[Pool]:
    """Open a pool of at most so many connections, and close it; see `adapters.postgres.connection.connect_pool`.

    Raises:
        Unavailable: The database does not answer; the message says where, without the password.
    """
    pool = await connect_pool(
        url.get_secret_value(),
        max_size=connections,
        application_name="sb-transfer client",
        keeps_no_state=keeps_no_state,
    )
    try:
        await _prove(pool, url)
        yield pool
    finally:
        await pool.close()


async def _prove(pool: Pool, url: SecretStr) -> None:
    """Make sure that the database is there: a pool alone connects to nothing."""
    try:
        with translated_errors():
            await pool.fetchval("select 1")
    except Unavailable as error:
        parts = urlsplit(url.get_secret_value())
        raise Unavailable(
            f"The database does not answer at {parts.hostname or 'localhost'}:{parts.port or 5432}. "
            "Start it, or correct SB_TRANSFER_DATABASE_URL."
        ) from error
