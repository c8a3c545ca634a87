"""The write fence under load: every kind of writer at once, while an environment is shut and opened again and again."""

import asyncpg

from devstack.postgres import EmbeddedPostgres
from tests.integration.services import Services
from tests.load.freeze_cycles import run_freeze_cycles, score
from tests.load.writers import KINDS, create_tables, running_writers

_CYCLES = 4


async def test_no_write_is_lost_or_slips_in_over_many_freezes(
    services: Services, app_dsn: str, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """Loses no acknowledged write over many freezes, and takes none after."""
    move = await services.move()
    async with services.pool.acquire() as connection:
        await create_tables(connection, move.schema)
    superuser = await asyncpg.connect(postgres.dsn("postgres", database_name))
    await superuser.execute("grant set on parameter session_replication_role to sb_app")
    try:
        async with running_writers(app_dsn, move.schema, list(KINDS), replica=True) as writers:
            cycles = await run_freeze_cycles(
                services.pool, move.environment_id, cycles=_CYCLES, open_seconds=0.06, shut_seconds=0.03
            )
    finally:
        await superuser.execute("revoke set on parameter session_replication_role from sb_app")
        await superuser.close()
    assert [cycle.changed for cycle in cycles if cycle.changed] == []
    outcome = await score(services.pool, move.schema, writers)
    assert (outcome.lost, outcome.strays, outcome.doubled) == (0, 0, 0)
    # Each of them was really there, before and between the freezes, and was really refused.
    idle = [writer.kind for writer in writers if not writer.acknowledged]
    unrefused = [
        writer.kind for writer in writers if not (writer.numbers_refused or any(t.refused for t in writer.attempts))
    ]
    assert (idle, unrefused) == ([], [])
    assert await services.fences(move.schema) == {}
