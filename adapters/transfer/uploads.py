"""Takes an upload and holds its name and url under the new licence (manual, Overdragen afronden)."""

import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import (
    environment_row,
    lock_for_step,
    lock_for_undo,
    plain,
    record_event,
    sent_by,
)
from adapters.transfer.rehearsal import refusal_of, rehearse
from adapters.transfer.tickets import TicketClaims, TicketSeal, check_ticket, digest_of
from domain import messages as m
from domain.errors import (
    CellCannotHold,
    LicenceCancelled,
    LicenceUnknown,
    LoginEmailMissing,
    NameTaken,
    TicketForAnotherLicence,
    TicketNotGenuine,
    TicketRevoked,
    TicketUsed,
    UploadRefused,
    UrlTaken,
    WrongMoment,
)
from domain.events import EventKind
from domain.naming import (
    checked_email,
    checked_url_part,
    mailbox_address_of,
    normalised_name,
    schema_name_of,
    url_of,
)
from domain.scenario import scenario_of
from domain.vocabulary import LicenceKind, Scenario, TransferState
from domain.window import Window

_SQL = load("adapters.transfer.tickets") | load(__name__)
# How far the clocks of two workers may differ before a ticket of one is of the future to the other.
_CLOCK_SKEW = timedelta(minutes=2)
# The unique indexes of control.environment that somebody else's name or url can be in the way of.
_NAME_OR_URL = ("environment_name_per_licence", "environment_url_key", "environment_mailbox_address_key")


