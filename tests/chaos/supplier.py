"""A supplier whose mails come in while an environment moves and servers die: each is to be there once, in order."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Pool

_PAUSE_SECONDS = 0.25
_PATIENCE_SECONDS = 30.0
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Supplier:
    """Sends mails to one environment's address, one after the other, each until it has an answer."""

    def __init__(self, pool: Pool, environment_id: UUID) -> None:
        """Take a pool of the home database, and whose address it is."""
        self._pool = pool
        self._environment_id = environment_id
        self._address = ""
        self._sent: list[bytes] = []
        self._unexpected: list[str] = []
        self._stop = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send."""
        self._address = await self._pool.fetchval(
            "select mailbox_address from control.environment where environment_id = $1", self._environment_id
        )
        self._sending = asyncio.create_task(self._keep_sending())

    async def stop(self) -> None:
        """Send the mail that is at work to its end, and no more."""
        self._stop.set()
        if self._sending is not None:
            await self._sending

    async def _keep_sending(self) -> None:
        while not self._stop.is_set():
            mail = b"Subject: %d\r\n\r\n%s" % (len(self._sent), self._environment_id.bytes)
            outcome = await self._send(mail, f"{self._environment_id} {len(self._sent)}")
            if outcome == "closed":
                return  # the 30 days are over
            if outcome not in {"delivered", "held", "duplicate"}:
                self._unexpected.append(outcome)
            self._sent.append(mail)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _send(self, mail: bytes, key: str) -> str:
        while True:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    return str(
                        await self._pool.fetchval(
                            "select control.deliver_mail($1, $2, $3, $4)", self._address, key, mail, datetime.now(UTC)
                        )
                    )
            except _AWAY:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def wrong(self, schema: str) -> list[str]:
        """Return what is wrong with what has come in where the environment's books are now."""
        rows = await self._pool.fetch(
            f'select raw from "{schema}".mailbox_message where raw = any ($1::bytea[]) order by id', self._sent
        )
        got = [row["raw"] for row in rows]
        found = [f"a mail was {outcome}" for outcome in self._unexpected]
        if lost := len(set(self._sent) - set(got)):
            found.append(f"{lost} of {len(self._sent)} mails were lost")
        if doubled := len(got) - len(set(got)):
            found.append(f"{doubled} mails were doubled")
        if not found and got != self._sent:
            found.append("mails are out of order")
        return found
