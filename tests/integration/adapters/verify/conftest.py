"""Two environments that are equal, as somebody else would make them."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.postgres.connection import Pool, connect_pool
from devstack.postgres import EmbeddedPostgres
from tests.integration.adapters.verify.twins import build


@pytest.fixture(scope="module")
async def pool(postgres: EmbeddedPostgres) -> AsyncIterator[Pool]:
    """A database with the old environment."""
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres.dsn("sb_owner", "postgres"))
    await admin.execute(f"create database {name} template sb owner sb_owner")
    opened = await connect_pool(postgres.dsn("sb_owner", name), max_size=4, application_name="verifier test")
    await build(opened, "env_old", backwards=False)
    yield opened
    await opened.close()
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


@pytest.fixture
async def twin(pool: Pool) -> Pool:
    """The same with a new environment beside the old one, which a test may damage."""
    await build(pool, "env_new", backwards=True)
    return pool
