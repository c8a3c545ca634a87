"""Seeded environments for tests that only read them."""

from collections.abc import AsyncIterator

import pytest

from adapters.postgres.connection import Pool
from devstack.postgres import EmbeddedPostgres
from tests.integration.conftest import seeded_database


@pytest.fixture(scope="module")
async def books(postgres: EmbeddedPostgres, seeded_template: str) -> AsyncIterator[Pool]:
    """Seeded environments that no test changes."""
    async with seeded_database(postgres, seeded_template) as pool:
        yield pool
