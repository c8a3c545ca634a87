"""Who gets which mail, and what became of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from adapters.mail.addresses import address_key
from adapters.mail.messages import MailFacts, MailRenderer, Recipient, merged, read_facts, recipients_of
from adapters.mail.smtp import Attachment, MailRefusedToUs, MailServerAway, OutgoingMail, SmtpClient
from adapters.observability.metrics import UNMEASURED, Metrics
from adapters.postgres.connection import Connection, Pool, translated_errors
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import record_event
from domain.errors import MailDelayed, MailRejected, Superseded, TransferError, WrongMoment
from domain.events import EventKind
from domain.messages import MailProblem, MailSent, SendMail
from domain.messages.mail import MOST_NAMED
from domain.naming import certificate_file_name
from domain.vocabulary import Language, MailKind, TransferState

_SQL = load(__name__)
_ACTOR = "mailer"
_PATIENCE = "15s"
# With the last mail's own minute, an attempt stays within the two that somebody waits for a resend.
_BUDGET_SECONDS = 45.0
_BATCH = 100
_TOLD_OF_USERS = {"email", "full_name", "language", "role"}
_LONGEST_NAMED = 500
_UPLOADED = (TransferState.SCHEDULED, TransferState.CLONING, TransferState.AWAITING_RELEASE, TransferState.RELEASED)
# What a mail tells has happened in these states only; the first one of a kind is sent when it has, too.
_HAPPENED = {
    MailKind.UPLOAD_ACCEPTED: _UPLOADED,
    MailKind.READY: (TransferState.AWAITING_RELEASE, TransferState.RELEASED),
    MailKind.RELEASED: (TransferState.RELEASED,),
    MailKind.INVITATION: (TransferState.RELEASED,),
    MailKind.MAILBOX_CLOSED: (TransferState.RELEASED,),
    MailKind.RETIREMENT_PLANNED: (TransferState.RELEASED,),
    MailKind.RETIRED: (TransferState.RELEASED,),
}
_TURNED_AROUND = (TransferState.UNDOING, TransferState.UNDONE)
# A reminder that comes late is a lie: it is for one state only.
_REMINDERS = {
    MailKind.TICKET_REMINDER: (TransferState.PREPARING, TransferState.AWAITING_UPLOAD),
    MailKind.RELEASE_REMINDER: (TransferState.AWAITING_RELEASE,),
}


class PostgresMailer:
    """Plays `domain.ports.Mailer`: recipients and facts from the database, one row of `control.sent_mail` per mail.

    What is promised: a mail that is marked sent is not sent again by a retry, and two senders never work on one kind
    of one transfer at once. What SMTP cannot promise is "exactly once": between the server's acceptance and our
    commit lies a moment in which a crash, or a reply that is lost on its way, leaves a mail delivered and unmarked. It
    is then sent again with the same Message-ID, by which receivers recognise it.
    """

    def __init__(
        self,
        pool: Pool,
        mailer: SmtpClient,
        zone: ZoneInfo,
        *,
        support: str = "",
        cancel_licence_url: str = "",
        platform_invites: bool = False,
        shards: Shards | None = None,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        """Take the collaborators.

        Args:
            pool: Connections as sb_owner; a send keeps one while it runs.
            mailer: The way out.
            zone: The clock that mails speak of.
            support: Where whoever has a question is helped: an address, a url or a number.
            cancel_licence_url: Where a licence is cancelled; `{licence}` stands for its number.
            platform_invites: Whether the platform invites users: it is told whom, and no letter goes out.
            shards: Where environments live that are not in the pool's database.
            metrics: Count attempts.
        """
        self._pool = pool
        self._shards = shards or Shards(pool)
        self._mailer = mailer
        self._platform_invites = platform_invites
        self._writer = MailRenderer(
            zone, support=support, cancel_licence_url=cancel_licence_url, platform_invites=platform_invites
        )
        self._metrics = metrics

    async def send(self, order: SendMail) -> MailSent:
        """Send a kind of mail to everybody it is for and who did not get it yet, or to `only_to` in any case.

        One recipient's refusal stops nobody else's mail; it is returned as a problem, and tried again when the order
        is given again.

        Returns:
            How many of the recipients have the mail now, and who cannot get it.

        Raises:
            MailDelayed: After all were tried: some can get it later. Give the same order again. An order that says
                `tell_delays` finds them in the answer instead, each with what the server said.
            Superseded: The transfer is being undone, and this mail would tell otherwise.
            TransferUnknown: No such transfer.
            WrongMoment: What this mail tells has not happened (yet).
        """
        with translated_errors():
            async with self._pool.acquire() as connection, _sole_sender(connection, order.transfer_id, order.kind):
                async with connection.transaction():
                    facts = await read_facts(connection, order.transfer_id, order.kind, shards=self._shards)
                    _check_moment(facts, order.kind)
                    if facts.transfer.state not in _REMINDERS.get(order.kind, tuple(TransferState)):
                        return MailSent(sent=0)
                    if order.kind is MailKind.INVITATION and self._platform_invites:
                        return MailSent(sent=0, already=await _hand_over(connection, order.transfer_id, facts))
                    known = await connection.fetch(_SQL["known"], order.transfer_id)
                    recipients = await asyncio.to_thread(self._recipients, known, facts, order)
                    attachments = await _attachments(connection, facts, order)
                mine = {row["recipient"]: row for row in known if _is_of(row, order)}
                again = order.only_to is not None
                due = [
                    one
                    for one in recipients
                    if again or one.address not in mine or mine[one.address]["status"] != "sent"
                ]
                attempts = {address: int(row["attempts"]) for address, row in mine.items()}
                due.sort(key=lambda one: attempts.get(one.address, 0))  # whom nobody has tried yet comes first
                untried = sum(not attempts.get(one.address, 0) for one in due)
                mails = self._planned(connection, order, due, facts, attachments)
                sent = await self._send_all(connection, order, mails, len(due), len(recipients) - len(due))
                # Those that were tried before are no reason to begin again at once.
                left = max(untried - (len(due) - sent.left), 0)
                left_out = sent.left_out + sent.left - left
                return sent.model_copy(update={"left": left, "left_out": left_out})

    async def _planned(
        self,
        connection: Connection,
        order: SendMail,
        due: list[Recipient],
        facts: MailFacts,
        attachments: tuple[Attachment, ...],
    ) -> AsyncIterator[OutgoingMail]:
        """Write and note the mails, some at a time: all of 20,000 would hold up everybody else's work for minutes."""

        def written(some: list[Recipient]) -> list[OutgoingMail]:
            return [self._outgoing(facts, order, one, attachments) for one in some]

        for first in range(0, len(due), _BATCH):
            mails = await asyncio.to_thread(written, due[first : first + _BATCH])
            columns = [
                [getattr(mail, name) for mail in mails] for name in ("recipient", "message_id", "language", "subject")
            ]
            await connection.execute(_SQL["plan"], order.transfer_id, order.kind, order.occurrence, *columns)
            for mail in mails:
                yield mail

    async def _send_all(
        self, connection: Connection, order: SendMail, mails: AsyncIterator[OutgoingMail], due: int, already: int
    ) -> MailSent:
        done, tried, left_out = already, 0, 0
        problems: list[MailProblem] = []
        waiting: list[MailProblem] = []
        started = time.monotonic()
        async for mail in mails:
            if tried and time.monotonic() - started > _BUDGET_SECONDS:
                break
            tried += 1
            key = (order.transfer_id, order.kind, mail.recipient, order.occurrence)
            if await connection.fetchval(_SQL["begin_attempt"], *key) is None:
                raise Superseded("The transfer turned around while its mail was being sent. The rest is not sent.")
            try:
                await self._mailer.send(mail)
            except MailRejected as error:
                self._metrics.mail_attempts.add(1, {"outcome": "failed"})
                await connection.execute(_SQL["mark_failed"], *key, error.english, _ACTOR)
                left_out += _name(problems, order, mail, error)
            except MailDelayed as error:
                refused = isinstance(error, MailRefusedToUs)  # an alert: nothing gets better by waiting
                self._metrics.mail_attempts.add(1, {"outcome": "refused" if refused else "delayed"})
                await connection.execute(_SQL["mark_delayed"], *key, error.english)
                left_out += _name(waiting, order, mail, error)
                if isinstance(error, MailServerAway):
                    # The others would only wait for the same server's timeout.
                    left_out += due - tried
                    tried = due
                    break
            else:
                self._metrics.mail_attempts.add(1, {"outcome": "sent"})
                await connection.execute(_SQL["mark_sent"], *key, _ACTOR)
                done += 1
        if waiting and not order.tell_delays:
            raise MailDelayed(waiting[0].problem)
        return MailSent(
            sent=done,
            already=already,
            problems=problems,
            waiting=waiting,
            left_out=left_out,
            left=due - tried,
        )

    def _outgoing(
        self, facts: MailFacts, order: SendMail, recipient: Recipient, attachments: tuple[Attachment, ...]
    ) -> OutgoingMail:
        letter = self._writer.write(order.kind, facts, recipient)
        which = order.kind if order.occurrence == 1 else f"{order.kind} {order.occurrence}"
        return OutgoingMail(
            recipient=recipient.address,
            message_id=self._mailer.message_id(str(order.transfer_id), which, address_key(recipient.address)),
            language=recipient.language,
            subject=letter.subject,
            text=letter.text,
            html=letter.html,
            attachments=attachments,
        )

    def _recipients(self, known: list[asyncpg.Record], facts: MailFacts, order: SendMail) -> list[Recipient]:
        theirs = recipients_of(facts, order.kind)
        if order.kind is MailKind.UNDONE:
            theirs = _had_something(known, theirs)
        spelled = {address_key(row["recipient"]): row["recipient"] for row in known if row["kind"] == order.kind}
        theirs = [replace(each, address=spelled.get(address_key(each.address), each.address)) for each in theirs]
        if order.only_to is None:
            return theirs
        wanted = " ".join(order.only_to.replace("\0", " ").split())  # what is no address is refused, and noted, as one
        for each in theirs:
            if address_key(each.address) == address_key(wanted):
                return [each]
        # Somebody else is to read what the first recipient reads.
        like = theirs[0] if theirs else Recipient(wanted, Language.DUTCH, old_side=True, new_side=True)
        return [replace(like, address=spelled.get(address_key(wanted), wanted), full_name="")]