class PostgresReservations:
    """Plays `domain.ports.Reservations`."""

    def __init__(
        self, pool: Pool, tickets: TicketSeal, base_domain: str, window: Window, *, shards: Shards | None = None
    ) -> None:
        """Take a pool that is connected as sb_owner, the seal, the evening window, and other cells' pools."""
        self._pool = pool
        self._shards = shards or Shards(pool)
        self._seal = tickets
        self._base_domain = base_domain
        self._window = window

    async def accept(self, order: m.AcceptUpload) -> m.ReservationMade:
        """Check an upload, use its ticket, reserve name and url, and set the start: all of it or nothing.

        Raises:
            UploadRefused: The subclass says why. Nothing has changed but the event log.
            WrongMoment: The transfer does not await an upload.
            Superseded: It is being undone.
        """
        try:
            claims = self._opened(order.upload)
            async with transaction(self._pool) as connection:
                return await self._accept(connection, order, claims)
        except UploadRefused as refusal:
            await self._tell_refusal(order, refusal)
            raise

    def _opened(self, upload: m.Upload) -> tuple[TicketClaims, bytes]:
        file = self._seal.unwrap(upload.sealed_ticket)
        return self._seal.open(file), digest_of(file)

    async def _accept(
        self, connection: Connection, order: m.AcceptUpload, opened: tuple[TicketClaims, bytes]
    ) -> m.ReservationMade:
        transfer = await lock_for_step(connection, order.transfer_id)
        claims, digest = opened
        if claims.issued_at > order.accepted_at + _CLOCK_SKEW:
            raise TicketNotGenuine  # whoever made it has a key, but not our clock
        if claims.transfer_id != order.transfer_id:
            # A genuine ticket of an earlier move of this environment is old; one of another environment is none here.
            raise TicketRevoked if claims.environment_id == transfer["environment_id"] else TicketNotGenuine
        if transfer["new_environment_id"] is not None:
            if transfer["new_environment_id"] == order.new_environment_id:
                return await self._made(connection, transfer)
            raise TicketUsed
        ticket = await connection.fetchrow(_SQL["ticket_of"], order.transfer_id)
        if ticket is None or transfer["state"] != TransferState.AWAITING_UPLOAD:
            raise WrongMoment
        if ticket["digest"] != digest:
            raise TicketRevoked
        check_ticket(ticket, at=order.accepted_at)
        if claims.for_licence not in (None, order.upload.licence_number.strip()):
            raise TicketForAnotherLicence
        await self._reserve(connection, order, transfer)
        await connection.execute(_SQL["use_ticket"], ticket["ticket_id"], order.accepted_at)
        return await self._made(connection, await lock_for_step(connection, order.transfer_id))

    async def read(self, order: m.ReadReservation) -> m.ReservationMade | None:
        """Return what was reserved, and how far it has come; None when there was no upload.

        Raises:
            Superseded: The transfer is being undone.
            AlreadyReleased: It is at its end.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id)
            return await self._made(connection, transfer) if transfer["new_environment_id"] is not None else None

    async def _made(self, connection: Connection, transfer: asyncpg.Record) -> m.ReservationMade:
        """Return the answer to an accepted upload, also when somebody asks much later."""
        new = json.loads(transfer["new_environment"])
        starts_at = transfer["starts_at"].astimezone(self._window.zone)
        return m.ReservationMade(
            accepted=m.UploadAccepted(
                scenario=transfer["scenario"],
                new_environment_id=transfer["new_environment_id"],
                name=new["name"],
                url=new["url"],
                starts_at=starts_at,
            ),
            new=m.EnvironmentSummary.model_validate(new),
            closes_at=self._window.closing_of(starts_at),
            grace_until=self._window.end_of_grace(starts_at),
            behind=await connection.fetchval(_SQL["behind"], transfer["transfer_id"]),
            evening=transfer["evening"],
            begun=transfer["state"] != TransferState.SCHEDULED,
            certified=await connection.fetchval(_SQL["is_certified"], transfer["transfer_id"], transfer["evening"]),
        )

    async def correct(self, order: m.CorrectReservation) -> m.ReservationMade:
        """Give what is reserved another name, url part or login e-mail: all that is asked for, or nothing.

        Nothing of the ticket, the frozen environment or what is proved of it hangs on these three.

        Raises:
            UploadRefused: The subclass says why. Nothing has changed but the event log.
            WrongMoment: The transfer does not wait for its evening.
            Superseded: It is being undone, or that evening has been put off meanwhile.
        """
        try:
            async with transaction(self._pool) as connection:
                transfer = await lock_for_step(connection, order.transfer_id, evening=order.evening)
                if transfer["state"] != TransferState.SCHEDULED:
                    raise WrongMoment
                if not await connection.fetchval(_SQL["is_told"], order.event_key):
                    await self._correct(connection, order, transfer)
                    transfer = await lock_for_step(connection, order.transfer_id)
                return await self._made(connection, transfer)
        except UploadRefused as refusal:
            await self._tell_refused_correction(order, refusal)
            raise

    async def _correct(self, connection: Connection, order: m.CorrectReservation, transfer: asyncpg.Record) -> None:
        asked, before = order.correction, json.loads(transfer["new_environment"])
        licence = await self._licence(connection, before["licence_number"])
        name = before["name"] if asked.name is None else normalised_name(asked.name)
        url_part = before["url_part"] if asked.url_part is None else checked_url_part(asked.url_part, name=name)
        where = {"host": licence["host"], "base_domain": self._base_domain, "url_part": url_part}
        scenario = Scenario(transfer["scenario"])
        email = before["login_email"] if asked.login_email is None else _login_email(scenario, asked.login_email)
        new = before | {
            "name": name,
            "url_part": url_part,
            "url": url_of(**where),
            "mailbox_address": mailbox_address_of(**where),
            "login_email": email,
        }
        changed = [field for field in ("name", "url", "login_email") if new[field] != before[field]]
        told = {field: new[field] for field in changed} | {f"{field}_was": before[field] for field in changed}
        old = await environment_row(connection, transfer["environment_id"])
        if old is None:
            raise WrongMoment
        await self._hold(connection, new, old, "correct")
        await connection.execute(_SQL["note_correction"], order.transfer_id, json.dumps(new))
        await record_event(
            connection,
            order.transfer_id,
            EventKind.UPLOAD_CORRECTED,
            actor=asked.requested_by,
            reason=asked.reason,
            detail=told | sent_by(order.sent_by),
            event_key=order.event_key,
        )

    async def _reserve(self, connection: Connection, order: m.AcceptUpload, transfer: asyncpg.Record) -> None:
        upload = order.upload
        old = await environment_row(connection, transfer["environment_id"])
        if old is None:
            raise WrongMoment
        old_licence = await self._licence(connection, old["licence_number"])
        await connection.execute(_SQL["keep_licence"], plain(upload.licence_number.strip()))
        licence = await self._licence(connection, upload.licence_number.strip())
        if licence["cancelled"]:
            raise LicenceCancelled
        scenario = scenario_of(
            old_licence=old_licence["licence_number"],
            old_kind=LicenceKind(old_licence["kind"]),
            new_licence=licence["licence_number"],
            new_kind=LicenceKind(licence["kind"]),
        )
        name = normalised_name(upload.name)
        url_part = checked_url_part(upload.url_part, name=name)
        where = {"host": licence["host"], "base_domain": self._base_domain, "url_part": url_part}
        new = {
            "environment_id": str(order.new_environment_id),
            "licence_number": licence["licence_number"],
            "name": name,
            "url_part": url_part,
            "url": url_of(**where),
            "schema_name": schema_name_of(order.new_environment_id),
            "mailbox_address": mailbox_address_of(**where),
            "login_email": _login_email(scenario, upload.login_email),
            "cell": licence["cell"],
        }
        if licence["cell"] != old["cell"]:
            await self._require_room(connection, old, licence["cell"])
        starts_at = self._window.start_after(order.accepted_at)
        await self._hold(connection, new, old)
        await connection.execute(
            _SQL["schedule"],
            order.transfer_id,
            scenario,
            licence["licence_number"],
            order.new_environment_id,
            json.dumps(new),
            plain(upload.uploaded_by),
            order.accepted_at,
            starts_at,
        )
        await record_event(
            connection,
            order.transfer_id,
            EventKind.UPLOAD_ACCEPTED,
            actor=upload.uploaded_by,
            detail={
                "scenario": scenario,
                "url": new["url"],
                "starts_at": starts_at.isoformat(),
                **sent_by(order.sent_by),
            },
        )

    async def _require_room(self, connection: Connection, old: asyncpg.Record, cell: str) -> None:
        """Make sure that another database can hold all that the environment does.

        Raises:
            CellCannotHold: It cannot; the message lists what and why.
        """
        async with self._shards.together(connection, old["cell"], cell) as (source, target):
            obstacles = await rehearse(source, target, old["schema_name"])
        if obstacles:
            raise refusal_of(CellCannotHold, obstacles)

    async def _licence(self, connection: Connection, licence_number: str) -> asyncpg.Record:
        row = await connection.fetchrow(_SQL["licence"], plain(licence_number))
        if row is None:
            raise LicenceUnknown
        return row

    async def _hold(
        self, connection: Connection, new: dict[str, Any], old: asyncpg.Record, statement: str = "reserve"
    ) -> None:
        """Take name, url and address for the new environment; `statement` is `reserve` or `correct`."""
        wanted = [new[column] for column in ("name", "url_part", "url", "mailbox_address", "login_email")]
        beside = [new["licence_number"], new["schema_name"], old["schema_version"], new["cell"]]
        try:
            # In its own savepoint: after a violation the transaction could not even be read any more.
            async with connection.transaction():
                await connection.execute(
                    _SQL[statement], new["environment_id"], *wanted, *(beside if statement == "reserve" else ())
                )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name not in _NAME_OR_URL:
                raise
            # A name that is taken mostly takes its url along: then the name is what has to be changed.
            name_taken = await connection.fetchval(
                _SQL["name_taken"], new["licence_number"], new["name"], new["environment_id"]
            )
            raise (NameTaken if name_taken else UrlTaken) from error
        if await connection.fetchval(_SQL["address_given_before"], new["mailbox_address"], old["environment_id"]):
            raise UrlTaken

    async def _tell_refusal(self, order: m.AcceptUpload, refusal: UploadRefused) -> None:
        """Write down who was refused what, once for each upload; nothing of the ticket."""
        attempt = f"{order.transfer_id} {order.new_environment_id} {order.accepted_at.timestamp()} {refusal.code()}"
        upload = order.upload
        asked = {
            "licence_number": plain(upload.licence_number, 100),
            "name": plain(upload.name, 200),
            "url_part": plain(upload.url_part or "", 200),
        }
        event_key = uuid.uuid5(order.transfer_id, attempt)
        asked |= sent_by(order.sent_by)
        await self._note_refusal(order.transfer_id, refusal, upload.uploaded_by, asked, event_key)

    async def _tell_refused_correction(self, order: m.CorrectReservation, refusal: UploadRefused) -> None:
        correction = order.correction
        fields = {"name": correction.name, "url_part": correction.url_part}
        asked = {field: plain(given, 200) for field, given in fields.items() if given is not None}
        event_key = uuid.uuid5(order.event_key, refusal.code())
        asked |= sent_by(order.sent_by)
        await self._note_refusal(order.transfer_id, refusal, correction.requested_by, asked, event_key)

    async def _note_refusal(
        self, transfer_id: UUID, refusal: UploadRefused, actor: str, asked: Mapping[str, str], event_key: UUID
    ) -> None:
        async with transaction(self._pool) as connection:
            await record_event(
                connection,
                transfer_id,
                EventKind.UPLOAD_REFUSED,
                actor=actor,
                reason=refusal.english,
                detail={"code": refusal.code(), **asked},
                event_key=event_key,
            )

    async def release(self, order: m.ReleaseReservation) -> None:
        """Let name and url go; what was reserved stays readable in the transfer.

        Raises:
            AlreadyReleased, WrongMoment: The transfer is not being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_undo(connection, order.transfer_id)
            if transfer is None or transfer["new_environment_id"] is None:
                return
            await connection.execute(_SQL["drop_route"], transfer["new_environment_id"])
            command_tag: str = await connection.execute(_SQL["let_go"], transfer["new_environment_id"])
            if command_tag.endswith(" 1"):
                await record_event(connection, order.transfer_id, EventKind.RESERVATION_RELEASED)


def _login_email(scenario: Scenario, given: str | None) -> str | None:
    """Return where the customer will log in with: needed for a move to self-managed, of no use in the other two."""
    if scenario is not Scenario.INSOURCE:
        return None
    if given is None or not given.strip():
        raise LoginEmailMissing
    return checked_email(given)
