"""Endpoints as their owners see them: registered, listed, changed, deleted, given another secret, told again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from pydantic import AwareDatetime

from adapters.crypto.webhook_secrets import WebhookSecrets, new_secret, shown
from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.statements import load
from adapters.webhooks.addresses import AddressRules
from adapters.webhooks.events import last_position, publish
from domain.errors import TooManyWebhooks, WebhookUnknown
from domain.messages import Message
from domain.webhooks import BOTH_SECRETS_FOR, DisabledBecause

_SQL = load(__name__)
# Of one licence, or of the platform.
MOST_OF_ONE = 20


class Endpoint(Message):
    """An endpoint, and how its deliveries go."""

    webhook_id: UUID
    licence_number: str | None
    url: str
    types: list[str]
    description: str
    created_at: AwareDatetime
    previous_until: AwareDatetime | None
    disabled_at: AwareDatetime | None
    disabled_because: DisabledBecause | None
    failing_since: AwareDatetime | None
    last_problem: str | None
    last_delivered_at: AwareDatetime | None
    next_attempt_at: AwareDatetime | None
    pending: int


class PostgresWebhooks:
    """Keeps endpoints; `pool` is connected as sb_owner or sb_api."""

    def __init__(self, pool: Pool, secrets: WebhookSecrets, rules: AddressRules) -> None:
        self._pool = pool
        self._secrets = secrets
        self._rules = rules

    async def register(
        self,
        webhook_id: UUID,
        *,
        licence: str | None,
        url: str,
        types: Sequence[str],
        description: str,
        created_by: str,
        after: int | None = None,
    ) -> tuple[Endpoint, str]:
        """Register an endpoint and return it with its secret; the same id again gets another secret.

        Args:
            webhook_id: The id to give it.
            licence: Whose half it hears of; None for the platform.
            url: Where events go.
            types: Which; none is all.
            description: For people.
            created_by: Who asks.
            after: The position in the feed behind which it begins; now, if left out.

        Raises:
            WebhookUrlRefused: Events may not be sent there.
            TooManyWebhooks: There are enough.
            Unavailable: The database does not answer.
        """
        await self._rules.require_allowed(url)
        secret = new_secret()
        sealed = self._secrets.seal(webhook_id, secret)
        async with transaction(self._pool) as connection:
            await publish(connection)
            # Two at once for one owner are counted one after the other.
            await connection.execute(_SQL["lock_owner"], licence or "")
            if await connection.fetchval(_SQL["count_others"], licence, webhook_id) >= MOST_OF_ONE:
                raise TooManyWebhooks
            position = await last_position(connection) if after is None else after
            await connection.execute(
                _SQL["register"], webhook_id, licence, url, list(types), description, sealed, created_by, position
            )
            return await self._one(connection, webhook_id), shown(secret)

    async def listed(self, *, licence: str | None, everything: bool, after: UUID | None, limit: int) -> list[Endpoint]:
        """Return endpoints by id: those of a licence or, with `everything`, of all when none is given."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(_SQL["listed"], licence, everything, after, limit)
        return [_endpoint(row) for row in rows]

    async def one(self, webhook_id: UUID) -> Endpoint:
        """Return an endpoint.

        Raises:
            WebhookUnknown: There is none.
        """
        async with transaction(self._pool) as connection:
            return await self._one(connection, webhook_id)

    async def change(
        self,
        webhook_id: UUID,
        *,
        url: str | None = None,
        types: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """Change what is given; one that is enabled again goes on where it stopped.

        Raises:
            WebhookUrlRefused: Events may not be sent there.
            WebhookUnknown: There is none.
        """
        if url is not None:
            await self._rules.require_allowed(url)
        async with transaction(self._pool) as connection:
            await connection.execute(
                _SQL["change"], webhook_id, url, None if types is None else list(types), description, enabled
            )
            if enabled or url is not None:
                await connection.execute(_SQL["try_at_once"], webhook_id)
            return await self._one(connection, webhook_id)

    async def delete(self, webhook_id: UUID) -> None:
        """Forget an endpoint, and what it has not got."""
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["delete"], webhook_id)

    async def rotate(self, webhook_id: UUID) -> tuple[Endpoint, str]:
        """Give an endpoint another secret; for a day the one before it signs as well.

        Raises:
            WebhookUnknown: There is none.
        """
        secret = new_secret()
        until = datetime.now(UTC) + BOTH_SECRETS_FOR
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["rotate"], webhook_id, self._secrets.seal(webhook_id, secret), until)
            return await self._one(connection, webhook_id), shown(secret)

    async def redeliver(self, webhook_id: UUID, *, after: int) -> Endpoint:
        """Let an endpoint be told again of all behind a position.

        Raises:
            WebhookUnknown: There is none.
        """
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["redeliver"], webhook_id, after)
            return await self._one(connection, webhook_id)

    async def _one(self, connection: Connection, webhook_id: UUID) -> Endpoint:
        row = await connection.fetchrow(_SQL["one"], webhook_id)
        if row is None:
            raise WebhookUnknown
        return _endpoint(row)


def _endpoint(row: asyncpg.Record) -> Endpoint:
    return Endpoint.model_validate(dict(row))
