"""A transfer between two databases at the moment before its clone."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.clone import PostgresCloneEngine
from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.shards import Shards
from adapters.transfer.rehearsal import rehearse
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m
from domain.vocabulary import HOME

WEST = "west"
_PATIENCE_SECONDS = 60


@dataclass
class Across:
    """A transfer that is about to be cloned from one database to another."""

    shards: Shards
    source_cell: str
    target_cell: str
    transfer_id: uuid.UUID
    source: str
    target: str
    environment_id: uuid.UUID

    @property
    def old(self) -> Pool:
        return self.shards.pool(self.source_cell)

    @property
    def new(self) -> Pool:
        return self.shards.pool(self.target_cell)

    def engine(self, parallelism: int = 2) -> PostgresCloneEngine:
        return PostgresCloneEngine(self.shards.home, parallelism=parallelism, shards=self.shards, meanwhile=Prefetcher)

    async def clone(self, parallelism: int = 2) -> m.CloneFinished:
        order = m.CloneAdministrations(
            transfer_id=self.transfer_id,
            source_schema=self.source,
            target_schema=self.target,
            source_cell=self.source_cell,
            target_cell=self.target_cell,
        )
        return await self.engine(parallelism).clone(order, lambda _: None)

    async def verify(self) -> list[m.TableDifference]:
        order = m.VerifyClone(
            transfer_id=self.transfer_id,
            source_schema=self.source,
            target_schema=self.target,
            source_cell=self.source_cell,
            target_cell=self.target_cell,
        )
        verifier = PostgresVerifier(self.shards.home, parallelism=2, shards=self.shards)
        return (await verifier.verify(order, lambda _: None)).differences

    async def build(self, sql: str) -> None:
        async with self.old.acquire() as connection:
            await connection.execute(f"set search_path to {self.source}")
            await connection.execute(sql)
            await connection.execute("reset search_path")

    async def rehearse(self) -> list[m.Obstacle]:
        async with self.shards.together(None, self.source_cell, self.target_cell) as (source, target):
            return await rehearse(source, target, self.source)

    async def undo(self) -> None:
        await self.shards.home.execute(
            "update control.transfer set state = 'undoing', undo_reason = 'failed' where transfer_id = $1 "
            "and state <> 'released'",
            self.transfer_id,
        )
        await self.engine().drop(m.DropClone(transfer_id=self.transfer_id))

    async def schemas(self) -> list[str]:
        return [
            row[0] for row in await self.new.fetch("select nspname from pg_namespace where nspname = $1", self.target)
        ]

    async def until(self, condition: str) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await self.new.fetchval(condition, self.target):  # noqa: ASYNC110 - the server has no event
                await asyncio.sleep(0)


@asynccontextmanager
async def across(younger: str, elder: str, *, to_elder: bool) -> AsyncIterator[Across]:
    home = await connect_pool(younger, max_size=8, application_name="test")
    west = await connect_pool(elder, max_size=8, application_name="test")
    old, new, transfer = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    source_cell, target_cell = (HOME, WEST) if to_elder else (WEST, HOME)
    shards = Shards(home, {WEST: west})
    made = Across(shards, source_cell, target_cell, transfer, f"env_{old.hex}", f"env_{new.hex}", old)
    try:
        await home.execute("insert into control.cell values ($1, $1)", WEST)
        await home.execute(
            "insert into control.licence (licence_number, holder_name, kind, host, contact_email, cell) "
            "values ('1', 'x', 'firm', 'x', 'x@x.example', $1)",
            target_cell,
        )
        await home.execute(
            "insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, "
            "status, mailbox_address, cell) "
            "values ($1, '1', 'new', 'new', 'https://x/new', $2, 'building', 'new@x', $3)",
            new,
            made.target,
            target_cell,
        )
        await home.execute(
            "insert into control.transfer (transfer_id, workflow_id, environment_id, state, new_environment_id) "
            "values ($1, 'transfer-x', $2, 'scheduled', $3)",
            transfer,
            old,
            new,
        )
        await made.old.execute(f"create schema {made.source}")
        yield made
    finally:
        for schema in (made.source, made.target):
            for pool in (home, west):
                await pool.execute(f"drop schema if exists {schema} cascade")
        await home.close()
        await west.close()
