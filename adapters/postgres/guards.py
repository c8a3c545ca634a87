"""Whether definitions are guarded, by event triggers that only a superuser can make: `superuser.sql`."""

import asyncio
from importlib.resources import files

from adapters.postgres.connection import Connection, transaction
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from domain.errors import Unavailable
from domain.vocabulary import HOME

SUPERUSER_SQL = files("adapters.postgres").joinpath("superuser.sql")
"""What a superuser runs, once in each database."""
_SQL = load(__name__)
_PATIENCE_SECONDS = 5.0


async def is_guarded(connection: Connection) -> bool:
    """Tell whether definitions in this database are fenced as rows are."""
    return not await connection.fetch(_SQL["unguarded"])


async def unguarded_definitions(shards: Shards) -> str:
    """Return in which databases nobody guards definitions, and what to run; nothing when every one is guarded."""
    cells = (HOME, *sorted(shards.others))
    answers = await asyncio.gather(*(_seen_unguarded(shards, cell) for cell in cells))
    if not any(answers):
        return ""
    names = ", ".join(cell for cell, unguarded in zip(cells, answers, strict=True) if unguarded)
    return (
        f"In the database of {names} the event triggers are missing that keep the definitions of frozen environments "
        "(CREATE, ALTER, DROP, GRANT) as they are. Have a superuser make them, once in each such database: "
        f"psql --dbname=… --username=postgres --file={SUPERUSER_SQL}"
    )


async def _seen_unguarded(shards: Shards, cell: str) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS), transaction(shards.pool(cell)) as connection:
            return not await is_guarded(connection)
    except (Unavailable, TimeoutError):
        return False
