"""Everything around a move on a database of the test's own: licences, small environments, and the adapters."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.postgres.connection import Connection, Pool, connect_pool
from adapters.postgres.migrations import migrate_environment
from adapters.transfer.event_log import PostgresTransferEventLog
from adapters.transfer.freeze_release import PostgresEnvironmentAccess
from adapters.transfer.preview import PostgresPreviewReader
from adapters.transfer.queries import PostgresTransferQueries
from adapters.transfer.scheduling import PostgresEveningPlanner
from adapters.transfer.tickets import PostgresTicketIssuer, TicketSeal
from adapters.transfer.uploads import PostgresReservations
from domain import messages as m
from domain.naming import default_url_part, mailbox_address_of, schema_name_of, url_of, workflow_id_of
from domain.vocabulary import UndoReason
from domain.window import Window

BASE_DOMAIN = "sb.example"
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
TTL = timedelta(days=30)
WINDOW = Window(time(22, 0), time(6, 0), AMSTERDAM)

OLD_FIRM = "10001"
NEW_FIRM = "10002"
ENTREPRENEUR = "20001"
OTHER_ENTREPRENEUR = "20002"

_LICENCES = (
    (OLD_FIRM, "Kantoor Noord", "firm", "noord", "info@noord.example", "nl"),
    (NEW_FIRM, "Kantoor Zuid", "firm", "zuid", "info@zuid.example", "nl"),
    (ENTREPRENEUR, "Enyoi", "self_managed", "enyoi", "baas@enyoi.example", "nl"),
    (OTHER_ENTREPRENEUR, "Ander", "self_managed", "ander", "ander@ander.example", "en"),
)
_BOOKS = """
insert into administration (id, name, read_only) values
    ('00000000-0000-0000-0000-00000000000a', 'Enyoi BV', false),
    ('00000000-0000-0000-0000-00000000000b', 'Enyoi Holding', false),
    ('00000000-0000-0000-0000-00000000000c', 'Afgesloten BV', true);
insert into relation (administration_id, number, kind, name)
values ('00000000-0000-0000-0000-00000000000a', '1', 'debtor', 'Bakker');
insert into quote (administration_id, number, relation_id, status, quoted_on, valid_until, amount, total)
select administration_id, 'O-1', id, 'open', '2026-01-01', '2026-02-01', 100, 121 from relation;
insert into bank_connection (administration_id, bank, iban, consent_reference, status) values
    ('00000000-0000-0000-0000-00000000000a', 'rabobank', 'NL44RABO0123456789', 'consent-1', 'active'),
    ('00000000-0000-0000-0000-00000000000a', 'knab', 'NL44KNAB0123456789', 'consent-2', 'active');
insert into app_connection (name, status) values ('Kassa', 'active'), ('Uren', 'needs_reactivation');
insert into app_user (email, role, invitation_status, mobile_link_status) values
    ('baas@enyoi.example', 'reader', 'accepted', 'linked'),
    ('hulp@enyoi.example', 'bookkeeper', 'not_invited', 'needs_relink');
