"""Two environments that are equal, as somebody else would make them."""

from collections.abc import AsyncIterator

import pytest

from adapters.postgres.connection import Pool, connect_pool
from devstack.postgres import EmbeddedPostgres
from tests.conftest import temporary_database
from tests.integration.adapters.verify.twins import build


@pytest.fixture(scope="module")
async def pool(postgres: EmbeddedPostgres) -> AsyncIterator[Pool]:
    """A database with the old environment."""
    async with temporary_database(postgres) as name:
        opened = await connect_pool(postgres.dsn("sb_owner", name), max_size=4, application_name="verifier test")
        await build(opened, "env_old", backwards=False)
        yield opened
        await opened.close()


@pytest.fixture
async def twin(pool: Pool) -> Pool:
    """The same with a new environment beside the old one, which a test may damage."""
    await build(pool, "env_new", backwards=True)
    return pool
