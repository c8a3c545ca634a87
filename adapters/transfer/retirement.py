"""Removes an old environment that was moved away: after its time, and with a statement of what was removed."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import asyncpg

from adapters.crypto.certificate_signer import CertificateSigner
from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.shards import Guest, Shards, note
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import environment_row, one, plain, record_event, sent_by
from domain import messages as m
from domain.errors import (
    AlreadyRetired,
    EnvironmentUnknown,
    NotMovedAway,
    StillForwarded,
    StillInTransfer,
    WrongMoment,
)
from domain.events import EventKind
from domain.vocabulary import EnvironmentStatus

_SQL = load(__name__)
_AT_ONCE = 500
# The drop is of no transfer: those of the environment are released, and what is released is not dropped as a clone.
_OF_NO_TRANSFER = UUID(int=0)


class PostgresRetirements:
    """Plays `domain.ports.Retirements`."""

    def __init__(self, pool: Pool, signer: CertificateSigner, *, wait: timedelta, shards: Shards | None = None) -> None:
        """Take a pool that is connected as sb_owner, who signs, how long it can be called back, and other cells."""
        self._pool = pool
        self._signer = signer
        self._wait = wait
        self._shards = shards or Shards(pool)

    async def plan(self, order: m.RetirementInput) -> m.RetirementPlanned:
        """Plan the end of an environment; asked again, tell what is planned.

        Raises:
            EnvironmentUnknown, AlreadyRetired, NotMovedAway, StillForwarded, StillInTransfer: Nothing has changed.
        """
        async with transaction(self._pool) as connection:
            environment = await environment_row(connection, order.environment_id, hold=True)
            known = await connection.fetchrow(_SQL["retirement"], order.environment_id)
            if environment is not None and known is not None and known["retired_at"] and not known["ended_at"]:
                # Its books are being dropped: there is no way but on.
                return m.RetirementPlanned(
                    environment_id=order.environment_id,
                    transfer_id=known["transfer_id"],
                    name=environment["name"],
                    due_at=known["due_at"],
                )
            transfer_id = await require_removable(connection, environment, order.environment_id)
            tag: str = await connection.execute(
                _SQL["plan"], order.environment_id, transfer_id, order.requested_by, self._wait
            )
            planned = await one(connection, _SQL["retirement"], order.environment_id)
            if tag.endswith(" 1"):
                await record_event(
                    connection,
                    transfer_id,
                    EventKind.RETIREMENT_PLANNED,
                    actor=order.requested_by,
                    reason=order.reason,
                    detail={
                        "due_at": planned["due_at"].isoformat(),
                        **({"started_by": plain(order.started_by)} if order.started_by else {}),
                    },
                )
        name = environment["name"] if environment is not None else ""
        return m.RetirementPlanned(
            environment_id=order.environment_id, transfer_id=transfer_id, name=name, due_at=planned["due_at"]
        )

    async def call_back(self, order: m.EndRetirement) -> bool:
        """Keep the environment; tell whether that was still possible."""
        async with transaction(self._pool) as connection:
            planned = await self._held(connection, order.environment_id)
            tag: str = await connection.execute(_SQL["call_back"], order.environment_id)
            if tag.endswith(" 1"):
                await record_event(
                    connection,
                    planned["transfer_id"],
                    EventKind.RETIREMENT_CALLED_BACK,
                    actor=order.requested_by,
                    reason=order.reason,
                    detail=sent_by(order.sent_by),
                )
            return tag.endswith(" 1") or planned["called_back_at"] is not None

    async def retire(self, order: m.EndRetirement) -> m.RetirementResult:
        """Drop an environment whose time has come; an attempt goes on where the last one stopped.

        Raises:
            WrongMoment: It was called back, or its time has not come.
            StillForwarded, StillInTransfer: Not now.
            EnvironmentBusy: Somebody reads in it on and on; try again.
        """
        environment_id = order.environment_id
        async with transaction(self._pool) as connection:
            planned = await self._held(connection, environment_id)
            environment = await environment_row(connection, environment_id)
            if environment is None:
                raise EnvironmentUnknown
            if planned["ended_at"] is not None:
                return _result(environment_id, planned["removed"])
            if planned["called_back_at"] is not None or planned["due_at"] > datetime.now(UTC):
                raise WrongMoment
            there = self._shards.pool(environment["cell"])
            schema = environment["schema_name"]
            if planned["retired_at"] is None:
                await require_removable(connection, environment, environment_id)
                async with transaction(there) as counting:
                    removed = await counting.fetchval(_SQL["count_rows"], schema)
                await connection.execute(_SQL["begin"], environment_id, removed)
        async with transaction(there) as connection:
            await connection.execute(_SQL["take_schema_grants"], schema)
        while await self._drop_some(there, schema):
            continue
        async with transaction(there) as connection:
            await connection.execute(_SQL["drop_schema"], _OF_NO_TRANSFER, schema)
            await note(connection, environment["cell"], Guest(environment_id, schema, planned["transfer_id"], None))
        return await self._finish(environment)

    async def _drop_some(self, pool: Pool, schema: str) -> int:
        async with transaction(pool) as connection:
            return int(await connection.fetchval(_SQL["drop_some"], _OF_NO_TRANSFER, schema, _AT_ONCE))

    async def _finish(self, environment: asyncpg.Record) -> m.RetirementResult:
        environment_id = environment["environment_id"]
        async with transaction(self._pool) as connection:
            ended = await self._held(connection, environment_id)
            result = _result(environment_id, ended["removed"])
            statement = {
                "format": "sb-transfer retirement 1",
                "environment_id": str(environment_id),
                "licence_number": environment["licence_number"],
                "name": environment["name"],
                "url": environment["url"],
                "transfer_id": str(ended["transfer_id"]),
                "requested_by": ended["requested_by"],
                "planned_at": ended["planned_at"].isoformat(),
                "retired_at": ended["retired_at"].isoformat(),
                "rows_by_table": json.loads(ended["removed"]),
            }
            certificate = self._signer.sign_document(statement).decode()
            await connection.execute(_SQL["finish"], environment_id, certificate)
            await record_event(
                connection,
                ended["transfer_id"],
                EventKind.ENVIRONMENT_RETIRED,
                detail={"tables": result.tables, "rows": result.rows, "url": environment["url"]},
                event_key=uuid5(environment_id, EventKind.ENVIRONMENT_RETIRED),
            )
        return result

    async def _held(self, connection: Connection, environment_id: UUID) -> asyncpg.Record:
        await environment_row(connection, environment_id, hold=True)
        row = await connection.fetchrow(_SQL["retirement"], environment_id)
        if row is None:
            raise WrongMoment
        return row


async def require_removable(connection: Connection, environment: asyncpg.Record | None, environment_id: UUID) -> UUID:
    """Return the transfer that left an environment behind, when it may be removed.

    Raises:
        EnvironmentUnknown, AlreadyRetired, NotMovedAway, StillForwarded, StillInTransfer: It may not.
    """
    if environment is None:
        raise EnvironmentUnknown
    if environment["status"] == EnvironmentStatus.RETIRED:
        raise AlreadyRetired
    transfer_id: UUID | None = await connection.fetchval(_SQL["released_from"], environment_id)
    if environment["status"] != EnvironmentStatus.READ_ONLY or transfer_id is None:
        raise NotMovedAway
    if await connection.fetchval(_SQL["busy"], environment["inbox_id"]):
        raise StillInTransfer
    if await connection.fetchval(_SQL["forwarded"], environment["mailbox_address"]):
        raise StillForwarded
    return transfer_id


def _result(environment_id: UUID, removed: str) -> m.RetirementResult:
    rows = json.loads(removed)
    return m.RetirementResult(
        environment_id=environment_id,
        outcome=m.RetirementOutcome.RETIRED,
        tables=len(rows),
        rows=sum(rows.values()),
    )
