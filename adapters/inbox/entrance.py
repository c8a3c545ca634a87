"""The entrance for mail and scans, as the API uses it; the platform's own mail server may call the functions in SQL."""

from datetime import datetime

from adapters.postgres.connection import Pool, translated_errors
from domain.vocabulary import DeliveryOutcome

# control.deliver refuses more: a larger item would be held in memory some times over on its way.
LARGEST_ITEM_BYTES = 25 * 1024 * 1024


class PostgresEntrance:
    """Takes in what comes for an address. See docs/decisions/0014-held-mail.md for what becomes of it."""

    def __init__(self, pool: Pool) -> None:
        """Take a pool that is connected as a role that may deliver."""
        self._pool = pool

    async def mail(self, address: str, message_id: str, raw: bytes, received_at: datetime) -> DeliveryOutcome:
        """Take in a mail, once by its Message-ID, or by its bytes when that is empty.

        Raises:
            Unavailable: The database does not answer, or somebody keeps locked what this needs.
        """
        with translated_errors():
            return DeliveryOutcome(
                await self._pool.fetchval(
                    "select control.deliver_mail($1, $2, $3, $4)", address, message_id, raw, received_at
                )
            )

    async def scan(
        self, address: str, document_id: str, name: str, content: bytes, received_at: datetime
    ) -> DeliveryOutcome:
        """Take in a scan, once by its document id; raises as `mail` does."""
        with translated_errors():
            return DeliveryOutcome(
                await self._pool.fetchval(
                    "select control.deliver_scan($1, $2, $3, $4, $5)", address, document_id, name, content, received_at
                )
            )
