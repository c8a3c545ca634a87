"""How often somebody may try, counted in the database: one limit for all processes of the API.

The generic cell rate algorithm (ITU-T I.371): a row for everybody who has tried lately, a statement for an attempt.
"""

from collections.abc import Iterable
from datetime import timedelta

from adapters.postgres.connection import Pool, transaction
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import plain

_SQL = load(__name__)
_LONGEST_NAME = 200


class PostgresRateLimit:
    """Counts attempts by whoever makes them."""

    def __init__(self, pool: Pool, per_minute: int) -> None:
        """Take a pool that is connected as sb_owner, and how many attempts a minute; so many may come at once."""
        self._pool = pool
        self._cost = timedelta(minutes=1) / per_minute
        self._slack = self._cost * (per_minute - 1)

    async def count(self, who: Iterable[str]) -> timedelta:
        """Count an attempt by all of these and return zero, or count nothing and return how long to wait.

        Raises:
            Unavailable: The database does not answer.
        """
        # In one order, so that two attempts do not wait for each other.
        names = sorted({plain(name, _LONGEST_NAME) for name in who})
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["forget"])
        async with transaction(self._pool) as connection:
            attempt = connection.transaction()
            await attempt.start()
            for name in names:
                counted: str = await connection.execute(_SQL["count"], name, self._cost, self._slack)
                if not counted.endswith(" 1"):
                    wait: timedelta | None = await connection.fetchval(_SQL["wait"], name, self._slack)
                    await attempt.rollback()
                    return max(wait or timedelta(0), timedelta(milliseconds=1))
            await attempt.commit()
        return timedelta(0)
