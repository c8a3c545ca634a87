"""How often somebody may try, counted in the database: one limit for all processes of the API.

The generic cell rate algorithm (ITU-T I.371): a row for everybody who has tried lately, a statement for an attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from adapters.postgres.connection import Pool, transaction
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import plain

_SQL = load(__name__)
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, order=True)
class Rate:
    """How often something may be done; so many times at once as well."""

    times: int
    per: timedelta

    @property
    def cost(self) -> timedelta:
        """Return how long one time is paid off."""
        return self.per / self.times

    @property
    def slack(self) -> timedelta:
        """Return how much may still have to be paid off before another time."""
        return self.cost * (self.times - 1)


class PostgresRateLimit:
    """Counts attempts by whoever makes them."""

    def __init__(self, pool: Pool) -> None:
        """Take a pool whose role may write `control.api_attempt`."""
        self._pool = pool

    async def count(self, limits: Mapping[str, Rate]) -> timedelta:
        """Count an attempt under all of these names and return zero, or count nothing and return how long to wait.

        Raises:
            Unavailable: The database does not answer.
        """
        # In one order, so that two attempts do not wait for each other.
        names = sorted((plain(name, _LONGEST_NAME), rate) for name, rate in limits.items())
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["forget"])
        async with transaction(self._pool) as connection:
            attempt = connection.transaction()
            await attempt.start()
            for name, rate in names:
                counted: str = await connection.execute(_SQL["count"], name, rate.cost, rate.slack)
                if not counted.endswith(" 1"):
                    wait: timedelta | None = await connection.fetchval(_SQL["wait"], name, rate.slack)
                    await attempt.rollback()
                    return max(wait or timedelta(0), timedelta(milliseconds=1))
            await attempt.commit()
        return timedelta(0)
