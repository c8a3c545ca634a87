"""Whether a process can do its work: what it stands on, asked within bounds."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import asyncpg
from temporalio.service import RPCError

from adapters.postgres.connection import Pool, translated_errors
from adapters.postgres.migrations import migrations_of
from domain.errors import TransferError
from domain.messages import Message

OK = "ok"
PATIENCE_SECONDS = 5.0
_SILENT = "does not answer"
_Answer = TypeVar("_Answer")


class Readiness(Message):
    """What the service stands on; `ready` when all of it is there."""

    ready: bool
    database: str
    migrations: str
    temporal: str


async def readiness(pool: Pool, temporal: Awaitable[str]) -> Readiness:
    """Ask the database for its newest migration, and await what is to be said of Temporal: `OK`, or what is wrong."""
    applied, heard = await asyncio.gather(_within_patience(_applied(pool)), _within_patience(temporal))
    wanted = max(migration.number for migration in migrations_of("control"))
    migrated = applied is not None and applied >= wanted
    return Readiness(
        ready=migrated and heard == OK,
        database=_SILENT if applied is None else OK,
        migrations=OK if migrated else f"{wanted} is needed; run `sb-transfer setup`",
        temporal=heard or _SILENT,
    )


async def _applied(pool: Pool) -> int:
    try:
        with translated_errors():
            return int(await pool.fetchval("select coalesce(max(number), 0) from control.migration"))
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return 0  # it was never set up


async def _within_patience(answer: Awaitable[_Answer]) -> _Answer | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await answer
    except (TransferError, RPCError, TimeoutError):
        return None
