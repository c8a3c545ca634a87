"""What the proof takes over from a read beside the clone: it may save work and must never hide a thing."""

import json

import pytest

from adapters.clone import PostgresCloneEngine
from adapters.postgres.connection import Connection
from adapters.verify.fingerprint_store import Moment, MoveSide, keep_fingerprint, kept_fingerprint
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m
from domain.errors import WorkerStopping
from tests.integration.pending_clone import PendingClone

ROWS = 600_000
LEDGER = (
    "create table ledger as select i as id, md5(i::text) as text, i * 0.01 as amount "
    f"from generate_series(1, {ROWS}) i;"
    "alter table ledger add primary key (id);"
    "create table note as select 'few rows' as text;"
    "analyze;"
)
_READINGS = "select readings from control.read_ahead where transfer_id = $1"


async def readings(move: PendingClone) -> list[dict[str, object]]:
    """What is kept of the read beside the clone."""
    found: list[dict[str, object]] = json.loads(await move.pool.fetchval(_READINGS, move.transfer_id) or "[]")
    return found


async def verified(move: PendingClone, evening: int = 1) -> tuple[m.Verification, int]:
    """The proof, and how many rows it says that it has looked at."""
    seen: list[m.CloneProgress] = []
    order = m.VerifyClone(
        transfer_id=move.transfer_id, source_schema=move.source, target_schema=move.target, evening=evening
    )
    found = await PostgresVerifier(move.pool, parallelism=2).verify(order, seen.append)
    assert seen[-1].tables_done == seen[-1].tables_total
    return found, seen[-1].rows_done


async def cloned(move: PendingClone, change: str = "") -> None:
    """Build the ledger and clone it with a read beside it."""
    await move.build(LEDGER + change)
    await clone_and_read_beside(move)


async def clone_and_read_beside(move: PendingClone) -> None:
    """Clone with a read beside it, which a busy machine may leave no time for: then it comes afterwards."""
    await move.clone()
    if not await readings(move):
        prefetcher, more = Prefetcher(move.order), True
        async with move.pool.acquire() as there:
            while more:
                more = await prefetcher.run_chunk(there)
            async with there.transaction():
                await prefetcher.keep(there)
    assert await readings(move)


async def test_the_proof_takes_over_what_was_read_beside_the_clone(move: PendingClone) -> None:
    """Takes over prefetched hashes equal to its own."""
    await cloned(move)
    [table] = await readings(move)
    assert table["table"] == "ledger"
    assert table["pieces"]
    begun_at = await move.pool.fetchval("select begun_at from control.read_ahead")
    alone = await PostgresVerifier(move.pool, parallelism=2).hashes(move.source)
    found, looked_at = await verified(move)
    assert found.differences == []
    assert (found.rows, looked_at) == (ROWS + 1, 2 * (ROWS + 1))
    async with move.pool.acquire() as connection:
        old = await kept_fingerprint(connection, move.transfer_id, Moment.CLONED, MoveSide.OLD)
        new = await kept_fingerprint(connection, move.transfer_id, Moment.CLONED, MoveSide.NEW)
    assert old
    assert alone.changes(old) == []
    # The moment that is given is that of the first reading, not of the last.
    assert new
    assert old.taken_at == begun_at < new.taken_at
    # Whoever verifies once more reads for himself.
    assert await readings(move) == []
    again, looked_at = await verified(move)
    assert again.differences == []
    assert looked_at == 2 * (ROWS + 1)


async def test_a_difference_is_found_and_named_all_the_same(move: PendingClone) -> None:
    """Finds a difference from prefetched hashes."""
    await cloned(move)
    await move.pool.execute(f"update {move.target}.ledger set amount = amount + 0.01 where id = 4711")
    [difference] = (await verified(move))[0].differences
    assert (difference.table, difference.keys) == ("ledger", ["id=4711: amount"])


async def test_a_table_that_was_rewritten_since_is_read_again(move: PendingClone) -> None:
    """Reads a table again that was rewritten since."""
    await cloned(move, "delete from ledger where id % 3 = 0")
    await move.pool.execute(f"vacuum full {move.source}.ledger")
    left = ROWS - ROWS // 3 + 1
    found, looked_at = await verified(move)
    assert found.differences == []
    assert (found.rows, looked_at) == (left, 2 * left)


async def test_what_was_read_is_doubted_before_the_clone_is(move: PendingClone) -> None:
    """Reads rows again before it calls a clone different."""
    await cloned(move)
    await move.pool.execute("update control.read_ahead set readings = jsonb_set(readings, '{0,pieces,0,2}', '1')")
    found, looked_at = await verified(move)
    assert found.differences == []
    assert found.rows == ROWS + 1
    assert looked_at == 2 * (ROWS + 1) + ROWS


async def test_a_change_behind_the_fence_after_the_read_is_a_change_since_the_freeze(move: PendingClone) -> None:
    """Finds a change on both sides after the prefetch."""
    await move.build(LEDGER)
    frozen = await PostgresVerifier(move.pool, parallelism=2).hashes(move.source)
    async with move.pool.acquire() as connection:
        await keep_fingerprint(connection, move.transfer_id, Moment.FROZEN, MoveSide.OLD, frozen)
    await clone_and_read_beside(move)
    for schema in (move.source, move.target):
        await move.pool.execute(f"update {schema}.ledger set amount = 0 where id = 1")
    [difference] = (await verified(move))[0].differences
    assert difference.table == "ledger"
    assert difference.problem.startswith("changed since the freeze")


async def test_another_evening_reads_for_itself(move: PendingClone) -> None:
    """Takes nothing over from another evening."""
    await cloned(move)
    await move.pool.execute("update control.transfer set evening = 2")
    await move.pool.execute("update control.read_ahead set readings = jsonb_set(readings, '{0,pieces,0,2}', '1')")
    found, looked_at = await verified(move, evening=2)
    assert found.differences == []
    assert looked_at == 2 * (ROWS + 1)


async def test_nothing_is_read_beside_small_tables(move: PendingClone) -> None:
    """Prefetches no small table."""
    await move.build("create table t as select generate_series(1, 1000) as x")
    await move.clone()
    assert await readings(move) == []


class Watched:
    """Counts what is asked of it, and has always more to do."""

    asked = 0

    def __init__(self, _: m.CloneAdministrations) -> None:
        type(self).asked = 0

    async def run_chunk(self, there: Connection) -> bool:
        """Do nearly nothing."""
        assert not there.is_in_transaction()
        await there.execute("select pg_sleep(0.01)")
        type(self).asked += 1
        return True

    async def keep(self, home: Connection) -> None:
        """Have nothing to keep."""
        assert home.is_in_transaction()


async def test_other_work_ends_with_the_clone_and_with_the_worker(move: PendingClone) -> None:
    """Ends the prefetch with the clone, and with the worker."""
    await move.build(LEDGER)
    engine = PostgresCloneEngine(move.pool, parallelism=2, meanwhile=Watched)
    with pytest.raises(WorkerStopping):
        await engine.clone(move.order, lambda _: None, lambda: Watched.asked > 2)
    assert Watched.asked <= 4
    await engine.clone(move.order, lambda _: None)
    assert await move.verify() == []


async def test_one_connection_does_nothing_but_copy(move: PendingClone) -> None:
    """Prefetches nothing with one connection."""
    await move.build(LEDGER)
    engine = PostgresCloneEngine(move.pool, parallelism=1, meanwhile=Watched)
    await engine.clone(move.order, lambda _: None)
    assert Watched.asked == 0
