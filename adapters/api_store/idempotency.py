"""Answers kept by Idempotency-Key: whoever did not hear one may ask again, and nothing is done twice.

The header is that of the IETF draft "The Idempotency-Key HTTP Header Field".
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from adapters.postgres.connection import Pool, transaction
from adapters.postgres.statements import load

_SQL = load(__name__)
# As long as a backend may go on retrying; the platform's own queue gives up after an hour.
_KEPT_FOR = timedelta(days=1)
# No route works for longer: the slowest waits two minutes for a freeze.
_DEAD_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


class KeyConflict(StrEnum):
    """Why a key cannot be worked on now."""

    IN_PROGRESS = "in_progress"
    DIFFERENT_REQUEST = "different_request"


@dataclass(frozen=True, slots=True)
class KeyLease:
    """The right to work on a request."""

    subject: str
    key: str
    attempt: UUID


class PostgresIdempotencyKeys:
    """Remembers what was answered; kept per caller, so that nobody meets another's answers."""

    def __init__(self, pool: Pool) -> None:
        """Take a pool that is connected as sb_owner."""
        self._pool = pool

    async def begin(self, subject: str, key: str, request_digest: bytes) -> KeyLease | StoredResponse | KeyConflict:
        """Take a key for a request (32 bytes of SHA-256), or tell what became of it.

        Raises:
            Unavailable: The database does not answer.
        """
        lease = KeyLease(subject, key, uuid4())
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["forget"], _KEPT_FOR)
            taken: str = await connection.execute(
                _SQL["begin"], subject, key, request_digest, lease.attempt, _DEAD_AFTER
            )
            if taken.endswith(" 1"):
                return lease
            kept = await connection.fetchrow(_SQL["answer_of"], subject, key)
        if kept is not None and kept["request_digest"] != request_digest:
            return KeyConflict.DIFFERENT_REQUEST
        if kept is None or kept["status"] is None:
            return KeyConflict.IN_PROGRESS
        return StoredResponse(kept["status"], json.loads(kept["headers"]), kept["body"])

    async def finish(self, lease: KeyLease, answer: StoredResponse) -> None:
        """Keep the answer to a request."""
        async with transaction(self._pool) as connection:
            await connection.execute(
                _SQL["finish"],
                *(lease.subject, lease.key, lease.attempt),
                *(answer.status, json.dumps(answer.headers), answer.body),
            )

    async def abandon(self, lease: KeyLease) -> None:
        """Let the same key be tried again: nothing was done, or it is not known what."""
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["abandon"], lease.subject, lease.key, lease.attempt)
