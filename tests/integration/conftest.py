"""Seeded books for the tests that need them: made once per session, copied per test."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.migrations import migrate_control, migrate_environment
from adapters.postgres.shards import settle
from devstack.postgres import EmbeddedPostgres
from devstack.seed import seed
from domain.naming import schema_name_of
from tests.conftest import QUICK, temporary_database
from tests.integration.across_shards import WEST
from tests.integration.pending_clone import PendingClone, scheduled_move
from tests.integration.services import Services
from tests.tools.older_postgres import older_postgres
from tests.tools.paths import TOOLS

SEED_LINES = 3000
_TEMPLATE = "seeded_template"


@dataclass(frozen=True)
class CopiedEnvironment:
    """A transfer whose new environment holds every row of the old one; nothing has been changed in it yet."""

    pool: Pool
    transfer_id: UUID
    old_schema: str
    new_schema: str


@pytest.fixture(scope="session")
async def seeded_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with seeded environments, to copy from; nobody is connected to it."""
    connection = await asyncpg.connect(postgres.dsn("sb_owner", "postgres"))
    await connection.execute(f"create database {_TEMPLATE} template sb owner sb_owner")
    await connection.close()
    pool = await connect_pool(postgres.dsn("sb_owner", _TEMPLATE), application_name="seed for tests")
    await seed(pool, journal_lines=SEED_LINES, base_domain="sb.example")
    await pool.close()
    return _TEMPLATE


@pytest.fixture(scope="session")
async def elder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL 15 that is the cell in the west."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("elder"), settings=QUICK, programs=older_postgres(TOOLS))
    await server.start()
    try:
        await migrate_control(server.dsn())
        await settle(server.dsn(), WEST)
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def seeded_database(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[Pool]:
    """Connect to a copy of the seeded database, as sb_owner; it is dropped afterwards."""
    async with temporary_database(postgres, template) as name:
        pool = await connect_pool(postgres.dsn("sb_owner", name), application_name="test on seeded books")
        yield pool
        await pool.close()


@pytest.fixture
async def seeded(postgres: EmbeddedPostgres, seeded_template: str) -> AsyncIterator[Pool]:
    """Connections to a seeded database of the test's own, as sb_owner."""
    async with seeded_database(postgres, seeded_template) as pool:
        yield pool


@pytest.fixture
async def switch(seeded: Pool) -> CopiedEnvironment:
    """`enyoi` on its way to another firm."""
    return await copied(seeded, "enyoi", new_licence="10002", scenario="switch")


@pytest.fixture
async def insource(seeded: Pool) -> CopiedEnvironment:
    """A firm's customer on its way to a licence of its own."""
    return await copied(seeded, "Bloemisterij Smit", new_licence="20002", scenario="insource")


@pytest.fixture
async def services(dsn: str) -> AsyncIterator[Services]:
    """The adapters on a database of the test's own."""
    async with Services(dsn) as made:
        yield made


@pytest.fixture
async def move(dsn: str) -> AsyncIterator[PendingClone]:
    """An empty environment with a scheduled transfer."""
    async with scheduled_move(dsn) as prepared:
        yield prepared


async def copied(pool: Pool, name: str, *, new_licence: str, scenario: str) -> CopiedEnvironment:
    """Copy a seeded environment under another licence, as a finished clone would be, and make its transfer's row."""
    old = await pool.fetchrow("select environment_id, schema_name from control.environment where name = $1", name)
    assert old is not None
    new_id, transfer_id = uuid.uuid4(), uuid.uuid4()
    new_schema = schema_name_of(new_id)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"create schema {new_schema}")
        await migrate_environment(connection, new_schema)
        await connection.execute("set local session_replication_role = replica")
        tables = await connection.fetch(
            "select relname from pg_class where relnamespace = $1::text::regnamespace and relkind = 'r'", new_schema
        )
        for (table,) in tables:
            await connection.execute(f"insert into {new_schema}.{table} select * from {old['schema_name']}.{table}")
        await connection.execute(
            "insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, "
            "status, mailbox_address) values ($1, $2, 'Nieuw', 'nieuw', 'https://x.sb.example/nieuw', $3, 'building', "
            "'nieuw@x.mailbox.sb.example')",
            new_id,
            new_licence,
            new_schema,
        )
        await connection.execute(
            "insert into control.transfer (transfer_id, workflow_id, environment_id, new_environment_id, state, "
            "scenario) values ($1, 'transfer-x', $2, $3, 'cloning', $4)",
            transfer_id,
            old["environment_id"],
            new_id,
            scenario,
        )
    return CopiedEnvironment(pool, transfer_id, old["schema_name"], new_schema)
