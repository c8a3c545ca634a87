"""Mails and scans at random moments of moves that are killed again and again: none lost, doubled or out of order.

    python -m tests.load.deliveries --items 10000 --moves 200

The adapters do the moves, one after the other in each of some environments, half of them undone and half released;
twice in a second or so the server ends one of the sessions that are at work. Whoever was at it tries again, as
activities and mail servers do.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import asyncpg

from adapters.inbox.delivering import HeldItemDelivery
from adapters.postgres.migrations import migrate_control, migrate_environment
from adapters.postgres.shards import Shards
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.errors import Unavailable
from domain.naming import schema_name_of
from tests.integration.services import NEW_FIRM, OLD_FIRM, Move, Services

_LINES = 6
_SUPPLIERS = 3
# The longest step takes half a second when others work: some of them get through.
_LONGEST_BETWEEN_KILLS_SECONDS = 1.2
_TABLES = ("mailbox_message", "scanbox_document")
_AWAY = (
    Unavailable,
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a session that ends between two statements
    asyncpg.OperatorInterventionError,
)
_Answer = TypeVar("_Answer")


@dataclass
class Score:
    """What came of it; `outcomes` is by what the entrance answered."""

    items: int = 0
    moves: int = 0
    kills: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    held_at_the_end: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Tell whether every item is there once, in order."""
        return not (self.lost or self.doubled or self.out_of_order or self.held_at_the_end)


