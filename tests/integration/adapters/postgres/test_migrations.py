"""`setup` can be run again, and by two operators at once."""

import asyncio

import asyncpg
import pytest

from adapters.postgres import migrations
from adapters.postgres.migrations import Migration, migrate_control, migrations_of


async def test_applying_twice_changes_nothing(dsn: str) -> None:
    """Changes nothing the second time."""
    assert await migrate_control(dsn) == []


async def test_two_setups_at_once_do_the_work_of_one(dsn: str) -> None:
    """Builds the schema once when two setups run together."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("drop schema control cascade")
    applied = await asyncio.gather(*(migrate_control(dsn) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == [m.name for m in migrations_of("control")]
    await connection.close()


async def test_it_lets_the_transfers_pass(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives way to transfers while it waits for a lock."""
    late = Migration(9999, "9999_late", "alter table control.transfer add column late integer")
    monkeypatch.setattr(migrations, "migrations_of", lambda kind: [*migrations_of(kind), late])
    report, step = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    reading = report.transaction()
    await reading.start()
    await report.fetch("select from control.transfer")
    setup = asyncio.create_task(migrate_control(dsn))
    async with asyncio.timeout(60):
        queued = "select exists (select from pg_locks where not granted and relation = 'control.transfer'::regclass)"
        while not await step.fetchval(queued):  # noqa: ASYNC110 - the server's to know
            await asyncio.sleep(0.01)
        await step.execute("update control.transfer set state = state")  # behind the migration, until that gives in
    assert not setup.done()
    await reading.rollback()
    assert await setup == ["9999_late"]
    await step.close()
    await report.close()