async def _hand_over(connection: Connection, transfer_id: UUID, facts: MailFacts) -> int:
    """Tell the platform whom to invite, once, some users with each event; return how many they are."""
    users = [user.model_dump(mode="json", include=_TOLD_OF_USERS) for user in facts.contents.users]
    if not await connection.fetchval(_SQL["is_handed_over"], transfer_id):
        parts = [users[first : first + _BATCH] for first in range(0, len(users), _BATCH)]
        for number, part in enumerate(parts, 1):
            detail = {"users": part, "part": number, "parts": len(parts)}
            await record_event(connection, transfer_id, EventKind.USERS_TO_INVITE, detail=detail)
    return len(users)


def _is_of(row: asyncpg.Record, order: SendMail) -> bool:
    return bool(row["kind"] == order.kind and row["occurrence"] == order.occurrence)


async def _attachments(connection: Connection, facts: MailFacts, order: SendMail) -> tuple[Attachment, ...]:
    """Return what goes with a mail: the certificate with the one that says that the new environment is ready."""
    if order.kind is not MailKind.READY or not facts.certificate_key:
        return ()
    document = await connection.fetchval(_SQL["certificate"], order.transfer_id)
    return (Attachment(certificate_file_name(facts.new.url.rpartition("/")[2]), document.encode()),)


