"""The books of portfolios: which environments, and how far each is."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Pool, transaction
from adapters.postgres.statements import load
from domain.errors import EnvironmentUnknown, PortfolioUnknown
from domain.portfolio import LARGEST, ItemsRead, ItemState, PortfolioItem, PortfolioStanding, ReadItems, evening_of

_SQL = load(__name__)


class PostgresPortfolios:
    """Keeps portfolios; `pool` is connected as sb_owner, or as sb_api for what callers ask."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(
        self,
        portfolio_id: UUID,
        *,
        licence: str,
        environments: Sequence[UUID],
        from_licence: str | None,
        name_pattern: str,
        first_evening: date | None,
        per_night: int,
        created_by: str,
    ) -> int:
        """Write a portfolio down, and return how many environments it has; a repetition changes nothing.

        Raises:
            EnvironmentUnknown: One that was named is not there, or the licence has none.
        """
        async with transaction(self._pool) as connection:
            await connection.execute(
                _SQL["create"], portfolio_id, licence, name_pattern, first_evening, per_night, created_by
            )
            if from_licence is None:
                await connection.execute(_SQL["add_named"], portfolio_id, list(environments))
            else:
                await connection.execute(_SQL["add_licence"], portfolio_id, from_licence, LARGEST)
            found: int = await connection.fetchval(_SQL["count_items"], portfolio_id)
            if not found or (from_licence is None and found != len(environments)):
                raise EnvironmentUnknown
            return found

    async def standing(self, portfolio_id: UUID, *, after: int = 0, limit: int = 200) -> PortfolioStanding:
        """Return where a portfolio stands, with so many of its items behind a number.

        Raises:
            PortfolioUnknown: There is none.
        """
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(_SQL["portfolio"], portfolio_id)
            if row is None:
                raise PortfolioUnknown
            items = await connection.fetch(_SQL["items"], portfolio_id, after, limit)
            counts = await connection.fetch(_SQL["counts"], portfolio_id)
        plan = {"first": row["first_evening"], "per_night": row["per_night"]}
        return PortfolioStanding(
            **dict(row),
            counts={one["state"]: one["items"] for one in counts},
            items=tuple(PortfolioItem(**dict(one), evening=evening_of(one["number"], **plan)) for one in items),
        )

    async def read(self, order: ReadItems) -> ItemsRead:
        """Return the next items in a state."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(_SQL["numbers"], order.portfolio_id, order.state, order.after)
            settled = await connection.fetchval(_SQL["settled"], order.portfolio_id)
        return ItemsRead(numbers=tuple(row["number"] for row in rows), settled=settled)

    async def item(self, portfolio_id: UUID, number: int) -> asyncpg.Record:
        """Return an item with its portfolio and its transfer.

        Raises:
            PortfolioUnknown: There is none.
        """
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(_SQL["item"], portfolio_id, number)
        if row is None:
            raise PortfolioUnknown
        return row

    async def mark(
        self,
        portfolio_id: UUID,
        number: int,
        state: ItemState,
        *,
        transfer_id: UUID | None = None,
        code: str | None = None,
        problem: str | None = None,
    ) -> None:
        """Write down how far an item is."""
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["mark"], portfolio_id, number, state, transfer_id, code, problem)
