"""Locks that were not to be had in time, and who keeps them.

No connection of this service waits for a lock for long (`adapters.postgres.connection`): whoever locks a table and goes
to lunch would hold up every move behind it. What met such a lock lets go of everything, says who has it, and is tried
again.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from adapters.postgres.connection import LOCKED, Pool, transaction
from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from domain.errors import EnvironmentBusy

_SQL = load(__name__)
_log = logging.getLogger(__name__)


@asynccontextmanager
async def named_waits(shards: Shards, *places: Place, readers: bool = False) -> AsyncIterator[None]:
    """Say who is in the way when a block does not get a lock in time.

    Args:
        shards: Where the environments are.
        places: The environments whose tables the block needs.
        readers: Those who read them are in the way as well.

    Raises:
        EnvironmentBusy: It did not; the transaction is lost, another attempt may succeed.
    """
    try:
        yield
    except (asyncpg.LockNotAvailableError, EnvironmentBusy) as error:
        blockers = [
            one for place in places for one in await in_the_way(shards.pool(place.shard), place.schema, readers=readers)
        ]
        raise busy(LOCKED, blockers) from error


def busy(english: str, blockers: list[str]) -> EnvironmentBusy:
    """Return the error that names those who are in the way, if anybody still is."""
    if blockers:
        _log.warning("a lock was not to be had in time", extra={"in_the_way": blockers})
        english = f"{english} In the way: {'; '.join(blockers)}."
    return EnvironmentBusy(english, dutch=EnvironmentBusy.dutch)


async def in_the_way(pool: Pool, schema_name: str, *, readers: bool = False) -> list[str]:
    """Return who holds a lock on a schema now, e.g. `prepared transaction 'x' of sb_app … (journal_line)`.

    A transaction that was prepared (two-phase commit) belongs to no session and waits for its COMMIT PREPARED, for
    years if need be: whoever wonders why a freeze does not succeed has to be told its name.
    """
    async with transaction(pool) as connection:
        return [row["blocker"] for row in await connection.fetch(_SQL["in_the_way"], schema_name, readers)]
