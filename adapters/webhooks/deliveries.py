"""What endpoints still have to get, and whose turn it is to be looked after; what is written is written under a lease.

An endpoint is one deliverer's own for half a minute at a time. Whoever was killed, or hung, in the meantime finds its
lease gone, and writes nothing any more; what it had sent without writing that down is sent again.
"""

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from pydantic import AwareDatetime

from adapters.crypto.webhook_secrets import KEY_ID_BYTES, WebhookSecrets
from adapters.postgres.connection import Pool, transaction, translated_errors
from adapters.postgres.statements import load
from adapters.webhooks.events import event_of, heard, publish
from domain.messages import Message
from domain.webhooks import DisabledBecause, PublishedEvent

_SQL = load(__name__)
LEASE: Final = timedelta(seconds=30)
# What one endpoint has waiting at most; the rest stands in the log.
WINDOW: Final = 1_000
_MOST_SCANNED: Final = 5_000
_MOST_DUE: Final = 500


class Claim(Message):
    """An endpoint that is ours for a while."""

    webhook_id: UUID
    lease: UUID
    licence_number: str | None
    url: str
    types: list[str]
    secret: bytes
    previous_secret: bytes | None
    previous_until: AwareDatetime | None
    failures: int

    def sealed_secrets(self, now: datetime) -> list[bytes]:
        """Return the secrets that sign now, newest first."""
        before = self.previous_secret if self.previous_until and self.previous_until > now else None
        return [self.secret, *([before] if before else [])]


@dataclass(frozen=True, slots=True)
class Due:
    """An event that an endpoint has to get."""

    event: PublishedEvent
    attempts: int


class Deliveries:
    """Keeps who has to get what; `pool` is connected as sb_owner."""

    def __init__(self, pool: Pool, window: int = WINDOW, lease: timedelta = LEASE) -> None:
        self._pool = pool
        self._lease = lease
        self._window = window

    async def endpoints(self) -> int:
        """Return how many endpoints are told anything."""
        with translated_errors():
            found: int = await self._pool.fetchval(_SQL["endpoints"])
        return found

    async def reseal(self, secrets: WebhookSecrets) -> int:
        """Seal with the newest key what another one sealed, which can be dropped then; return how many there were."""
        async with transaction(self._pool) as connection:
            rows = await connection.fetch(_SQL["sealed_with_others"], secrets.newest, KEY_ID_BYTES)
            for row in rows:
                sealed = [row["secret"], row["previous_secret"]]
                anew = [
                    secrets.seal(row["webhook_id"], secrets.open(row["webhook_id"], one)) if one else None
                    for one in sealed
                ]
                await connection.execute(_SQL["reseal"], row["webhook_id"], *sealed, *anew)
            return len(rows)

    async def sealed_with(self) -> Counter[str]:
        """Return how many endpoints have a secret that is sealed with each key, by the key's name."""
        with translated_errors():
            rows = await self._pool.fetch(_SQL["sealed_with"], KEY_ID_BYTES)
        return Counter({row["key_id"]: row["webhooks"] for row in rows})

    async def claim(self) -> Claim | None:
        """Take the endpoint whose turn it is, if it is anybody's; what was committed since has its position by then."""
        lease = uuid.uuid4()
        with translated_errors():
            async with self._pool.acquire() as connection:
                await publish(connection)
                row = await connection.fetchrow(_SQL["claim"], lease, self._lease, self._window)
        return None if row is None else Claim.model_validate({**row, "lease": lease})

    async def renew(self, claim: Claim) -> bool:
        """Keep an endpoint for another while; False when it is somebody else's by now, or gone."""
        with translated_errors():
            return _did(await self._pool.execute(_SQL["renew"], claim.webhook_id, claim.lease, self._lease))

    async def take_in(self, claim: Claim) -> bool:
        """Let an endpoint have deliveries from the log; False when it is somebody else's by now."""
        async with transaction(self._pool) as connection:
            held = await connection.fetchrow(_SQL["hold"], claim.webhook_id, claim.lease)
            if held is None:
                return False
            room = self._window - held["pending"]
            if room > 0:
                wanted = heard(claim.licence_number, claim.types)
                at = await connection.fetchval(
                    _SQL["take_in"], claim.webhook_id, held["position"], *wanted, _MOST_SCANNED, room
                )
                await connection.execute(_SQL["move_on"], claim.webhook_id, at)
            return True

    async def due(self, claim: Claim, transfers: int) -> list[list[Due]]:
        """Return what has to be sent now, by transfer and in order, of so many transfers at most."""
        with translated_errors():
            rows = await self._pool.fetch(_SQL["due"], claim.webhook_id, transfers, _MOST_DUE)
        found: dict[UUID, list[Due]] = {}
        for row in rows:
            found.setdefault(row["transfer_id"], []).append(Due(event_of(row), row["attempts"]))
        return list(found.values())

    async def taken(self, claim: Claim, position: int) -> bool:
        """Write down that an event has arrived; False when the endpoint is somebody else's by now."""
        with translated_errors():
            return _did(await self._pool.execute(_SQL["taken"], claim.webhook_id, claim.lease, position))

    async def not_taken(self, claim: Claim, position: int, *, pause: timedelta, patience: timedelta) -> bool | None:
        """Let an event be tried again after a pause; return whether it has failed for longer than anybody's patience.

        None when the endpoint is somebody else's by now.
        """
        with translated_errors():
            given_up: bool | None = await self._pool.fetchval(
                _SQL["not_taken"], claim.webhook_id, claim.lease, position, pause, patience
            )
        return given_up

    async def disable(self, claim: Claim, why: DisabledBecause) -> None:
        """Send nothing there any more; what it has not got is kept."""
        with translated_errors():
            await self._pool.execute(_SQL["disable"], claim.webhook_id, claim.lease, why)

    async def release(
        self, claim: Claim, *, failures: int, pause: timedelta, problem: str | None, delivered: bool
    ) -> None:
        """Let go of an endpoint, which is looked after again after a pause."""
        moment = datetime.now(UTC) if delivered else None
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["release"], claim.webhook_id, claim.lease, failures, pause, problem, moment)


def _did(command_tag: str) -> bool:
    return not command_tag.endswith(" 0")
