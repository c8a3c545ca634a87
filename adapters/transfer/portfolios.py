"""The books of portfolios: which environments, and how far each is."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.statements import load
from domain.errors import EnvironmentUnknown, EveningInvalid, PortfolioUnknown, WrongMoment
from domain.portfolio import (
    FURTHEST,
    LARGEST,
    ItemsRead,
    ItemState,
    PortfolioItem,
    PortfolioLine,
    PortfolioStanding,
    ReadItems,
    evening_of,
)
from domain.vocabulary import TransferState

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
        uploads: bool = True,
    ) -> int:
        """Write a portfolio down, and return how many environments it has; a repetition changes nothing.

        Args:
            portfolio_id: Its id.
            licence: Who takes them over.
            environments: Which, in order.
            from_licence: All active ones of this licence instead.
            name_pattern: What they are called there.
            first_evening: The coming one when they are begun, if None.
            per_night: How many move in one evening.
            created_by: Who asked for it.
            uploads: Whether their tickets are uploaded at once, or given to the new side.

        Raises:
            EnvironmentUnknown: One that was named is not there, or the licence has none.
            EveningInvalid: The last of them would move after a quarter of a year.
        """
        async with transaction(self._pool) as connection:
            await connection.execute(
                _SQL["create"], portfolio_id, licence, name_pattern, first_evening, per_night, created_by, uploads
            )
            if from_licence is None:
                await connection.execute(_SQL["add_named"], portfolio_id, list(environments))
            else:
                await connection.execute(_SQL["add_licence"], portfolio_id, from_licence, LARGEST)
            found: int = await connection.fetchval(_SQL["count_items"], portfolio_id)
            if not found or (from_licence is None and found != len(environments)):
                raise EnvironmentUnknown
            today = datetime.now(UTC).date()
            last = evening_of(found, first=first_evening or today, per_night=per_night)
            if last is not None and last > today + FURTHEST:
                raise EveningInvalid
            return found

    async def listed(self, *, after: UUID | None, limit: int) -> list[PortfolioLine]:
        """Return so many portfolios from new to old, behind one; none behind one that is not there."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(_SQL["portfolios"], after, limit)
            counts = await _counts(connection, [row["portfolio_id"] for row in rows])
        return [PortfolioLine(**dict(row), counts=counts[row["portfolio_id"]]) for row in rows]

    async def standing(
        self, portfolio_id: UUID, *, after: int = 0, limit: int = 200, state: ItemState | TransferState | None = None
    ) -> PortfolioStanding:
        """Return where a portfolio stands, with so many of its items behind a number, or of those in one state.

        Raises:
            PortfolioUnknown: There is none.
        """
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(_SQL["portfolio"], portfolio_id)
            if row is None:
                raise PortfolioUnknown
            items = await connection.fetch(_SQL["items"], portfolio_id, after, limit, state)
            counts = await _counts(connection, [portfolio_id])
        plan = {"first": row["first_evening"], "per_night": row["per_night"]}
        return PortfolioStanding(
            **dict(row),
            counts=counts[portfolio_id],
            items=tuple(PortfolioItem(**dict(one), evening=evening_of(one["number"], **plan)) for one in items),
        )

    async def waiting_for_upload(self, portfolio_id: UUID) -> list[tuple[int, UUID]]:
        """Return the number and the transfer of every item whose ticket can be given to the new side now."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(_SQL["waiting_for_upload"], portfolio_id)
        return [(row["number"], row["transfer_id"]) for row in rows]

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

    async def transfer_of(self, portfolio_id: UUID, number: int) -> UUID:
        """Return the transfer that moves an item.

        Raises:
            PortfolioUnknown: There is no such portfolio, or no such number in it.
            WrongMoment: It has not begun to move.
        """
        found: UUID | None = (await self.item(portfolio_id, number))["transfer_id"]
        if found is None:
            raise WrongMoment
        return found

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


async def _counts(connection: Connection, portfolios: list[UUID]) -> dict[UUID, dict[str, int]]:
    """Return how many items of each portfolio are in which state."""
    found: dict[UUID, dict[str, int]] = {one: {} for one in portfolios}
    for row in await connection.fetch(_SQL["counts"], portfolios):
        found[row["portfolio_id"]][row["state"]] = row["items"]
    return found