"""


@dataclass(frozen=True)
class Move:
    """One transfer as a test drives it."""

    environment_id: UUID
    transfer_id: UUID
    new_environment_id: UUID

    @property
    def schema(self) -> str:
        return schema_name_of(self.environment_id)

    @property
    def new_schema(self) -> str:
        return schema_name_of(self.new_environment_id)


async def held_at_most(app: Connection, duration: str) -> None:
    """Let a write fail that waits longer for a lock: what a busy machine takes besides is no wait for anybody.

    Shorter than the `lock_timeout` of this service's connections (5 s), with which a freeze without bounds would wait.
    """
    await app.execute(f"set lock_timeout to '{duration}'")


class Services:
    """The adapters under test, and short words for what a test does with them."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.pool: Pool

    async def __aenter__(self) -> Self:
        self.pool = await connect_pool(self._dsn, max_size=24, application_name="services test")
        self.seal = TicketSeal([SecretStr(Fernet.generate_key().decode())])
        self.gate = PostgresEnvironmentAccess(self.pool)
        self.office = PostgresTicketIssuer(self.pool, self.seal, TTL)
        self.reservations = PostgresReservations(self.pool, self.seal, BASE_DOMAIN, WINDOW)
        self.planner = PostgresEveningPlanner(self.pool, WINDOW)
        self.log = PostgresTransferEventLog(self.pool)
        # Long enough on a busy machine for all that there is to ask: what is not asked is no obstacle.
        self.previews = PostgresPreviewReader(self.pool, question_timeout=timedelta(minutes=2))
        self.register = PostgresTransferQueries(self.pool)
        await self.pool.executemany("insert into control.licence values ($1, $2, $3, $4, $5, $6)", _LICENCES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.pool.close()

    async def environment(self, name: str = "Enyoi", licence: str = OLD_FIRM) -> UUID:
        """Make an active environment with a few rows."""
        environment_id = uuid.uuid4()
        schema = schema_name_of(environment_id)
        host = next(row[3] for row in _LICENCES if row[0] == licence)
        part = default_url_part(name)
        address = mailbox_address_of(host=host, base_domain=BASE_DOMAIN, url_part=part)
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"create schema {schema}")
            version = await migrate_environment(connection, schema)
            await connection.execute(f"set local search_path to {schema}, pg_catalog")
            await connection.execute(_BOOKS)
            await connection.execute(
                "insert into control.environment (environment_id, licence_number, name, url_part, url, schema_name, "
                "status, mailbox_address, schema_version) values ($1, $2, $3, $4, $5, $6, 'active', $7, $8)",
                environment_id,
                licence,
                name,
                part,
                url_of(host=host, base_domain=BASE_DOMAIN, url_part=part),
                schema,
                address,
                version,
            )
            await connection.execute("insert into control.mailbox_route values ($1, $2)", address, environment_id)
        return environment_id

    async def move(self, name: str = "Enyoi", licence: str = OLD_FIRM) -> Move:
        """Make an environment and choose the ids of its transfer; nothing is begun."""
        return Move(await self.environment(name, licence), uuid.uuid4(), uuid.uuid4())

    async def freeze(self, move: Move) -> m.EnvironmentFrozen:
        return await self.gate.freeze(
            m.FreezeEnvironment(
                transfer_id=move.transfer_id,
                environment_id=move.environment_id,
                workflow_id=workflow_id_of(move.environment_id),
                requested_by="an@noord.example",
            )
        )

    async def unfreeze(self, move: Move) -> None:
        await self.gate.unfreeze(
            m.UnfreezeEnvironment(transfer_id=move.transfer_id, environment_id=move.environment_id)
        )

    async def issue(self, move: Move, issued_at: datetime | None = None) -> m.TicketIssued:
        return await self.office.issue(
            m.IssueTicket(transfer_id=move.transfer_id, issued_at=issued_at or datetime.now(UTC))
        )

    async def ticket(self, move: Move) -> bytes:
        """Freeze, issue and download."""
        await self.freeze(move)
        await self.issue(move)
        return (await self.office.download(move.transfer_id))[1]

    def upload(self, move: Move, file: bytes, **changes: Any) -> m.AcceptUpload:
        """Return an upload by the new firm; `changes` are fields of the order or of the upload."""
        order = {
            "transfer_id": move.transfer_id,
            "accepted_at": datetime.now(UTC),
            "new_environment_id": move.new_environment_id,
        }
        order |= {field: changes.pop(field) for field in list(changes) if field in order}
        fields = {"licence_number": NEW_FIRM, "name": "Enyoi Nieuw", "uploaded_by": "bo@zuid.example"} | changes
        return m.AcceptUpload(upload=m.Upload(sealed_ticket=self.seal.wrap(file), **fields), **order)

    async def accept(self, move: Move, file: bytes, **changes: Any) -> m.ReservationMade:
        return await self.reservations.accept(self.upload(move, file, **changes))

    async def moved(self, move: Move, **changes: Any) -> m.ReservationMade:
        """Go as far as a clone that awaits its inspection: the same tables, and the books as they are when frozen."""
        made = await self.accept(move, await self.ticket(move), **changes)
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"create schema {move.new_schema}")
            await migrate_environment(connection, move.new_schema)
            await connection.execute(f"revoke usage on all sequences in schema {move.new_schema} from sb_app")
            await connection.execute(f"revoke usage on schema {move.new_schema} from sb_app")
            for table in ("administration", "app_user"):
                await connection.execute(f"insert into {move.new_schema}.{table} select * from {move.schema}.{table}")
            await connection.execute(f"select setval(pg_get_serial_sequence('{move.new_schema}.app_user', 'id'), 1000)")
        return made

    async def inspectable(self, move: Move, **changes: Any) -> m.ReservationMade:
        """Go as far as an environment that awaits its release."""
        made = await self.moved(move, **changes)
        await self.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id))
        return made

    def release_order(self, move: Move, at: datetime | None = None) -> m.ReleaseEnvironment:
        return m.ReleaseEnvironment(
            transfer_id=move.transfer_id, released_by="bo@zuid.example", note="ok", released_at=at or datetime.now(UTC)
        )

    async def begin_undo(self, move: Move, reason: UndoReason = UndoReason.CANCELLED) -> None:
        await self.log.begin_undo(
            m.BeginUndo(
                transfer_id=move.transfer_id,
                environment_id=move.environment_id,
                workflow_id=workflow_id_of(move.environment_id),
                reason=reason,
                detail="because",
            )
        )

    async def undo_steps(self, move: Move) -> None:
        """Take back what was done up to an upload; the undo has begun."""
        await self.reservations.release(m.ReleaseReservation(transfer_id=move.transfer_id))
        await self.office.revoke(m.RevokeTicket(transfer_id=move.transfer_id))
        await self.unfreeze(move)

    async def row(self, query: str, *arguments: object) -> asyncpg.Record:
        row = await self.pool.fetchrow(query, *arguments)
        assert row is not None
        return row

    async def transfer_row(self, move: Move) -> asyncpg.Record:
        return await self.row("select * from control.transfer where transfer_id = $1", move.transfer_id)

    async def status_of(self, environment_id: UUID) -> str:
        row = await self.row("select status from control.environment where environment_id = $1", environment_id)
        return str(row["status"])

    async def kinds(self, move: Move) -> list[str]:
        """Return the kinds of the transfer's events, in order."""
        return [event.kind for event in await self.register.events(move.transfer_id)]

    async def fences(self, schema: str) -> dict[str, str]:
        """Return by table how its fence is enabled."""
        rows = await self.pool.fetch(
            "select c.relname, t.tgenabled::text from pg_trigger t join pg_class c on c.oid = t.tgrelid "
            "where t.tgname = 'sb_transfer_fence' and c.relnamespace = $1::regnamespace",
            schema,
        )
        return {row[0]: row[1] for row in rows}

    async def read_only(self, schema: str) -> dict[str, bool]:
        return {row[0]: row[1] for row in await self.pool.fetch(f"select name, read_only from {schema}.administration")}
