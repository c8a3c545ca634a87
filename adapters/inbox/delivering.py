"""Delivers what still waits for an environment that no longer moves.

That is mail for environments in other databases, and what a release had no time for.

A mail for an environment in another cell is always held first, for nothing at home can write there in one transaction.
"""

import asyncio
import logging

import asyncpg

from adapters.inbox.held_items import Drained, Target, drain
from adapters.postgres.connection import transaction
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from domain.errors import TransferError
from domain.vocabulary import HOME

_log = logging.getLogger("sb_transfer.inbox")
_SQL = load("adapters.inbox.held_items")
_EVERY_SECONDS = 2.0


class HeldItemDelivery:
    """Every worker runs one; an environment that another is at is passed over."""

    def __init__(self, shards: Shards) -> None:
        """Take pools that are connected as sb_owner."""
        self._shards = shards

    async def keep_delivering(self) -> None:
        """Deliver until cancelled; a database that is away is tried again."""
        while True:
            try:
                await self.deliver()
            except (TransferError, asyncpg.PostgresError, OSError) as error:
                _log.warning("held mail could not be delivered: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)

    async def deliver(self) -> Drained:
        """Deliver what waits for active environments; return what was done.

        Raises:
            Unavailable: A database does not answer.
        """
        done = Drained()
        async with transaction(self._shards.home) as connection:
            due = [row["environment_id"] for row in await connection.fetch(_SQL["due"])]
        for environment_id in due:
            async with transaction(self._shards.home) as home:
                row = await home.fetchrow(_SQL["hold_due"], environment_id)
                if row is None:
                    continue
                target = Target(row["environment_id"], row["schema_name"], row["cell"])
                if target.cell == HOME:
                    found = await drain(home, home, target)
                elif target.cell in self._shards.others:
                    async with transaction(self._shards.pool(target.cell)) as there:
                        found = await drain(home, there, target)
                else:
                    continue
            done.mails += found.mails
            done.scans += found.scans
            done.set_aside += found.set_aside
            done.left += found.left
        return done
