"""What came in while an environment moved: put into the new one at the release, or back into the old one by an undo.

The caller holds the environment's row, or the routes that lead to it, so that nothing else comes in meanwhile: see
docs/decisions/0014-held-mail.md. No environment can keep its own release from ending: what it refuses is set aside, and
when the time is up the rest waits for `adapters.inbox.delivering`, while what comes after queues up behind it.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from domain.vocabulary import HOME

# Whoever releases waits for an answer, and deliveries wait for the release.
DRAIN_TIME = timedelta(seconds=20)
_STATEMENT_TIME = timedelta(seconds=5)
_ITEMS_AT_ONCE = 200
_BYTES_AT_ONCE = 32 * 1024 * 1024
_TOO_LONG = "Its environment took longer than 5 seconds over it."
_MOST_SLOW_ITEMS = 2
# Another try may succeed; a fence in a cell that home has opened already is about to be lifted.
_LATER = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.ReadOnlySQLTransactionError)

_SQL = load(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """The environment that what waits is put into."""

    environment_id: UUID
    schema_name: str
    cell: str


@dataclass(slots=True)
class Drained:
    """How many items were put in, refused by the environment, and left for later."""

    mails: int = 0
    scans: int = 0
    set_aside: int = 0
    left: int = 0

    @property
    def happened(self) -> bool:
        """Tell whether there was anything to put in."""
        return bool(self.mails or self.scans or self.set_aside or self.left)

    def detail(self) -> dict[str, int]:
        """Return the counts as the event log tells them."""
        return {"mails": self.mails, "scans": self.scans, "set_aside": self.set_aside, "left": self.left}


async def count_waiting(home: Connection, environment_id: UUID) -> tuple[int, int]:
    """Return how many mails and scans wait for an environment, or for the one that it becomes."""
    waiting = await home.fetchrow(_SQL["waiting"], await home.fetchval(_SQL["inbox_of"], environment_id))
    return (waiting["mails"], waiting["scans"]) if waiting is not None else (0, 0)


async def hand_on_inbox(home: Connection, old: UUID, new: UUID) -> None:
    """Let what came for the old environment be the new one's; the routes to the old one are held."""
    await home.execute(_SQL["hand_on_inbox"], old, new)


async def forget_drained(home: Connection, cell: str, there: Connection, environment_id: UUID) -> None:
    """Take out of an environment's queue what its cell has put into it and home has not heard of.

    It is done before the books of a cell go on in another database: they came along with the clone.
    """
    if cell == HOME:
        return
    inbox_id = await home.fetchval(_SQL["inbox_of"], environment_id)
    waiting = [row["item_id"] for row in await home.fetch(_SQL["waiting_ids"], inbox_id)]
    for row in await there.fetch(_SQL["drained_of"], waiting) if waiting else ():
        await home.execute(_SQL["forget_held"], row["item_id"], environment_id)


async def drain(home: Connection, there: Connection, target: Target, *, within: timedelta = DRAIN_TIME) -> Drained:
    """Put what waits into an environment in the order in which it came, as far as the time goes.

    Args:
        home: In a transaction that holds the environment, or the routes to it.
        there: The same, or in a transaction in the environment's cell, which commits first.
        target: The environment; its fence has been lifted in that transaction.
        within: How long this may take.
    """
    inbox_id = await home.fetchval(_SQL["inbox_of"], target.environment_id)
    done = Drained()
    waiting = await home.fetchrow(_SQL["waiting"], inbox_id)
    if waiting is None or not waiting["mails"] + waiting["scans"]:
        return done
    until = time.monotonic() + within.total_seconds()
    if target.cell == HOME:
        await _drain_here(home, inbox_id, target, done, until)
    else:
        await _drain_there(home, there, inbox_id, target, done, until)
    left = await home.fetchrow(_SQL["waiting"], inbox_id)
    done.left = (left["mails"] + left["scans"] if left else 0) - done.set_aside
    return done


async def _drain_here(home: Connection, inbox_id: UUID, target: Target, done: Drained, until: float) -> None:
    most, slow = _ITEMS_AT_ONCE, 0
    while time.monotonic() < until:
        try:
            async with _bounded(home):
                found = await home.fetchrow(
                    _SQL["drain_held"], inbox_id, target.environment_id, target.schema_name, most, _BYTES_AT_ONCE
                )
        except asyncpg.QueryCanceledError:
            if most > 1:
                most = 1
                continue
            slow += 1
            await home.execute(_SQL["set_aside"], await home.fetchval(_SQL["first_waiting"], inbox_id), _TOO_LONG)
            done.set_aside += 1
            if slow >= _MOST_SLOW_ITEMS:
                return
            continue
        except _LATER:
            return
        if found is None:
            return
        done.mails += found["mails"]
        done.scans += found["scans"]
        done.set_aside += found["refused"]
        if not found["more"]:
            return


async def _drain_there(  # noqa: PLR0917 - what `_drain_here` has, and another connection
    home: Connection, there: Connection, inbox_id: UUID, target: Target, done: Drained, until: float
) -> None:
    last = 0
    while time.monotonic() < until:
        item = await home.fetchrow(_SQL["next_waiting"], inbox_id, last)
        if item is None:
            return
        last = item["item_id"]
        try:
            async with _bounded(there):
                await there.execute(_SQL["mute_triggers"], target.schema_name)
                problem = await there.fetchval(_SQL["put_in_cell"], last, target.schema_name, *list(item.values())[1:])
                if problem is None:
                    await there.execute(_SQL["note_drained"], last)
        except asyncpg.QueryCanceledError:
            problem = _TOO_LONG
        except _LATER:
            return
        if problem is None:
            await home.execute(_SQL["forget_held"], last, target.environment_id)
            done.mails += item["kind"] == "mail"
            done.scans += item["kind"] == "scan"
        else:
            await home.execute(_SQL["set_aside"], last, problem)
            done.set_aside += 1


@asynccontextmanager
async def _bounded(connection: Connection) -> AsyncIterator[None]:
    """Work in a savepoint in which no statement takes long: one that does takes nothing else of the caller's along."""
    async with connection.transaction():
        before = await connection.fetchval("show statement_timeout")
        await connection.execute(_SQL["bound_drain"], f"{_STATEMENT_TIME // timedelta(milliseconds=1)}ms")
        yield
        await connection.execute(_SQL["bound_drain"], before)
