"""A mailer on a real database and a real SMTP server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.mail.sender import PostgresMailer
from adapters.postgres.connection import Pool, connect_pool
from devstack.mail import MailCatcher
from tests.integration.mail_case import mailer_at


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await connect_pool(dsn, application_name="mailroom tests")
    yield pool
    await pool.close()


@pytest.fixture
async def catcher(tmp_path: Path) -> AsyncIterator[MailCatcher]:
    async with MailCatcher(tmp_path / "mail") as catcher:
        yield catcher


@pytest.fixture
def mailer(pool: Pool, catcher: MailCatcher) -> PostgresMailer:
    return mailer_at(pool, catcher.url)
