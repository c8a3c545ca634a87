"""Shuts and opens an environment to writers: the manual's "kenmerk alleen-lezen" and "Vrijgeven"."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg

from adapters.clone import apply_schema_grants
from adapters.docket import (
    enter_schema,
    environment_row,
    hold_backward,
    hold_forward,
    leave_schema,
    one,
    summary_of,
    tell,
)
from adapters.fence import (
    PATIENCE,
    PAUSE_BETWEEN_TRIES,
    Patience,
    TableBusy,
    busy_when_late,
    freeze_schema,
    in_the_way,
    patiently,
    refuse_obstacles,
    sweep,
    wait_for_drawn_numbers,
)
from adapters.postgres import Connection, Pool, transaction
from adapters.statements import load
from domain import messages as m
from domain.errors import (
    AlreadyInTransfer,
    BegunAgain,
    CloneDiffers,
    EnvironmentBusy,
    EnvironmentNotActive,
    EnvironmentUnknown,
    TransferUnknown,
    WrongMoment,
)
from domain.naming import schema_name_of
from domain.vocabulary import EnvironmentStatus, Scenario, TransferState

# "Het oude mailbox-adres blijft nog 30 dagen werken" (manual, Let op).
FORWARDING_TIME = timedelta(days=30)

_SQL = load("docket") | load("gate")


class PostgresEnvironmentGate:
    """Plays `domain.ports.EnvironmentGate`. See `control.refuse_write` for what an application sees."""

    def __init__(self, pool: Pool, *, remind_every: timedelta = timedelta(days=7)) -> None:
        """Take a pool that is connected as sb_owner, and how often the new side is reminded of its release."""
        self._pool = pool
        self._remind_every = remind_every

    async def freeze(self, order: m.FreezeEnvironment) -> m.EnvironmentFrozen:
        """Fence every write and flag the administrations read-only, in one transaction.

        Raises:
            EnvironmentUnknown, AlreadyInTransfer, EnvironmentNotActive, CannotBeCarried: Nothing has changed.
            EnvironmentBusy: Somebody's transaction was in the way; try again.
            Superseded: The transfer is being undone.
            BegunAgain: It was frozen long ago and has its upload; somebody has reset the workflow.
        """
        in_the_way_before: list[int] = []
        for patience in PATIENCE:
            try:
                frozen = await self._try_to_freeze(order, patience, in_the_way_before)
                await wait_for_drawn_numbers(self._pool, frozen.environment.schema_name)
            except EnvironmentBusy as error:
                if isinstance(error, TableBusy):
                    in_the_way_before.insert(0, error.table)
                # Also after the last one: who is in the way after this pause is in the way for long.
                await asyncio.sleep(PAUSE_BETWEEN_TRIES.total_seconds())
            else:
                return frozen
        raise await self._busy(order.environment_id)

    async def _busy(self, environment_id: UUID) -> EnvironmentBusy:
        """Return the error with the names of those who are in the way now, if anybody still is."""
        blockers = await in_the_way(self._pool, schema_name_of(environment_id))
        if not blockers:
            return EnvironmentBusy()
        said = f"{EnvironmentBusy.default_english()} In the way: {'; '.join(blockers)}."
        return EnvironmentBusy(said, dutch=EnvironmentBusy.dutch)

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
                transfer = await hold_forward(connection, order.transfer_id)
            except TransferUnknown:
                raise AlreadyInTransfer from None  # the row was not made, because another live one is in its way
            if transfer["frozen_at"] is not None:
                if transfer["state"] not in (TransferState.PREPARING, TransferState.AWAITING_UPLOAD):
                    raise BegunAgain
                return await self._frozen_before(connection, order.transfer_id, environment)
            environment = await one(connection, _SQL["lock_environment"], order.environment_id)
            if environment["status"] != EnvironmentStatus.ACTIVE:
                raise EnvironmentNotActive
            await refuse_obstacles(connection, environment["schema_name"])
            return await self._freeze(connection, order, environment, patience, first_of_all)

    async def _frozen_before(
        self, connection: Connection, transfer_id: UUID, environment: asyncpg.Record
    ) -> m.EnvironmentFrozen:
        fence = await one(connection, _SQL["fence_of"], transfer_id)
        return m.EnvironmentFrozen(
            environment=summary_of(environment),
            frozen_at=fence["raised_at"],
            administrations=fence["administration_count"],
            tables=fence["table_count"],
        )

    async def _freeze(
        self,
        connection: Connection,
        order: m.FreezeEnvironment,
        environment: asyncpg.Record,
        patience: Patience,
        first_of_all: list[int],
    ) -> m.EnvironmentFrozen:
        schema_name = environment["schema_name"]
        await connection.execute(_SQL["set_status"], order.environment_id, EnvironmentStatus.READ_ONLY)
        frozen_at = await connection.fetchval(_SQL["mark_frozen"], order.transfer_id)
        grants = await connection.fetchval(_SQL["take_sequence_grants"], schema_name)
        # As late as can be: from here to the commit every writer of this environment is held.
        fence = await freeze_schema(connection, schema_name, patience, first_of_all)
        with busy_when_late():
            await connection.execute(
                _SQL["keep_fence"],
                order.transfer_id,
                order.environment_id,
                schema_name,
                fence.administrations,
                fence.administration_count,
                fence.table_count,
                grants,
                frozen_at,
            )
            await tell(
                connection,
                order.transfer_id,
                "environment_frozen",
                actor=order.requested_by,
                detail={"tables": fence.table_count, "administrations": fence.administration_count},
            )
        return m.EnvironmentFrozen(
            environment=summary_of(environment),
            frozen_at=frozen_at,
            administrations=fence.administration_count,
            tables=fence.table_count,
        )

    async def unfreeze(self, order: m.UnfreezeEnvironment) -> None:
        """Make the environment writable again, exactly as it was, if this transfer froze it.

        Raises:
            AlreadyReleased: There is no way back.
            WrongMoment: The undo has not begun.
            EnvironmentBusy: Somebody's lock was in the way; try again.
        """
        async with transaction(self._pool) as connection:
            if await hold_backward(connection, order.transfer_id) is None:
                return
            fence = await connection.fetchrow(_SQL["fence_of"], order.transfer_id)
            if fence is None:
                return
            if fence["lifted_at"] is None:
                await self._lift(connection, order.transfer_id, fence)
        await sweep(self._pool, fence["schema_name"])

    async def _lift(self, connection: Connection, transfer_id: UUID, fence: asyncpg.Record) -> None:
        async with patiently(connection):
            await environment_row(connection, fence["environment_id"], hold=True)
            await connection.fetchval(_SQL["lift_fence"], fence["schema_name"], fence["administrations"])
            await connection.fetchval(_SQL["give_sequence_grants"], fence["schema_name"], fence["sequence_grants"])
            await connection.execute(_SQL["set_status"], fence["environment_id"], EnvironmentStatus.ACTIVE)
            await connection.execute(_SQL["mark_lifted"], transfer_id)
            await tell(connection, transfer_id, "environment_unfrozen")

    async def open_for_inspection(self, order: m.OpenForInspection) -> m.OpenedForInspection:
        """Let the application read the new environment, and refuse its writes.

        Raises:
            CloneDiffers: A table of the old environment escaped the fence, so it may have been written since.
            WrongMoment: There is no new environment yet.
            EnvironmentBusy: A lock was not to be had in time; try again.
            Superseded: The transfer is being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await hold_forward(connection, order.transfer_id, evening=order.evening)
            if transfer["state"] not in (TransferState.AWAITING_RELEASE, TransferState.RELEASED):
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
        open_tables = [row[0] for row in await connection.fetch(_SQL["unfenced_tables"], old["schema_name"])]
        if open_tables:
            raise CloneDiffers(
                f"The old environment could be written while it was moved: no fence on {', '.join(open_tables)}. "
                "The transfer is undone; start it again when nobody changes the environment's tables."
            )
        async with patiently(connection):
            fenced = await connection.fetchval(_SQL["raise_fence"], new["schema_name"], "awaiting_release")
            await apply_schema_grants(connection, old["schema_name"], new["schema_name"])
            await connection.execute(_SQL["set_status"], new["environment_id"], EnvironmentStatus.AWAITING_RELEASE)
            await connection.execute(_SQL["mark_opened"], transfer["transfer_id"])
            await tell(connection, transfer["transfer_id"], "opened_for_inspection", detail={"tables": fenced})

    async def release(self, order: m.ReleaseEnvironment) -> m.EnvironmentReleased:
        """Make the new environment writable, invite its users again and route both mailbox addresses to it.

        Raises:
            WrongMoment: It does not await its release.
            EnvironmentBusy: A lock was not to be had in time; try again.
            Superseded: The transfer is being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await hold_forward(connection, order.transfer_id)
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
        await sweep(self._pool, new["schema_name"])
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
        fence = await one(connection, _SQL["fence_of"], order.transfer_id)
        schema_name, new_id = new["schema_name"], new["environment_id"]
        await connection.execute(_SQL["forward_moved_addresses"], old["environment_id"], new_id)
        await connection.execute(_SQL["route_mailbox"], new["mailbox_address"], new_id, None)
        await connection.execute(
            _SQL["route_mailbox"], old["mailbox_address"], new_id, order.released_at + FORWARDING_TIME
        )
        async with patiently(connection):
            await connection.fetchval(_SQL["lift_fence"], schema_name, fence["administrations"])
            await connection.fetchval(_SQL["give_sequence_grants"], schema_name, fence["sequence_grants"])
            invited = await self._invite(connection, transfer, new)
            await connection.execute(_SQL["set_status"], new_id, EnvironmentStatus.ACTIVE)
            await connection.execute(_SQL["mark_released"], order.transfer_id, order.released_by, order.released_at)
            await tell(
                connection,
                order.transfer_id,
                "environment_released",
                actor=order.released_by,
                reason=order.note,
                detail={"users_invited": invited},
            )
        return invited

    async def _invite(self, connection: Connection, transfer: asyncpg.Record, new: asyncpg.Record) -> int:
        """Invite every user again: "Nodig tenslotte alle gebruikers opnieuw uit" (manual, Gebruikers uitnodigen)."""
        await connection.execute(_SQL["mute_triggers"])
        await enter_schema(connection, new["schema_name"])
        if transfer["scenario"] == Scenario.INSOURCE and new["login_email"]:
            await connection.execute(_SQL["add_owner"], new["login_email"])
        told: str = await connection.execute(_SQL["invite_users"])
        await leave_schema(connection)
        return int(told.rsplit(" ", 1)[1])

    async def close_forwarding(self, order: m.CloseMailboxForwarding) -> None:
        """Let the old mailbox address belong to nobody; it is never given to anybody else."""
        async with transaction(self._pool) as connection:
            await hold_forward(connection, order.transfer_id)
            told: str = await connection.execute(_SQL["close_route"], order.old_mailbox_address)
            if told.endswith(" 1"):
                await tell(
                    connection,
                    order.transfer_id,
                    "mailbox_forwarding_closed",
                    detail={"address": order.old_mailbox_address},
                )
