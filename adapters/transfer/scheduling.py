"""Takes an evening back that did not suffice and plans the next one, or one that somebody chose."""

from datetime import datetime
from uuid import UUID, uuid5

import asyncpg

from adapters.clone.attempt import session_name
from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.shards import Guest, Shards, cell_of_new, note
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import lock_for_step, record_event, sent_by
from domain import messages as m
from domain.errors import BegunAgain, EveningInvalid, Superseded, WrongMoment
from domain.events import EventKind
from domain.vocabulary import HOME, TransferState
from domain.window import FURTHEST_EVENING, Window

_SQL = (
    load("adapters.transfer.uploads") | load("adapters.postgres.shards") | load("adapters.clone.clone") | load(__name__)
)
_DROP_OBJECTS = 200
_BEFORE_THE_RELEASE = (TransferState.SCHEDULED, TransferState.CLONING, TransferState.AWAITING_RELEASE)


class PostgresEveningPlanner:
    """Plays `domain.ports.EveningPlanner`.

    The first transaction counts the evening on, which bars everything that carries the old number: attempts at the
    clone and at the changes in it, and in the end this method's own. The clone stays barred until it is gone, in as
    many transactions as that takes; an attempt that finds some of it gone goes on with the rest.
    """

    def __init__(self, pool: Pool, window: Window, *, shards: Shards | None = None) -> None:
        """Take a pool that is connected as sb_owner, the evening window, and other cells' pools."""
        self._pool = pool
        self._shards = shards or Shards(pool)
        self._window = window

    async def postpone(self, order: m.PostponeStart) -> m.StartPlanned:
        """Bar what is left of an evening, drop its clone and plan the next start; reservation and freeze stay.

        Raises:
            Superseded: The transfer is being undone, or a later evening has been put off as well.
            BegunAgain: All was done in time that evening.
            WrongMoment: Nothing has been planned yet, or it is released.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id)
            if transfer["evening"] == order.evening:
                if await connection.fetchval(_SQL["is_certified"], order.transfer_id, order.evening):
                    raise BegunAgain
                await self._put_off(connection, order, transfer)
            elif transfer["evening"] != order.evening + 1:
                raise Superseded
        while await self._drop_some(order):
            continue
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id, evening=order.evening + 1)
            planned = await self._planned(connection, order.transfer_id, transfer["evening"], transfer["starts_at"])
            had_begun = await connection.fetchval(_SQL["had_begun"], order.transfer_id, order.evening)
            return planned.model_copy(update={"had_begun": had_begun})

    async def reschedule(self, order: m.RescheduleStart) -> m.StartPlanned:
        """Plan the start on an evening that somebody chose.

        Raises:
            EveningInvalid: It has begun already, or lies too far ahead.
            WrongMoment: The transfer does not wait for its evening.
            Superseded: It is being undone, or the evening that was to be changed has been put off meanwhile.
        """
        try:
            starts_at = self._window.opening_on(order.on)
        except OverflowError:  # at the ends of the calendar
            raise EveningInvalid from None
        if not order.asked_at < starts_at <= order.asked_at + FURTHEST_EVENING:
            raise EveningInvalid
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id, evening=order.evening)
            if transfer["state"] != TransferState.SCHEDULED:
                raise WrongMoment
            await connection.execute(_SQL["plan_on"], order.transfer_id, starts_at)
            await record_event(
                connection,
                order.transfer_id,
                EventKind.START_RESCHEDULED,
                actor=order.requested_by,
                reason=order.reason,
                detail={
                    "from": transfer["starts_at"].isoformat(),
                    "starts_at": starts_at.isoformat(),
                    **sent_by(order.sent_by),
                },
                event_key=order.event_key,
            )
            return await self._planned(connection, order.transfer_id, order.evening, starts_at)

    async def _planned(
        self, connection: Connection, transfer_id: UUID, evening: int, starts_at: datetime
    ) -> m.StartPlanned:
        starts_at = starts_at.astimezone(self._window.zone)
        return m.StartPlanned(
            evening=evening,
            starts_at=starts_at,
            closes_at=self._window.closing_of(starts_at),
            grace_until=self._window.end_of_grace(starts_at),
            behind=await connection.fetchval(_SQL["behind"], transfer_id),
        )

    async def _put_off(self, connection: Connection, order: m.PostponeStart, transfer: asyncpg.Record) -> None:
        if transfer["state"] not in _BEFORE_THE_RELEASE:
            raise WrongMoment
        starts_at = self._window.start_again_at(order.decided_at)
        cell = await cell_of_new(connection, transfer)
        async with self._shards.forward(connection, cell, transfer, evening=order.evening + 1) as there:
            # The server goes on with the statement of a worker that is gone, which would hold up the bar.
            await there.execute(_SQL["terminate_sessions"], session_name(order.transfer_id))
            if cell != HOME:
                await there.execute(_SQL["begin_evening"], order.transfer_id)
            await there.execute(_SQL["bar_run"], order.transfer_id)
        await connection.execute(_SQL["put_off"], order.transfer_id, order.evening, starts_at)
        await connection.execute(_SQL["build_again"], transfer["new_environment_id"])
        await record_event(
            connection,
            order.transfer_id,
            EventKind.START_POSTPONED,
            reason=order.why,
            detail={
                "evening": order.evening,
                "from": transfer["starts_at"].isoformat(),
                "starts_at": starts_at.isoformat(),
            },
        )

    async def _drop_some(self, order: m.PostponeStart) -> bool:
        """Drop some tables, or in the end the schema, and return whether there is more to do."""
        async with transaction(self._pool) as connection:
            # Held until the commit: neither an undo nor the next evening comes in between.
            transfer = await lock_for_step(connection, order.transfer_id, evening=order.evening + 1)
            cell = await cell_of_new(connection, transfer)
            async with self._shards.forward(connection, cell, transfer) as there:
                schema = await there.fetchval(_SQL["hold_barred_run"], order.transfer_id)
                if schema is None:
                    return False
                if await there.fetchval(_SQL["drop_some"], order.transfer_id, schema, _DROP_OBJECTS):
                    return True
                await there.execute(_SQL["drop_schema"], order.transfer_id, schema)
                await note(there, cell, Guest(transfer["new_environment_id"], schema, order.transfer_id, None))
                await there.execute(_SQL["forget_units"], schema)
                await there.execute(_SQL["open_again"], schema)
            await record_event(connection, order.transfer_id, EventKind.CLONE_DROPPED, event_key=_dropped(order))
            return False


def _dropped(order: m.PostponeStart) -> UUID:
    return uuid5(order.transfer_id, f"clone_dropped {order.evening}")
