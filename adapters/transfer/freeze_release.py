"""Shuts and opens an environment to writers: the manual's "kenmerk alleen-lezen" and "Vrijgeven".

One module, though a long one: each thing that a freeze takes has to be given back by an undo and by a release.
"""

import asyncio
import time
from datetime import timedelta
from uuid import UUID

import asyncpg

from adapters.inbox.held_items import Target, forget_drained, hand_on_inbox
from adapters.observability.metrics import UNMEASURED, Metrics
from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.contained import ask, bound
from adapters.postgres.lock_waits import busy, in_the_way, named_waits
from adapters.postgres.place import Place
from adapters.postgres.shards import Guest, Shards, is_released_here, note, release_here
from adapters.postgres.statements import load, within
from adapters.postgres.transfer_rows import (
    environment_row,
    lock_for_step,
    lock_for_undo,
    one,
    plain,
    record_event,
    sent_by,
    summary_of,
)
from adapters.schema.catalog import inspect_schema
from adapters.schema.rights import apply_schema_grants
from adapters.transfer.opening import hand_on_consents, open_up, owner_of, put_in_held_items, restore_access
from adapters.transfer.rehearsal import refusal_of
from adapters.transfer.write_fence import (
    PATIENCE,
    PAUSE_BETWEEN_TRIES,
    Patience,
    TableBusy,
    bounded_waits,
    busy_when_late,
    freeze_schema,
    settle_sequences,
    sweep,
    wait_for_drawn_numbers,
)
from domain import messages as m
from domain.errors import (
    AlreadyInTransfer,
    CannotBeCarried,
    CloneDiffers,
    EnvironmentBusy,
    EnvironmentNotActive,
    EnvironmentUnknown,
    NotItsTransfer,
    TransferUnknown,
    WrongMoment,
)
from domain.events import EventKind
from domain.naming import schema_name_of
from domain.vocabulary import HOME, EnvironmentStatus, Scenario, TransferState

# "Het oude mailbox-adres blijft nog 30 dagen werken" (manual, Let op).
FORWARDING_TIME = timedelta(days=30)

_SQL = load("adapters.postgres.transfer_rows") | load(__name__)
_FENCE = ("environment_id", "schema_name", "administrations", "administration_count", "table_count", "sequence_grants")


