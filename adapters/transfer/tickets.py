"""Issues, hands out and revokes the `<url>-overdracht-ticket.avr` (manual, Overdragen voorbereiden)."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from adapters.crypto.ticket_seal import TicketClaims, TicketSeal
from adapters.postgres.connection import Connection, Pool, transaction, translated_errors
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import environment_row, lock_for_step, lock_for_undo, one, record_event
from domain import messages as m
from domain.errors import (
    LicenceCancelled,
    LicenceUnknown,
    Superseded,
    TicketExpired,
    TicketForAnotherLicence,
    TicketRevoked,
    TicketUsed,
    WrongMoment,
)
from domain.events import EventKind
from domain.naming import ticket_file_name
from domain.scenario import scenario_of
from domain.vocabulary import LicenceKind, TransferState
from domain.window import reminders_before

__all__ = ["PostgresTicketIssuer", "TicketClaims", "TicketSeal", "check_ticket", "digest_of"]

_SQL = load(__name__)


def digest_of(file: bytes) -> bytes:
    """Return the SHA-256 of a ticket file: all that is stored of it."""
    return hashlib.sha256(file).digest()


class PostgresTicketIssuer:
    """Plays `domain.ports.TicketIssuer`: registers tickets, which are sealed only when they are downloaded."""

    def __init__(self, pool: Pool, seal: TicketSeal, ttl: timedelta, *, reminders: tuple[timedelta, ...] = ()) -> None:
        """Take a pool that is connected as sb_owner, the seal, how long a ticket is good, and when to remind of it.

        `reminders` are times before the ticket expires.
        """
        self._pool = pool
        self._seal = seal
        self._ttl = ttl
        self._reminders = reminders

    async def look(self, file: bytes, *, licence: str) -> m.TicketLookedAt:
        """Tell what a ticket would do under a licence; it is not used, and nothing is written.

        Raises:
            TicketNotGenuine, TicketRevoked, TicketUsed, TicketExpired, TicketForAnotherLicence: It is good for nothing.
            LicenceUnknown, LicenceCancelled, SameLicence, ScenarioNotOffered: This licence cannot take it over.
        """
        claims = self._seal.open(file)
        with translated_errors():
            row = await self._pool.fetchrow(_SQL["looked_at"], claims.transfer_id, licence)
        if row is None:
            raise TicketRevoked
        check_ticket(row, at=datetime.now(UTC))
        if row["digest"] != digest_of(file) or row["state"] != TransferState.AWAITING_UPLOAD:
            raise TicketRevoked
        if claims.for_licence not in (None, licence):
            raise TicketForAnotherLicence
        if row["new_licence"] is None:
            raise LicenceUnknown
        if row["new_cancelled"]:
            raise LicenceCancelled
        return m.TicketLookedAt(
            transfer_id=claims.transfer_id,
            environment_name=row["environment_name"],
            holder_name=row["holder_name"],
            new_holder=row["new_holder"],
            scenario=scenario_of(
                old_licence=row["licence_number"],
                old_kind=LicenceKind(row["kind"]),
                new_licence=row["new_licence"],
                new_kind=LicenceKind(row["new_kind"]),
            ),
            expires_at=row["expires_at"],
        )

    async def issue(self, order: m.IssueTicket) -> m.TicketIssued:
        """Register the transfer's one ticket and let the transfer wait for its upload.

        Raises:
            TransferUnknown: There is no such transfer.
            Superseded: It is being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id)
            ticket = await connection.fetchrow(_SQL["ticket_of"], order.transfer_id)
            if ticket is None:
                ticket = await self._issue(connection, order, transfer)
            return m.TicketIssued(
                ticket_id=ticket["ticket_id"],
                file_name=ticket["file_name"],
                expires_at=ticket["expires_at"],
                used=ticket["used_at"] is not None,
                remind_at=reminders_before(ticket["expires_at"], self._reminders, issued_at=ticket["issued_at"]),
            )

    async def _issue(self, connection: Connection, order: m.IssueTicket, transfer: asyncpg.Record) -> asyncpg.Record:
        environment = await environment_row(connection, transfer["environment_id"])
        if environment is None or transfer["frozen_at"] is None:
            raise WrongMoment
        expires_at = order.issued_at + self._ttl
        await connection.execute(
            _SQL["issue"],
            uuid.uuid4(),
            order.transfer_id,
            ticket_file_name(environment["url_part"]),
            order.issued_at,
            expires_at,
            order.for_licence,
        )
        await connection.execute(_SQL["await_upload"], order.transfer_id)
        await record_event(
            connection,
            order.transfer_id,
            EventKind.TICKET_ISSUED,
            actor=transfer["requested_by"],
            detail={"expires_at": expires_at, "for_licence": order.for_licence},
        )
        return await one(connection, _SQL["ticket_of"], order.transfer_id)

    async def revoke(self, order: m.RevokeTicket) -> None:
        """Make the ticket good for nothing, if there is one.

        Raises:
            AlreadyReleased, WrongMoment: The transfer is not being undone.
        """
        async with transaction(self._pool) as connection:
            if await lock_for_undo(connection, order.transfer_id) is None:
                return
            command_tag: str = await connection.execute(_SQL["revoke"], order.transfer_id)
            if command_tag.endswith(" 1"):
                await record_event(connection, order.transfer_id, EventKind.TICKET_REVOKED)

    async def download(self, transfer_id: UUID, *, actor: str = "") -> tuple[str, bytes]:
        """Seal the ticket: "SB slaat een bestand op in de Downloads map" (manual); return its file name and its bytes.

        A file that was made before is worthless from now on: only the newest file's digest is known.

        Args:
            transfer_id: The transfer whose ticket it is.
            actor: Who fetches it, for the event log.

        Raises:
            TransferUnknown: There is no such transfer.
            WrongMoment: The ticket has not been issued yet.
            TicketRevoked, TicketUsed, TicketExpired: There is nothing to hand out any more.
        """
        async with transaction(self._pool) as connection:
            try:
                transfer = await lock_for_step(connection, transfer_id, may_be_released=True)
            except Superseded:
                raise TicketRevoked from None
            ticket = await connection.fetchrow(_SQL["ticket_of"], transfer_id)
            if ticket is None:
                raise WrongMoment
            check_ticket(ticket, at=datetime.now(UTC))
            file = self._seal.seal(
                TicketClaims(
                    ticket_id=ticket["ticket_id"],
                    transfer_id=transfer_id,
                    environment_id=transfer["environment_id"],
                    workflow_id=transfer["workflow_id"],
                    issued_at=ticket["issued_at"],
                    expires_at=ticket["expires_at"],
                    for_licence=ticket["for_licence"],
                )
            )
            await connection.execute(_SQL["keep_digest"], ticket["ticket_id"], digest_of(file))
            await record_event(
                connection, transfer_id, EventKind.TICKET_DOWNLOADED, actor=actor or transfer["requested_by"]
            )
            return ticket["file_name"], file


def check_ticket(ticket: asyncpg.Record, *, at: datetime) -> None:
    """Make sure that a ticket is still good.

    Raises:
        TicketRevoked, TicketUsed, TicketExpired: It is not.
    """
    if ticket["revoked_at"] is not None:
        raise TicketRevoked
    if ticket["used_at"] is not None:
        raise TicketUsed
    if at >= ticket["expires_at"]:
        raise TicketExpired
