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
class KeptAnswer:
    """A response as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


class Standing(StrEnum):
    """Why a key cannot be worked on now."""

    AT_WORK = "at_work"
    OTHER_REQUEST = "other_request"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a request."""

    subject: str
    key: str
    attempt: UUID


class PostgresIdempotencyKeys:
    """Remembers what was answered; kept per caller, so that nobody meets another's answers."""

    def __init__(self, pool: Pool) -> None:
        """Take a pool that is connected as sb_owner."""
        self._pool = pool

    async def begin(self, subject: str, key: str, request_digest: bytes) -> Claim | KeptAnswer | Standing:
        """Take a key for a request (32 bytes of SHA-256), or tell what became of it.

        Raises:
            Unavailable: The database does not answer.
        """
        claim = Claim(subject, key, uuid4())
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["forget"], _KEPT_FOR)
            taken: str = await connection.execute(
                _SQL["begin"], subject, key, request_digest, claim.attempt, _DEAD_AFTER
            )
            if taken.endswith(" 1"):
                return claim
            kept = await connection.fetchrow(_SQL["answer_of"], subject, key)
        if kept is not None and kept["request_digest"] != request_digest:
            return Standing.OTHER_REQUEST
        if kept is None or kept["status"] is None:
            return Standing.AT_WORK
        return KeptAnswer(kept["status"], json.loads(kept["headers"]), kept["body"])

    async def finish(self, claim: Claim, answer: KeptAnswer) -> None:
        """Keep the answer to a request."""
        async with transaction(self._pool) as connection:
            await connection.execute(
                _SQL["finish"],
                *(claim.subject, claim.key, claim.attempt),
                *(answer.status, json.dumps(answer.headers), answer.body),
            )

    async def abandon(self, claim: Claim) -> None:
        """Let the same key be tried again: nothing was done, or it is not known what."""
        async with transaction(self._pool) as connection:
            await connection.execute(_SQL["abandon"], claim.subject, claim.key, claim.attempt)