class PostgresEnvironmentAccess:
    """Plays `domain.ports.EnvironmentAccess`. See `control.refuse_write` for what an application sees."""

    def __init__(
        self,
        pool: Pool,
        *,
        remind_every: timedelta = timedelta(days=7),
        shards: Shards | None = None,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        """Take a pool that is connected as sb_owner, how often a release is reminded of, and other cells' pools."""
        self._pool = pool
        self._shards = shards or Shards(pool)
        self._metrics = metrics
        self._remind_every = remind_every

    async def freeze(self, order: m.FreezeEnvironment) -> m.EnvironmentFrozen:
        """Fence every write and flag the administrations read-only, in one transaction.

        Raises:
            EnvironmentUnknown, AlreadyInTransfer, EnvironmentNotActive, CannotBeCarried: Nothing has changed.
            EnvironmentBusy: Somebody's transaction was in the way; try again.
            Superseded: The transfer is being undone.
            AlreadyReleased: It has been moved long ago; somebody has reset the workflow.
        """
        in_the_way_before: list[int] = []
        for patience in PATIENCE:
            try:
                frozen = await self._try_to_freeze(order, patience, in_the_way_before)
                pool = self._shards.pool(frozen.environment.cell)
                await wait_for_drawn_numbers(pool, frozen.environment.schema_name)
                await self._settle(order.transfer_id, frozen.environment)
            except EnvironmentBusy as error:
                if isinstance(error, TableBusy):
                    in_the_way_before.insert(0, error.table)
                # Also after the last one: who is in the way after this pause is in the way for long.
                await asyncio.sleep(PAUSE_BETWEEN_TRIES.total_seconds())
            else:
                return frozen
        raise await self._busy(order.environment_id)

    async def _settle(self, transfer_id: UUID, environment: m.EnvironmentSummary) -> None:
        """Settle the sequences while the transfer is held: no other attempt changes their rights, no undo lets draw."""
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, transfer_id)
            async with self._shards.forward(connection, environment.cell, transfer) as there:
                await settle_sequences(there, environment.schema_name)

    async def _busy(self, environment_id: UUID) -> EnvironmentBusy:
        """Return the error with the names of those who are in the way now, if anybody still is."""
        async with transaction(self._pool) as connection:
            environment = await environment_row(connection, environment_id)
        cell = environment["cell"] if environment is not None else HOME
        blockers = await in_the_way(self._shards.pool(cell), schema_name_of(environment_id))
        return busy(EnvironmentBusy.default_english(), blockers)

    async def _try_to_freeze(
        self, order: m.FreezeEnvironment, patience: Patience, first_of_all: list[int]
    ) -> m.EnvironmentFrozen:
        async with transaction(self._pool) as connection:
            environment = await environment_row(connection, order.environment_id)
            if environment is None:
                raise EnvironmentUnknown
            await connection.execute(
                _SQL["make_transfer"],
                order.transfer_id,
                order.workflow_id,
                order.environment_id,
                environment["name"],
                environment["licence_number"],
                order.requested_by,
            )
            try:
                transfer = await lock_for_step(connection, order.transfer_id)
            except TransferUnknown:
                raise AlreadyInTransfer from None  # the row was not made, because another live one is in its way
            if transfer["frozen_at"] is not None:
                return await self._frozen_before(connection, order.transfer_id, environment)
            environment = await one(connection, _SQL["lock_environment"], order.environment_id)
            if environment["status"] != EnvironmentStatus.ACTIVE:
                raise EnvironmentNotActive
            frozen, held_since = await self._freeze(connection, transfer, order, environment, (patience, first_of_all))
        if held_since is not None:
            self._metrics.fence_hold.record(time.monotonic() - held_since)
        return frozen

    async def _frozen_before(
        self, connection: Connection, transfer_id: UUID, environment: asyncpg.Record
    ) -> m.EnvironmentFrozen:
        fence = await one(connection, _SQL["fence_of"], transfer_id)
        return _frozen(environment, fence)

    async def _freeze(
        self,
        connection: Connection,
        transfer: asyncpg.Record,
        order: m.FreezeEnvironment,
        environment: asyncpg.Record,
        bounds: tuple[Patience, list[int]],
    ) -> tuple[m.EnvironmentFrozen, float | None]:
        """Freeze it; return since when, by the monotonic clock, writers are held until the commit, if they are now."""
        held_since: float | None = None
        cell, schema_name = environment["cell"], environment["schema_name"]
        await connection.execute(_SQL["set_status"], order.environment_id, EnvironmentStatus.READ_ONLY)
        frozen_at = await connection.fetchval(_SQL["mark_frozen"], order.transfer_id)
        async with self._shards.forward(connection, cell, transfer) as there:
            # What another database has done and this one has missed.
            fence = await there.fetchrow(_SQL["fence_of"], order.transfer_id)
            if fence is None:
                # The rest of what `prepare` looks at is looked at once more when nobody writes: it may take its time.
                if obstacles := await inspect_schema(there, schema_name):
                    raise refusal_of(CannotBeCarried, obstacles)
                grants = await there.fetchval(_SQL["take_sequence_grants"], schema_name)
                # As late as can be: from here to the commit every writer of this environment is held.
                held_since = time.monotonic()
                raised = await freeze_schema(there, schema_name, *bounds)
                with busy_when_late():
                    await there.execute(
                        _SQL["keep_fence"],
                        order.transfer_id,
                        order.environment_id,
                        schema_name,
                        raised.administrations,
                        raised.administration_count,
                        raised.table_count,
                        grants,
                        frozen_at,
                    )
                    status = EnvironmentStatus.READ_ONLY
                    await note(there, cell, Guest(order.environment_id, schema_name, order.transfer_id, status))
                    fence = await one(there, _SQL["fence_of"], order.transfer_id)
            if cell == HOME:
                return await self._tell_of(connection, order, environment, fence), held_since
        await connection.execute(
            _SQL["keep_fence"], order.transfer_id, *(fence[name] for name in _FENCE), fence["raised_at"]
        )
        return await self._tell_of(connection, order, environment, fence), held_since

    async def _tell_of(
        self,
        connection: Connection,
        order: m.FreezeEnvironment,
        environment: asyncpg.Record,
        fence: asyncpg.Record,
    ) -> m.EnvironmentFrozen:
        frozen = _frozen(environment, fence)
        with busy_when_late():
            await record_event(
                connection,
                order.transfer_id,
                EventKind.ENVIRONMENT_FROZEN,
                actor=order.requested_by,
                detail={
                    "tables": frozen.tables,
                    "administrations": frozen.administrations,
                    **({"started_by": plain(order.started_by)} if order.started_by else {}),
                },
            )
        return frozen

    async def unfreeze(self, order: m.UnfreezeEnvironment) -> None:
        """Make the environment writable again, exactly as it was, if this transfer froze it.

        Raises:
            AlreadyReleased: There is no way back.
            WrongMoment: The undo has not begun.
            EnvironmentBusy: Somebody's lock was in the way; try again.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_undo(connection, order.transfer_id)
            if transfer is None:
                return
            environment = await environment_row(connection, transfer["environment_id"])
            cell = environment["cell"] if environment is not None else HOME
            known = await connection.fetchrow(_SQL["fence_of"], order.transfer_id)
            async with self._shards.backward(connection, cell, transfer) as there:
                fence = await there.fetchrow(_SQL["fence_of"], order.transfer_id)
                if fence is not None and fence["lifted_at"] is None:
                    where = Place(fence["schema_name"], cell)
                    async with named_waits(self._shards, where), bounded_waits(there):
                        await environment_row(connection, fence["environment_id"], hold=True)
                        await restore_access(there, cell, order.transfer_id, fence)
                        target = Target(fence["environment_id"], fence["schema_name"], cell)
                        await put_in_held_items(connection, there, order.transfer_id, target)
            # Home does not know of a freeze that it has missed, and then nobody was told of it.
            if known is not None and known["lifted_at"] is None:
                await connection.execute(_SQL["set_status"], known["environment_id"], EnvironmentStatus.ACTIVE)
                await connection.execute(_SQL["mark_lifted"], order.transfer_id)
                await record_event(connection, order.transfer_id, EventKind.ENVIRONMENT_UNFROZEN)
        if fence is not None:
            await sweep(self._shards.pool(cell), fence["schema_name"])

    async def open_for_inspection(self, order: m.OpenForInspection) -> m.OpenedForInspection:
        """Let the application read the new environment, and refuse its writes.

        Raises:
            CloneDiffers: A table of the old environment escaped the fence, so it may have been written since.
            WrongMoment: There is no new environment yet.
            EnvironmentBusy: A lock was not to be had in time; try again.
            Superseded: The transfer is being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id, evening=order.evening)
            if transfer["state"] != TransferState.AWAITING_RELEASE:
                await self._open(connection, transfer)
            return m.OpenedForInspection(
                opened_at=await connection.fetchval(_SQL["opened_at"], order.transfer_id),
                remind_every_seconds=int(self._remind_every.total_seconds()),
            )

    async def _open(self, connection: Connection, transfer: asyncpg.Record) -> None:
        old = await environment_row(connection, transfer["environment_id"])
        new = await environment_row(connection, transfer["new_environment_id"], hold=True)
        if old is None or new is None:
            raise WrongMoment
        places = Place(old["schema_name"], old["cell"]), Place(new["schema_name"], new["cell"])
        async with (
            named_waits(self._shards, *places),
            self._shards.together(connection, old["cell"], old["cell"]) as (source, _),
        ):
            open_tables = [row[0] for row in await source.fetch(_SQL["unfenced_tables"], old["schema_name"])]
            if open_tables:
                raise CloneDiffers(
                    f"The old environment could be written while it was moved: no fence on {', '.join(open_tables)}. "
                    "The transfer is undone; start it again when nobody changes the environment's tables."
                )
            async with self._shards.forward(connection, new["cell"], transfer) as there, bounded_waits(there):
                fenced = await there.fetchval(_SQL["raise_fence"], new["schema_name"], "awaiting_release")
                await apply_schema_grants(there, old["schema_name"], new["schema_name"], source=source)
                status = EnvironmentStatus.AWAITING_RELEASE
                guest = Guest(new["environment_id"], new["schema_name"], transfer["transfer_id"], status)
                await note(there, new["cell"], guest)
        await connection.execute(_SQL["set_status"], new["environment_id"], EnvironmentStatus.AWAITING_RELEASE)
        await connection.execute(_SQL["mark_opened"], transfer["transfer_id"])
        await record_event(
            connection, transfer["transfer_id"], EventKind.OPENED_FOR_INSPECTION, detail={"tables": fenced}
        )

    async def release(self, order: m.ReleaseEnvironment) -> m.EnvironmentReleased:
        """Make the new environment writable, invite its users again and route both mailbox addresses to it.

        Raises:
            WrongMoment: It does not await its release.
            EnvironmentBusy: A lock was not to be had in time; try again.
            Superseded: The transfer is being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id, may_be_released=True)
            if transfer["state"] not in (TransferState.AWAITING_RELEASE, TransferState.RELEASED):
                raise WrongMoment
            old = await environment_row(connection, transfer["environment_id"])
            new = await environment_row(connection, transfer["new_environment_id"], hold=True)
            if old is None or new is None:
                raise AssertionError("an environment that awaits its release exists, and so does the one it came from")
            if transfer["state"] == TransferState.RELEASED:
                released_at = transfer["released_at"]
                invited = int(await connection.fetchval(_SQL["released"], order.transfer_id))
            else:
                released_at = order.released_at
                invited = await self._release(connection, order, transfer, old, new)
        if new["cell"] != HOME:
            await self._open_elsewhere(order, new)
        await sweep(self._shards.pool(new["cell"]), new["schema_name"])
        return m.EnvironmentReleased(
            old_mailbox_address=old["mailbox_address"],
            new_mailbox_address=new["mailbox_address"],
            forward_until=released_at + FORWARDING_TIME,
            users_invited=invited,
        )

    async def _release(
        self,
        connection: Connection,
        order: m.ReleaseEnvironment,
        transfer: asyncpg.Record,
        old: asyncpg.Record,
        new: asyncpg.Record,
    ) -> int:
        new_id = new["environment_id"]
        # From here to the commit nothing comes in for either: whoever delivers holds the route first.
        await connection.execute(_SQL["forward_moved_addresses"], old["environment_id"], new_id)
        await connection.execute(_SQL["route_mailbox"], new["mailbox_address"], new_id, None)
        await connection.execute(
            _SQL["route_mailbox"], old["mailbox_address"], new_id, order.released_at + FORWARDING_TIME
        )
        async with self._shards.together(connection, old["cell"], old["cell"]) as (there, _):
            await forget_drained(connection, old["cell"], there, old["environment_id"])
        await hand_on_inbox(connection, old["environment_id"], new_id)
        async with named_waits(self._shards, Place(new["schema_name"], new["cell"])), bounded_waits(connection):
            if new["cell"] == HOME:
                invited = await open_up(connection, transfer, new, await self._fence(connection, order))
                await hand_on_consents(connection, connection, old["environment_id"], new)
                target = Target(new_id, new["schema_name"], HOME)
                await put_in_held_items(connection, connection, order.transfer_id, target)
            else:
                # Home says first that there is no way back, then the cell opens: an undo cannot come in between. Nobody
                # writes there meanwhile, so that whoever is going to be invited can be counted now.
                async with self._shards.together(connection, new["cell"], new["cell"]) as (there, _):
                    count_users = within(bound(_SQL["count_users"], owner_of(transfer, new)), new["schema_name"])
                    [(users,)] = await ask(there, count_users, new["schema_name"])
                    invited = int(users)
            await connection.execute(_SQL["set_status"], new_id, EnvironmentStatus.ACTIVE)
            await connection.execute(_SQL["mark_released"], order.transfer_id, order.released_by, order.released_at)
            await record_event(
                connection,
                order.transfer_id,
                EventKind.ENVIRONMENT_RELEASED,
                actor=order.released_by,
                reason=order.note,
                detail={"users_invited": invited, **sent_by(order.sent_by)},
            )
            if transfer["scenario"] == Scenario.OUTSOURCE:
                await self._tell_left_licence(connection, order.transfer_id, old["licence_number"])
        return invited

    async def _tell_left_licence(self, connection: Connection, transfer_id: UUID, licence_number: str) -> None:
        """Tell that an entrepreneur's licence is in use no more (manual: "Zeg de oude licentie op")."""
        if not await connection.fetchval(_SQL["is_in_use"], licence_number):
            await record_event(
                connection, transfer_id, EventKind.LICENCE_LEFT, detail={"licence_number": licence_number}
            )

    async def _fence(self, connection: Connection, order: m.ReleaseEnvironment) -> asyncpg.Record:
        return await one(connection, _SQL["fence_of"], order.transfer_id)

    async def _open_elsewhere(self, order: m.ReleaseEnvironment, new: asyncpg.Record) -> None:
        """Open what home says is released; when that was done already, do nothing."""
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id, may_be_released=True)
            fence = await self._fence(connection, order)
            async with self._shards.forward(connection, new["cell"], transfer) as there:
                if await is_released_here(there, order.transfer_id):
                    return
                async with named_waits(self._shards, Place(new["schema_name"], new["cell"])), bounded_waits(there):
                    await open_up(there, transfer, new, fence)
                    await hand_on_consents(connection, there, transfer["environment_id"], new)
                    target = Target(new["environment_id"], new["schema_name"], new["cell"])
                    await put_in_held_items(connection, there, order.transfer_id, target)
                    status = EnvironmentStatus.ACTIVE
                    guest = Guest(new["environment_id"], new["schema_name"], order.transfer_id, status)
                    await release_here(there, guest, fence)

    async def close_forwarding(self, order: m.CloseMailboxForwarding) -> None:
        """Let the old mailbox address belong to nobody; it is never given to anybody else.

        Raises:
            NotItsTransfer: It is somebody else's address, or still to be forwarded: whoever started this made that up.
        """
        async with transaction(self._pool) as connection:
            await lock_for_step(connection, order.transfer_id, may_be_released=True)
            command_tag: str = await connection.execute(
                _SQL["close_route"], order.old_mailbox_address, order.transfer_id
            )
            if command_tag.endswith(" 1"):
                await record_event(
                    connection,
                    order.transfer_id,
                    EventKind.MAILBOX_FORWARDING_CLOSED,
                    detail={"address": order.old_mailbox_address},
                )
            elif not await connection.fetchval(_SQL["is_closed"], order.old_mailbox_address):
                raise NotItsTransfer


def _frozen(environment: asyncpg.Record, fence: asyncpg.Record) -> m.EnvironmentFrozen:
    return m.EnvironmentFrozen(
        environment=summary_of(environment),
        frozen_at=fence["raised_at"],
        administrations=fence["administration_count"],
        tables=fence["table_count"],
    )
