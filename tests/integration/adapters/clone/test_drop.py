"""Taking a clone away again."""

import asyncio

import asyncpg
import pytest

from adapters.clone import PostgresCloneEngine
from domain import messages as m
from domain.errors import AlreadyReleased, Superseded
from tests.integration.pending_clone import PendingClone
from tests.tools.paths import ROOT


async def test_nothing_is_left_after_a_drop_and_nothing_comes_back(move: PendingClone) -> None:
    """Leaves no schema after a drop, also with a copier at work."""
    await move.build("create table ledger as select i as id, md5(i::text) as t from generate_series(1, 1500000) i")
    task = asyncio.create_task(move.clone())
    await asyncio.sleep(0.5)
    await move.drop()
    await move.drop()
    with pytest.raises(Exception):  # noqa: B017, PT011 - ended by the server or barred: either is right
        await task
    with pytest.raises(Superseded):
        await move.clone()
    assert await move.pool.fetchval("select count(*) from pg_namespace where nspname = $1", move.target) == 0
    assert await move.pool.fetchval("select count(*) from control.clone_unit") == 0
    assert await move.rows(move.source) == {"ledger": 1500000}


async def test_an_undo_needs_nothing_that_others_hold(move: PendingClone) -> None:
    """Drops the copy while somebody holds the old environment."""
    await move.build((ROOT / "tests" / "integration" / "schemas" / "everything.sql").read_text())
    await move.clone()
    async with move.pool.acquire() as other, other.transaction():
        held = await other.fetch(
            "select format('%I.%I', n.nspname, c.relname) as name from pg_class c "
            "join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind in ('r', 'p')",
            move.source,
        )
        for row in held:
            await other.execute(f"lock table {row['name']} in access exclusive mode")
        async with asyncio.timeout(60):
            await move.drop()
    assert await move.pool.fetchval("select count(*) from pg_namespace where nspname = $1", move.target) == 0


async def test_a_released_environment_cannot_be_dropped(move: PendingClone) -> None:
    """Refuses to drop a released environment."""
    await move.build("create table t as select 1 as x")
    await move.clone()
    await move.pool.execute("update control.transfer set state = 'released' where transfer_id = $1", move.transfer_id)
    with pytest.raises(AlreadyReleased):
        await PostgresCloneEngine(move.pool, parallelism=2).drop(m.DropClone(transfer_id=move.transfer_id))
    with pytest.raises(asyncpg.ObjectInUseError):
        await move.pool.execute("select control.drop_clone_schema($1, $2)", move.transfer_id, move.target)
    assert (await move.rows(move.target)) == {"t": 1}
