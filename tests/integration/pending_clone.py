"""A transfer at the moment before its clone, for the tests of what a clone does."""

import asyncio
import os
import re
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from adapters.clone import PostgresCloneEngine
from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.place import Move, Place
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from devstack.binaries import postgres_bin
from domain import messages as m


@dataclass
class PendingClone:
    """A transfer that is about to be cloned."""

    pool: Pool
    dsn: str
    transfer_id: uuid.UUID
    source: str
    target: str

    @property
    def places(self) -> Move:
        return Move(Place(self.source), Place(self.target))

    @property
    def order(self) -> m.CloneAdministrations:
        return m.CloneAdministrations(
            transfer_id=self.transfer_id, source_schema=self.source, target_schema=self.target
        )

    async def clone(self, parallelism: int = 2) -> m.CloneFinished:
        return await PostgresCloneEngine(self.pool, parallelism=parallelism, meanwhile=Prefetcher).clone(
            self.order, lambda _: None
        )

    async def until(self, condition: str) -> None:
        async with asyncio.timeout(60):
            while not await self.pool.fetchval(condition):  # noqa: ASYNC110 - the server has no event for this
                await asyncio.sleep(0)

    async def clone_until_rows_are_there(self) -> None:
        """Stop a clone when the first unit with rows is done."""
        task = asyncio.create_task(self.clone(parallelism=1))
        await self.until("select exists (select from control.clone_unit where rows > 0)")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def verify(self) -> list[m.TableDifference]:
        order = m.VerifyClone(transfer_id=self.transfer_id, source_schema=self.source, target_schema=self.target)
        return (await PostgresVerifier(self.pool, parallelism=2).verify(order, lambda _: None)).differences

    async def drop(self) -> None:
        await self.pool.execute(
            "update control.transfer set state = 'undoing', undo_reason = 'failed' where transfer_id = $1 "
            "and state <> 'released'",
            self.transfer_id,
        )
        await PostgresCloneEngine(self.pool, parallelism=2).drop(m.DropClone(transfer_id=self.transfer_id))

    async def build(self, sql: str) -> None:
        async with self.pool.acquire() as connection:
            await connection.execute(f"set search_path to {self.source}")
            await connection.execute(sql)
            await connection.execute("reset search_path")

    def dump(self, schema: str) -> str:
        """The schema's definitions as pg_dump writes them, under a common name."""
        found = re.fullmatch(r"postgresql://(\w+):([^@]+)@127\.0\.0\.1:(\d+)/(\w+)", self.dsn)
        assert found
        role, password, port, database = found.groups()
        dumped = subprocess.run(
            [str(postgres_bin() / "pg_dump"), "-h127.0.0.1", f"-p{port}", f"-U{role}", "-s", f"-n{schema}", database],
            env={**os.environ, "PGPASSWORD": password},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        kept = [line for line in dumped.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
        return "\n".join(kept).replace(schema, "env")

    async def ties(self) -> list[str]:
        """What in the target needs something of the source."""
        rows = await self.pool.fetch(
            "select pg_describe_object(d.classid, d.objid, d.objsubid) || ' on ' "
            "  || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) "
            "from pg_depend d cross join lateral pg_identify_object(d.classid, d.objid, 0) o "
            "cross join lateral pg_identify_object_as_address(d.classid, d.objid, 0) a "
            "cross join lateral pg_identify_object(d.refclassid, d.refobjid, 0) r "
            "where d.refobjid >= 16384 and coalesce(o.schema, a.object_names[1]) = $2 and r.schema = $1",
            self.source,
            self.target,
        )
        return [str(row[0]) for row in rows]

    async def rows(self, schema: str) -> dict[str, int]:
        async with self.pool.acquire() as connection:
            tables = await connection.fetch(
                "select format('%I.%I', n.nspname, c.relname) as name, c.relname from pg_class c "
                "join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind in ('r', 'm') "
                "and c.relispopulated",
                schema,
            )
            return {t["relname"]: await connection.fetchval(f"select count(*) from only {t['name']}") for t in tables}


@asynccontextmanager
async def scheduled_move(dsn: str) -> AsyncIterator[PendingClone]:
    """Make an empty environment with a scheduled transfer."""
    pool = await connect_pool(dsn, max_size=6, application_name="test")
    old, new, transfer = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    prepared = PendingClone(pool, dsn, transfer, f"env_{old.hex}", f"env_{new.hex}")
    await pool.execute(f"create schema {prepared.source}")
    await pool.execute(
        "insert into control.transfer (transfer_id, workflow_id, environment_id, state, new_environment_id) "
        "values ($1, 'transfer-x', $2, 'scheduled', $3)",
        transfer,
        old,
        new,
    )
    try:
        yield prepared
    finally:
        await pool.close()