async def _insist(work: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Do something until it is done; whoever does it may be killed meanwhile."""
    while True:
        try:
            return await work()
        except _AWAY:
            await asyncio.sleep(0.02)


class Line:
    """One environment that moves on and on, and those who send to it."""

    def __init__(self, services: Services, app: "asyncpg.Pool[asyncpg.Record]", score: Score, number: int) -> None:
        self._services = services
        self._app = app
        self._score = score
        self._dice = random.Random(number)  # noqa: S311 - a draw that can be repeated
        self._number = number
        self._environment_id = uuid.UUID(int=0)
        self._firms = [OLD_FIRM, NEW_FIRM]
        self._address = ""
        self._sent: dict[tuple[str, int], list[bytes]] = {}
        self._moving = True

    async def prepare(self) -> None:
        """Make the environment; nobody is killed yet."""
        self._environment_id = await self._services.environment(f"Lijn {self._number}")
        self._address = await self._services.pool.fetchval(
            "select mailbox_address from control.environment where environment_id = $1", self._environment_id
        )

    async def run(self, moves: int, items: int) -> None:
        """Move so often while so many items come in, and count what is wrong at the end."""
        senders = [
            asyncio.create_task(self._send(number, (items + _SUPPLIERS - 1 - number) // _SUPPLIERS))
            for number in range(_SUPPLIERS)
        ]
        for number in range(moves):
            await self._move(number)
            self._score.moves += 1
        self._moving = False
        await asyncio.gather(*senders)
        await _insist(HeldItemDelivery(Shards(self._services.pool)).deliver)
        await self._count()

    async def _send(self, supplier: int, items: int) -> None:
        """Send mails and scans, the one after the other, some of them twice."""
        for number in range(items):
            table = _TABLES[self._dice.random() < 0.3]
            content = f"{self._number} {supplier} {number:06d}".encode()
            statement = (
                "select control.deliver_mail($1, $2, $3, $4)"
                if table == _TABLES[0]
                else "select control.deliver_scan($1, $2, 'b.pdf', $3, $4)"
            )
            for _ in range(1 + (self._dice.random() < 0.1)):
                outcome = await _insist(
                    lambda statement=statement, content=content: self._app.fetchval(  # type: ignore[misc]
                        statement, self._address, content.decode(), content, datetime.now(UTC)
                    )
                )
                self._score.outcomes[outcome] = self._score.outcomes.get(outcome, 0) + 1
            self._sent.setdefault((table, supplier), []).append(content)
            self._score.items += 1
            if self._moving:
                await asyncio.sleep(self._dice.random() * 0.02)

    async def _move(self, number: int) -> None:
        services, move = self._services, Move(self._environment_id, uuid.uuid4(), uuid.uuid4())
        await _insist(lambda: services.freeze(move))
        await _insist(lambda: services.issue(move))
        if self._dice.random() < 0.5:
            await self._undo(move)
            return
        file = (await _insist(lambda: services.office.download(move.transfer_id)))[1]
        upload = services.upload(move, file, licence_number=self._firms[1], name=f"Lijn {self._number} {number}")
        await _insist(lambda: services.reservations.accept(upload))
        with suppress(asyncpg.DuplicateSchemaError):  # it was done, and whoever did it did not hear so
            await _insist(lambda: self._clone(move))
        await _insist(lambda: services.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id)))
        await asyncio.sleep(self._dice.random() * 0.1)
        order = services.release_order(move)
        await _insist(lambda: services.gate.release(order))
        self._environment_id = move.new_environment_id
        self._firms.reverse()

    async def _undo(self, move: Move) -> None:
        services, one = self._services, {"transfer_id": move.transfer_id}
        await asyncio.sleep(self._dice.random() * 0.1)
        await _insist(lambda: services.begin_undo(move))
        await _insist(lambda: services.office.revoke(m.RevokeTicket(**one)))
        await _insist(lambda: services.unfreeze(move))
        await _insist(lambda: services.log.finish_undo(m.FinishUndo(**one)))

    async def _clone(self, move: Move) -> None:
        """Copy what a release looks at, and what has come in so far."""
        async with self._services.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"create schema {move.new_schema}")
            await migrate_environment(connection, move.new_schema)
            for table in ("administration", "app_user", *_TABLES):
                await connection.execute(f"insert into {move.new_schema}.{table} select * from {move.schema}.{table}")
            for table in _TABLES:
                await connection.execute(
                    f"select setval(pg_get_serial_sequence('{move.new_schema}.{table}', 'id'), "
                    f"(select coalesce(max(id), 0) + 1 from {move.new_schema}.{table}), false)"
                )

    async def _count(self) -> None:
        schema = schema_name_of(self._environment_id)
        for table in _TABLES:
            rows = await _insist(
                lambda table=table: self._services.pool.fetch(  # type: ignore[misc]
                    f"select raw from {schema}.{table} order by id"
                )
            )
            got = [row["raw"] for row in rows]
            for supplier in range(_SUPPLIERS):
                mine = self._sent.get((table, supplier), [])
                theirs = [raw for raw in got if raw.split()[:2] == f"{self._number} {supplier}".encode().split()]
                self._score.lost += len(set(mine) - set(theirs))
                self._score.doubled += len(theirs) - len(set(theirs))
                self._score.out_of_order += sum(one > other for one, other in pairwise(theirs))


async def _kill(dsn: str, database: str, score: Score) -> None:
    """End a session of those at work, now and then, as a crash of its process would."""
    connection = await asyncpg.connect(dsn)
    dice = random.Random(1)  # noqa: S311 - a draw that can be repeated
    try:
        while True:
            await asyncio.sleep(dice.random() * _LONGEST_BETWEEN_KILLS_SECONDS)
            score.kills += await connection.fetchval(
                "select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity where datname = $1 "
                "and pid <> pg_backend_pid() and state <> 'idle' order by random() limit 1) one",
                database,
            )
    finally:
        await connection.close()


async def deliver(server: EmbeddedPostgres, database: str, *, items: int, moves: int, lines: int = _LINES) -> Score:
    """Let so many items come in during so many moves in a migrated database, and count."""
    score = Score()
    async with (
        Services(server.dsn("sb_owner", database)) as services,
        asyncpg.create_pool(server.dsn("sb_app", database), min_size=0, max_size=12) as app,
    ):
        all_lines = [Line(services, app, score, number) for number in range(lines)]
        for line in all_lines:
            await line.prepare()
        killing = asyncio.create_task(_kill(server.dsn("postgres", "postgres"), database, score))
        try:
            async with asyncio.TaskGroup() as running:
                for number, line in enumerate(all_lines):
                    share = (moves + lines - 1 - number) // lines, (items + lines - 1 - number) // lines
                    running.create_task(line.run(*share))
        finally:
            killing.cancel()
            with suppress(asyncio.CancelledError):
                await killing
        score.held_at_the_end = await services.pool.fetchval("select count(*) from control.held_item")
    return score


async def main() -> int:
    """Run it on a server of its own; exit code 1 when anything is lost, doubled or out of order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--moves", type=int, default=200)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        await server.start()
        try:
            await migrate_control(server.dsn())
            score = await deliver(server, "sb", items=wanted.items, moves=wanted.moves)
        finally:
            await server.stop()
    print(json.dumps({**asdict(score), "good": score.good}))  # noqa: T201 - the answer
    return 0 if score.good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
