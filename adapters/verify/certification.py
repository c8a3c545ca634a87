"""Watches over what is proved, from the freeze to the release, and issues the certificate."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.metadata import version
from uuid import UUID, uuid5

from adapters.crypto.certificate_signer import CertificateSigner
from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import environment_row, lock_for_step, one, record_event
from adapters.verify.fingerprint_store import Moment, MoveSide, keep_fingerprint, kept_fingerprint
from adapters.verify.purposeful_changes import changed_on_purpose
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m
from domain.certificate import (
    Certificate,
    CertifiedEnvironment,
    CheckedPoint,
    Issuer,
    Moments,
    PurposefulChange,
    Totals,
    certified_objects,
    certified_tables,
)
from domain.checklist import Phase, checklist_of
from domain.errors import CloneDiffers, TransferError, WrongMoment
from domain.events import EventKind
from domain.fingerprint import Fingerprint
from domain.ports import ReportProgress

_MAX_CHANGES = 100  # a message has its bounds; what a refusal names fits many times
_SQL = load(__name__)


class PostgresCertifier:
    """Plays `domain.ports.Certifier`. It only reads the environments."""

    def __init__(
        self,
        pool: Pool,
        verifier: PostgresVerifier,
        signer: CertificateSigner,
        *,
        shards: Shards | None = None,
        look: Callable[[Place], Awaitable[None]] | None = None,
    ) -> None:
        """Prepare a certifier.

        Args:
            pool: Connected as sb_owner.
            verifier: Who hashes.
            signer: Who signs.
            shards: Other cells' pools.
            look: Refuses what has been frozen and cannot be moved.
        """
        self._look = look
        self._pool = pool
        self._shards = shards or Shards(pool)
        self._verifier = verifier
        self._signer = signer

    async def hash_frozen(self, order: m.HashFrozen, report: ReportProgress) -> m.FrozenHashed:
        """Read the frozen environment once, and keep what it is.

        Raises:
            Superseded: The transfer is being undone.
            CannotBeCarried: The environment has turned out to be none that can be moved.
            CloneDiffers: A table cannot be read.
            Unavailable: The server is away; try again.
        """
        async with transaction(self._pool) as connection:
            await lock_for_step(connection, order.transfer_id)
            frozen = await kept_fingerprint(connection, order.transfer_id, Moment.FROZEN, MoveSide.OLD)
        if frozen is None:
            place = Place(order.schema_name, order.cell)
            if self._look is not None:
                await self._look(place)
            began = time.monotonic()
            frozen = await self._verifier.hashes(place, report)
            seconds = time.monotonic() - began
            async with transaction(self._shards.pool(order.cell)) as there:
                size = await there.fetchval(_SQL["size"], order.schema_name)
            async with transaction(self._pool) as connection:
                await lock_for_step(connection, order.transfer_id)
                await connection.execute(_SQL["note_size"], order.transfer_id, size, seconds)
                await keep_fingerprint(connection, order.transfer_id, Moment.FROZEN, MoveSide.OLD, frozen)
                await record_event(
                    connection,
                    order.transfer_id,
                    EventKind.ENVIRONMENT_HASHED,
                    detail={"tables": len(frozen.tables), "rows": frozen.rows},
                    event_key=uuid5(order.transfer_id, EventKind.ENVIRONMENT_HASHED),
                )
        return m.FrozenHashed(hashed_at=frozen.taken_at, tables=len(frozen.tables), rows=frozen.rows)

    async def certify(self, order: m.IssueCertificate, report: ReportProgress) -> m.CertificateIssued:
        """Read the opened environment once, keep what it is until its release, and sign what is proved.

        Raises:
            CloneDiffers: More has changed in it than a move changes on purpose.
            Superseded: The transfer is being undone, or this evening was put off.
            Unavailable: The server is away; try again.
        """
        async with transaction(self._pool) as connection:
            await lock_for_step(connection, order.transfer_id, evening=order.evening)
            issued = await connection.fetchrow(_SQL["kept_certificate"], order.transfer_id, order.evening)
        if issued is None:
            opened = await self._opened(order, report)
            async with transaction(self._pool) as connection:
                await lock_for_step(connection, order.transfer_id, evening=order.evening)
                await keep_fingerprint(connection, order.transfer_id, Moment.OPENED, MoveSide.NEW, opened)
                await self._issue(connection, order, opened)
                await connection.execute(_SQL["note_ready"], order.transfer_id)
                issued = await one(connection, _SQL["kept_certificate"], order.transfer_id, order.evening)
        return m.CertificateIssued(key_id=issued["key_id"], issued_at=issued["issued_at"])

    async def _opened(self, order: m.IssueCertificate, report: ReportProgress) -> Fingerprint:
        """Make sure that the new environment is the old one but for what a move changes on purpose; return what it is.

        Where this service may not silence the environment's own triggers (PostgreSQL 14 without superuser), they may
        have answered to our changes with others; then there is nothing to hold the rest against.

        Raises:
            CloneDiffers: More has changed.
        """
        async with transaction(self._pool) as connection:
            cloned = await kept_fingerprint(connection, order.transfer_id, Moment.CLONED, MoveSide.NEW)
        async with transaction(self._shards.pool(order.target_cell)) as there:
            await there.execute(_SQL["mute_triggers"])
            muted = await there.fetchval(_SQL["muted"])
            await there.execute(_SQL["unmute_triggers"])
            purposeful = await changed_on_purpose(there, order.target_schema)
        old, new = _places(order)
        if cloned is None or not muted:
            return await self._verifier.hashes(new, report)
        opened, changes = await self._verifier.hashes_of_copy(old, new, purposeful, report)
        changes += [change for change in cloned.changes(opened) if change.table not in purposeful or change.redefined]
        if changes:
            named = "; ".join(f"{change.table}: {change.problem}" for change in changes[:5])
            raise CloneDiffers(
                f"More has changed in the new environment than a move changes on purpose: {named}. "
                "The transfer is undone."
            )
        return opened

    async def _issue(self, connection: Connection, order: m.IssueCertificate, opened: Fingerprint) -> None:
        async with transaction(self._shards.pool(order.target_cell)) as there:
            purposeful = await changed_on_purpose(there, order.target_schema)
        certificate = await self._certificate(connection, order.transfer_id, opened, purposeful)
        await connection.execute(
            _SQL["keep_certificate"],
            order.transfer_id,
            order.evening,
            certificate.key_id,
            certificate.issued_at,
            self._signer.sign(certificate).decode(),
        )
        await record_event(
            connection,
            order.transfer_id,
            EventKind.CERTIFICATE_ISSUED,
            detail={"key_id": certificate.key_id, **certificate.totals.model_dump()},
            event_key=uuid5(order.transfer_id, f"certificate_issued {order.evening}"),
        )

    async def _certificate(
        self, connection: Connection, transfer_id: UUID, opened: Fingerprint, purposeful: Mapping[str, frozenset[str]]
    ) -> Certificate:
        transfer = await lock_for_step(connection, transfer_id)
        frozen = await kept_fingerprint(connection, transfer_id, Moment.FROZEN, MoveSide.OLD)
        cloned = await kept_fingerprint(connection, transfer_id, Moment.CLONED, MoveSide.NEW)
        if frozen is None or cloned is None:
            raise WrongMoment
        sides = [await _certified(connection, transfer[name]) for name in ("environment_id", "new_environment_id")]
        proven = await one(connection, _SQL["proven"], transfer_id)
        report = m.ComparisonReport.model_validate_json(proven["report"])
        moments = Moments(
            frozen_at=proven["frozen_at"],
            hashed_when_frozen_at=frozen.taken_at,
            verified_at=cloned.taken_at,
            compared_at=report.made_at,
            opened_at=proven["opened_at"],
            hashed_when_opened_at=opened.taken_at,
        )
        return Certificate(
            key_id=self._signer.key_id,
            issued_at=proven["now"],
            issuer=Issuer(package=_package(), postgresql=frozen.server),
            transfer_id=transfer_id,
            scenario=proven["scenario"],
            old=sides[0],
            new=sides[1],
            moments=moments,
            method=frozen.method,
            totals=Totals(tables=len(frozen.tables), rows=frozen.rows),
            tables=certified_tables(frozen, opened),
            others=certified_objects(frozen, opened),
            comparison=report.summary(),
            changed_on_purpose=_changed(purposeful),
            banks=m.BanksReconnected.model_validate_json(proven["banks"]).banks,
            consequences=m.ConsequencesApplied.model_validate_json(proven["consequences"]).consequences,
        )

    async def check(self, order: m.CheckUnchanged, report: ReportProgress) -> m.UnchangedChecked:
        """Read both environments once more and return what has changed in them since they were proved.

        Raises:
            Superseded: The transfer is being undone.
            CloneDiffers: A table cannot be read.
            Unavailable: The server is away; try again.
        """
        async with transaction(self._pool) as connection:
            await lock_for_step(connection, order.transfer_id)
            before = [
                await kept_fingerprint(connection, order.transfer_id, Moment.FROZEN, MoveSide.OLD),
                await kept_fingerprint(connection, order.transfer_id, Moment.OPENED, MoveSide.NEW),
            ]
        now = [await self._verifier.hashes(place, report) for place in _places(order)]
        old_changes, new_changes = [
            then.changes(after) if then is not None else [] for then, after in zip(before, now, strict=True)
        ]
        checked = m.UnchangedChecked(
            tables=sum(len(side.tables) for side in now),
            rows=sum(side.rows for side in now),
            old_changes=old_changes[:_MAX_CHANGES],
            new_changes=new_changes[:_MAX_CHANGES],
            left_out=sum(max(len(changes) - _MAX_CHANGES, 0) for changes in (old_changes, new_changes)),
        )
        async with transaction(self._pool) as connection:
            await lock_for_step(connection, order.transfer_id)
            for side, fingerprint in zip(MoveSide, now, strict=True):
                await keep_fingerprint(connection, order.transfer_id, Moment.RELEASE, side, fingerprint)
            await record_event(
                connection,
                order.transfer_id,
                EventKind.RELEASE_CHECKED,
                actor=order.requested_by,
                reason=checked.drift,
                detail={"tables": checked.tables, "rows": checked.rows},
                event_key=order.event_key,
            )
            if not checked.drift:
                await self._certify_ticks(connection, order.transfer_id)
        return checked

    async def _certify_ticks(self, connection: Connection, transfer_id: UUID) -> None:
        """Sign the certificate once more with the points that people have ticked; all else in it stays as it is."""
        document = await connection.fetchval(_SQL["certificate"], transfer_id)
        ticked = {row["item"]: row for row in await connection.fetch(_SQL["ticks"], transfer_id)}
        if document is None:
            return
        try:
            certificate = self._signer.reader.read(str(document).encode())
        except (
            TransferError
        ):  # not ours any more: a release does not hang on it, and we sign nothing that we did not make
            return
        checklist = [
            CheckedPoint(item=point.item, ticked_by=ticked[point.item]["actor"], ticked_at=ticked[point.item]["at"])
            for point in checklist_of(certificate.scenario)
            if point.phase is Phase.BEFORE_RELEASE and point.item in ticked
        ]
        if checklist != certificate.checklist:
            signed = certificate.model_copy(update={"checklist": checklist, "key_id": self._signer.key_id})
            await connection.execute(_SQL["sign_again"], transfer_id, signed.key_id, self._signer.sign(signed).decode())


def _places(order: m.IssueCertificate | m.CheckUnchanged) -> tuple[Place, Place]:
    return Place(order.source_schema, order.source_cell), Place(order.target_schema, order.target_cell)


async def _certified(connection: Connection, environment_id: UUID) -> CertifiedEnvironment:
    row = await environment_row(connection, environment_id)
    if row is None:
        raise WrongMoment
    return CertifiedEnvironment(**{field: row[field] for field in CertifiedEnvironment.model_fields})


def _changed(columns: Mapping[str, frozenset[str]]) -> list[PurposefulChange]:
    return [PurposefulChange(table=table, columns=sorted(names)) for table, names in sorted(columns.items())]


@cache
def _package() -> str:
    return f"sb-transfer {version('sb-transfer')}"
