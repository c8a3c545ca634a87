"""`setup` can be run again, and by two operators at once."""

import asyncio

import asyncpg

from adapters.migrations import migrate_control, migrations_of


async def test_applying_twice_changes_nothing(dsn: str) -> None:
    """A second `setup` on a live system must be harmless."""
    assert await migrate_control(dsn) == []


async def test_two_setups_at_once_do_the_work_of_one(dsn: str) -> None:
    """Two workers that start together must not both build the schema."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("drop schema control cascade")
    applied = await asyncio.gather(*(migrate_control(dsn) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == [m.name for m in migrations_of("control")]
    await connection.close()
