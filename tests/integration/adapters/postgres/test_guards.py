"""Event triggers guard definitions of frozen environments; only a superuser makes them, so it is told when not."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.postgres.guards import SUPERUSER_SQL, unguarded_definitions
from adapters.postgres.shards import Shards
from devstack.postgres import EmbeddedPostgres
from tests.integration.services import Services

WAYS_TO_LACK_THEM = (
    "drop event trigger sb_transfer_drops",
    "drop event trigger sb_transfer_definitions",
    "alter event trigger sb_transfer_drops disable",
    "alter event trigger sb_transfer_definitions enable",  # not for whoever passes triggers over
    "drop function control.refuse_definition() cascade",
)


@pytest.fixture
async def superuser(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser in the test's own database."""
    connection = await asyncpg.connect(postgres.dsn("postgres", database_name))
    yield connection
    await connection.close()


@pytest.mark.parametrize("way", WAYS_TO_LACK_THEM)
async def test_missing_guards_are_told_with_what_to_run(
    services: Services, superuser: asyncpg.Connection, way: str
) -> None:
    """Says which database lacks a guard, and what mends it; that may be run again."""
    shards = Shards(services.pool, {"west": services.pool})
    assert await unguarded_definitions(shards) == ""
    await superuser.execute(way)
    told = await unguarded_definitions(shards)
    assert "database of home, west" in told
    assert told.endswith(f"--file={SUPERUSER_SQL}")
    for _ in range(2):
        await superuser.execute(SUPERUSER_SQL.read_text(encoding="utf-8"))
        assert await unguarded_definitions(shards) == ""


async def test_nobody_but_the_owner_creates_in_public(app_dsn: str) -> None:
    """PostgreSQL 14 lets everybody put functions there, which others' statements would find."""
    application = await asyncpg.connect(app_dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute("create table public.mine (id int)")
    await application.close()
