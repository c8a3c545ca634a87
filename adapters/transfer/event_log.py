"""The append-only story of a transfer, and the bar that an undo puts before every step forward."""

from uuid import UUID

import asyncpg

from adapters.observability.metrics import UNMEASURED, Metrics
from adapters.postgres.connection import Connection, Pool, transaction, translated_errors
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import (
    SERVICE,
    await_no_disk,
    live_transfer_of,
    lock_for_undo,
    plain,
    record_event,
    sent_by,
)
from domain import messages as m
from domain.errors import SomethingLeft, TransferUnknown
from domain.events import EventKind
from domain.vocabulary import TransferState

_SQL = load(__name__)
_MOST_KNOWN = 10_000


class PostgresTransferEventLog:
    """Plays `domain.ports.TransferEventLog`."""

    def __init__(self, pool: Pool, metrics: Metrics = UNMEASURED) -> None:
        """Take a pool that is connected as sb_owner."""
        self._pool = pool
        self._metrics = metrics
        self._workflows: dict[UUID, str] = {}

    async def show(self, transfer_id: UUID, sight: m.StepSeen) -> None:
        """Play `domain.ports.SightBoard`: the next look takes its place, so no commit waits for the disk.

        Raises:
            Unavailable: The server is away.
        """
        async with transaction(self._pool) as connection:
            await await_no_disk(connection)
            await connection.execute(_SQL["show"], transfer_id, sight.step, sight.progress.model_dump_json())

    async def record(self, order: m.RecordEvent) -> None:
        """Append an event, once for each key. The transfer itself need not exist (yet)."""
        async with transaction(self._pool) as connection:
            await record_event(
                connection,
                order.transfer_id,
                order.kind,
                actor=order.actor,
                reason=order.reason,
                detail={
                    **{name: value for name, value in (("code", order.code), ("item", order.item)) if value},
                    **sent_by(order.sent_by),
                },
                event_key=order.event_key,
            )

    async def workflow_of(self, transfer_id: UUID) -> str | None:
        """Play `domain.ports.TransferOwners`: asked before every activity, and the row keeps what it was made with."""
        found = self._workflows.get(transfer_id)
        if found is None:
            with translated_errors():
                found = await self._pool.fetchval(_SQL["workflow_of"], transfer_id)
            if found is not None:
                if len(self._workflows) >= _MOST_KNOWN:
                    self._workflows.clear()
                self._workflows[transfer_id] = found
        return found

    async def begin_undo(self, order: m.BeginUndo) -> None:
        """Bar every forward step of this transfer from now on; the first reason stays.

        Raises:
            AlreadyReleased: There is no way back any more.
        """
        async with transaction(self._pool) as connection:
            begun = await self._bar(connection, order)
            await lock_for_undo(connection, order.transfer_id)
            if begun:
                await record_event(
                    connection,
                    order.transfer_id,
                    EventKind.UNDO_BEGUN,
                    actor=order.requested_by or SERVICE,
                    reason=order.detail,
                    detail={"reason": order.reason, **sent_by(order.sent_by)},
                )
        if begun:
            self._metrics.undos.add(1, {"reason": order.reason})

    async def _bar(self, connection: Connection, order: m.BeginUndo) -> bool:
        while True:
            try:
                async with connection.transaction():
                    return await self._begin(connection, order, TransferState.UNDOING)
            except asyncpg.UniqueViolationError as error:
                if error.constraint_name != "transfer_live_per_environment":
                    raise
            live = await live_transfer_of(connection, order.environment_id)
            if live not in (None, order.transfer_id):
                # Another transfer of it is live, so this one never did anything: it is undone as it stands.
                return await self._begin(connection, order, TransferState.UNDONE)
            # Our own freeze made the row at the same moment, or the other transfer ended just now: look again.

    async def _begin(self, connection: Connection, order: m.BeginUndo, state: TransferState) -> bool:
        command_tag: str = await connection.execute(
            _SQL["begin_undo"],
            order.transfer_id,
            order.workflow_id,
            order.environment_id,
            state,
            plain(order.requested_by),
            order.reason,
            plain(order.detail, 2000),
            plain(order.detail_nl, 2000),
        )
        return command_tag.endswith(" 1")

    async def finish_undo(self, order: m.FinishUndo) -> None:
        """Close the books of a transfer of which nothing is left.

        Raises:
            TransferUnknown: There is no such transfer.
            AlreadyReleased, WrongMoment: It is not being undone.
            SomethingLeft: A fence, a ticket, a reservation or a schema: whoever undoes it does not know of that step.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_undo(connection, order.transfer_id)
            if transfer is None:
                raise TransferUnknown
            if transfer["state"] == TransferState.UNDOING:
                if left := await connection.fetchval(_SQL["left_of"], order.transfer_id):
                    raise SomethingLeft(f"{SomethingLeft.default_english()} Left: {left}.")
                await connection.execute(_SQL["finish_undo"], order.transfer_id)
                await record_event(connection, order.transfer_id, EventKind.UNDO_FINISHED)
