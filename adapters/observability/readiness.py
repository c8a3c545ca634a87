"""Whether a process can do its work: what it stands on, asked within bounds."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import asyncpg
from temporalio.service import RPCError

from adapters.postgres.connection import Pool, translated_errors
from adapters.postgres.migrations import migrations_of
from adapters.postgres.payload_keys import ring_problem
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
    payload_keys: str


async def readiness(pool: Pool, temporal: Awaitable[str], key_ids: Sequence[str]) -> Readiness:
    """Ask the database for its newest migration and the ring of payload keys, and await what is to be said of Temporal.

    Args:
        pool: Of the home database.
        temporal: `OK`, or what is wrong.
        key_ids: The names of this process's payload keys, newest first.
    """
    applied, heard, problem = await asyncio.gather(
        _within_patience(_applied(pool)), _within_patience(temporal), _within_patience(ring_problem(pool, key_ids))
    )
    wanted = max(migration.number for migration in migrations_of("control"))
    migrated = applied is not None and applied >= wanted
    return Readiness(
        ready=migrated and heard == OK and problem == "",
        database=_SILENT if applied is None else OK,
        migrations=OK if migrated else f"{wanted} is needed; run `sb-transfer setup`",
        temporal=heard or _SILENT,
        payload_keys=_SILENT if problem is None else problem or OK,
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
