"""The record of who read histories in plain text."""

from dataclasses import dataclass
from typing import Literal

from adapters.postgres.connection import Pool, transaction
from adapters.postgres.statements import load

_SQL = load(__name__)


@dataclass(frozen=True, slots=True)
class DecodeRecord:
    """One request to the codec server."""

    subject: str
    name: str
    roles: tuple[str, ...]
    action: Literal["decode", "encode"]
    payloads: int
    namespace: str
    """What the asker said; the protocol names no workflow."""


class PostgresDecodeAudit:
    """Keeps the record; nothing in it can be changed, and nothing deleted for a year."""

    def __init__(self, pool: Pool) -> None:
        """Take a pool that is connected as sb_owner."""
        self._pool = pool

    async def record(self, entry: DecodeRecord) -> None:
        """Write a line.

        Raises:
            Unavailable: The database does not answer, so nobody gets to read anything.
        """
        async with transaction(self._pool) as connection:
            await connection.execute(
                _SQL["record"],
                *(entry.subject, entry.name, list(entry.roles)),
                *(entry.action, entry.payloads, entry.namespace),
            )
