"""Mails operators, once for each evening and the morning after, how it went."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import asyncpg

from adapters.mail.evening_letter import evening_letter
from adapters.mail.messages import RenderedMail
from adapters.mail.smtp import OutgoingMail, SmtpClient
from adapters.postgres.connection import Pool, transaction
from adapters.postgres.statements import load
from adapters.transfer.evenings import PostgresEvenings
from domain.errors import MailDelayed, MailRejected, TransferError
from domain.vocabulary import Language
from domain.window import Window

_log = logging.getLogger("sb_transfer.evening_report")
_SQL = load("adapters.transfer.evenings")
_EVERY_SECONDS = 300.0
# What was nearly done when the window closed has ended, and what was put off has been dropped.
_AFTER = timedelta(minutes=10)
# A report of an evening longer ago helps nobody.
_LATEST = timedelta(hours=20)


class EveningReporter:
    """Every worker that sends mail runs one; the database knows which evening was reported."""

    def __init__(
        self,
        pool: Pool,
        window: Window,
        mail: SmtpClient,
        recipients: Sequence[str],
        *,
        support: str = "",
    ) -> None:
        """Take a pool that is connected as sb_owner, the window, and who is told by which server."""
        self._pool = pool
        self._window = window
        self._mail = mail
        self._recipients = recipients
        self._support = support

    async def keep_reporting(self) -> None:
        """Report each evening once it is over, until cancelled; a server that is away is tried again."""
        while True:
            try:
                await self.report(datetime.now(UTC))
            except (TransferError, asyncpg.PostgresError, OSError) as error:
                _log.warning("the report of the evening could not be sent: %s", type(error).__name__)
            await asyncio.sleep(_EVERY_SECONDS)

    async def report(self, now: datetime) -> date | None:
        """Mail the report of the evening that is over at a moment; return its day, or None when nothing was due.

        Nobody is told of an evening on which nothing was planned, and those who were told are not told again for others
        whose mail is not taken.

        Raises:
            MailRejected, MailDelayed: Nobody's mail was taken.
            Unavailable: The database does not answer.
        """
        day = self._over(now)
        if day is None or not self._recipients:
            return None
        evening = await PostgresEvenings(self._pool, self._window, slots=1).evening(day)
        if not evening.planned:
            return None
        letter = evening_letter(evening, self._window.zone, support=self._support)
        async with transaction(self._pool) as connection:
            # Held until all are told: another worker waits here, and finds that it was done.
            if await connection.fetchval(_SQL["hold_report"], day) is None:
                return None
            troubles = [error for one in self._recipients if (error := await self._tell(one, day, letter)) is not None]
            if len(troubles) == len(self._recipients):
                raise troubles[0]
        return day

    async def _tell(self, recipient: str, day: date, letter: RenderedMail) -> MailRejected | MailDelayed | None:
        mail = OutgoingMail(
            recipient=recipient,
            message_id=self._mail.message_id("evening", day.isoformat(), recipient),
            language=Language.DUTCH.value,
            subject=letter.subject,
            text=letter.text,
            html=letter.html,
        )
        try:
            await self._mail.send(mail)
        except (MailRejected, MailDelayed) as error:
            _log.warning("an operator did not get the report of the evening: %s", error)
            return error
        return None

    def _over(self, now: datetime) -> date | None:
        """Return the day of the newest evening whose window closed, if that is not long ago."""
        today = now.astimezone(self._window.zone).date()
        for day in (today, today - timedelta(days=1)):
            over = self._window.end_of_grace(self._window.opening_on(day)) + _AFTER
            if over <= now < over + _LATEST:
                return day
        return None