def _name(problems: list[MailProblem], order: SendMail, mail: OutgoingMail, error: TransferError) -> bool:
    """Name a problem, if there is room for it; return whether it is left out."""
    if len(problems) >= MOST_NAMED:
        return True
    recipient, problem = mail.recipient[:_LONGEST_NAMED], error.english[:_LONGEST_NAMED]
    problems.append(MailProblem(kind=order.kind, recipient=recipient, problem=problem))
    return False


def _check_moment(facts: MailFacts, kind: MailKind) -> None:
    turned_around = facts.transfer.state in _TURNED_AROUND
    if kind is MailKind.UNDONE:
        if not turned_around:
            raise WrongMoment
    elif turned_around:
        raise Superseded
    elif facts.transfer.state not in _HAPPENED.get(kind, tuple(TransferState)) or (
        kind is MailKind.MAILBOX_CLOSED and facts.forward_until is not None  # the old address still leads somewhere
    ):
        raise WrongMoment(
            f"What the mail {kind} tells has not happened: the transfer is {facts.transfer.state}. "
            "It is sent by itself when it has.",
            dutch=WrongMoment.dutch,
        )


def _had_something(known: list[asyncpg.Record], theirs: list[Recipient]) -> list[Recipient]:
    """Return everybody who got an earlier mail of this transfer, or may have: no answer to the attempt is known."""
    parties = {address_key(each.address): each for each in theirs}
    found = []
    for row in known:
        unanswered = row["status"] == "pending" and row["attempts"] > 0 and row["problem"] is None
        if row["kind"] == MailKind.UNDONE or not (row["status"] == "sent" or unanswered):
            continue
        party = parties.get(address_key(row["recipient"]))
        to_old = row["kind"] in (MailKind.TICKET_ISSUED, MailKind.TICKET_REMINDER)
        to_new = row["kind"] in (MailKind.READY, MailKind.RELEASE_REMINDER)
        found.append(
            party
            or Recipient(
                row["recipient"],
                Language(row["language"]),
                old_side=to_old or not to_new,
                new_side=to_new or not to_old,
            )
        )
    return merged(found)


@asynccontextmanager
async def _sole_sender(connection: Connection, transfer_id: UUID, kind: MailKind) -> AsyncIterator[None]:
    """Keep other senders of this kind of mail out, over all the transactions of a send.

    The lock is the connection's own: when this process dies, or the pool takes the connection back, it is free.
    """
    async with connection.transaction():
        await connection.execute("select set_config('lock_timeout', $1, true)", _PATIENCE)
        await connection.execute(_SQL["hold"], transfer_id, kind)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(_SQL["let_go"], transfer_id, kind)
