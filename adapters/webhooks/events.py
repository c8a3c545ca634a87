"""The feed: the event log across transfers, in the order in which it became readable."""

from collections.abc import Sequence
from typing import Any

import asyncpg
from pydantic import TypeAdapter

from adapters.postgres.connection import Connection, Pool, translated_errors
from adapters.postgres.statements import load
from domain.authority import Side
from domain.messages import Message
from domain.webhooks import CloudEvent, PublishedEvent, kinds_heard_by, kinds_of, told

SQL = load(__name__)
# A licence's own events may lie far apart: so many lines are looked through for one page.
_MOST_SCANNED = 5_000
_DETAIL = TypeAdapter(dict[str, Any])


class EventPage(Message):
    """Events in order, and how far the log was looked through for them."""

    events: tuple[CloudEvent, ...]
    after: int
    more: bool


class PostgresEventFeed:
    """Reads the feed; `pool` is connected as sb_owner or sb_api."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, *, after: int, limit: int, licence: str | None, types: Sequence[str] = ()) -> EventPage:
        """Return the next events behind a position.

        Args:
            after: The position that was read up to; 0 for the beginning.
            limit: How many at most.
            licence: Whose half; None for everything.
            types: Only events of these types, when any are given.

        Raises:
            Unavailable: The database does not answer.
        """
        with translated_errors():
            async with self._pool.acquire() as connection:
                await publish(connection)
                last = await last_position(connection)
                rows = await connection.fetch(SQL["page"], after, *heard(licence, types), _MOST_SCANNED, limit)
        read_to = max(int(rows[-1]["read_to"]) if rows else after, after)
        events = tuple(told(event_of(row), licence) for row in rows if row["event_id"] is not None)
        return EventPage(events=events, after=read_to, more=read_to < last)


async def publish(connection: Connection) -> None:
    """Give positions to what was committed since; each other statement sees them from the next one on."""
    await connection.execute(SQL["publish"])


async def last_position(connection: Connection) -> int:
    """Return the newest position."""
    found: int = await connection.fetchval(SQL["last"])
    return found


def heard(licence: str | None, types: Sequence[str]) -> tuple[str | None, list[str], list[str], list[str]]:
    """Return how a statement chooses events: whose, the kinds for its two halves, and the kinds that are wanted."""
    return licence, kinds_heard_by(Side.OLD), kinds_heard_by(Side.NEW), kinds_of(types) if types else []


def event_of(row: asyncpg.Record) -> PublishedEvent:
    """Return a row of the log with its transfer."""
    fields = {name: value for name, value in row.items() if name in PublishedEvent.model_fields and name != "detail"}
    return PublishedEvent.model_validate({**fields, "detail": _DETAIL.validate_json(row["detail"])})
