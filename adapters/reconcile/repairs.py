"""Puts right what a move has left behind, where that is provably safe; everything else is left to a person."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import asyncpg

from adapters.clone import PostgresCloneEngine
from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import record_event
from adapters.transfer.freeze_release import PostgresEnvironmentAccess
from adapters.transfer.opening import restore_access
from adapters.transfer.uploads import PostgresReservations
from adapters.transfer.write_fence import bounded_waits, sweep
from domain import messages as m
from domain.errors import TransferUnknown
from domain.events import EventKind
from domain.facts import WorkflowFacts
from domain.naming import environment_id_in
from domain.reconciliation import Healing, ReadStanding, Repair, Standing
from domain.running import trouble
from domain.violations import ENDED, Violation, ViolationKind
from domain.vocabulary import HOME, EnvironmentStatus, TransferState

_DROP_OBJECTS = 200
_UNRELEASED = (EnvironmentStatus.BUILDING, EnvironmentStatus.AWAITING_RELEASE)

_SQL = load("adapters.reconcile.inspection") | load(__name__) | load("adapters.postgres.shards")


class WorkflowEnder(Protocol):
    """Ends workflows."""

    async def look_at(self, workflow_id: str, run_id: str) -> WorkflowFacts | None:
        """Return how one run fares; None when it is not open any more."""
        ...

    async def end(self, workflow_id: str, run_id: str, why: str) -> None:
        """End one run; nothing happens when it has ended."""
        ...


class _NotSafe(Exception):
    """This service cannot prove that it would do no harm: why."""


class PostgresRepairer:
    """Plays `domain.ports.Repairer`.

    Each repair proves inside its own transaction, with the environment or the transfer held, that what it removes
    belongs to a move that has ended. Done twice it does nothing the second time.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        gate: PostgresEnvironmentAccess,
        reservations: PostgresReservations,
        engine: PostgresCloneEngine,
        workflows: WorkflowEnder,
        shards: Shards | None = None,
    ) -> None:
        """Take a pool that is connected as sb_owner, who undoes steps and ends workflows, and other cells' pools."""
        self._pool = pool
        self._shards = shards or Shards(pool)
        self._gate = gate
        self._reservations = reservations
        self._engine = engine
        self._workflows = workflows
        self._repairs: dict[ViolationKind, Callable[[str, Repair], Awaitable[str]]] = {
            ViolationKind.WRITABLE_UNASKED: self._shut,
            ViolationKind.FROZEN_FOR_NOTHING: self._unfreeze,
            ViolationKind.RESERVED_FOR_NOTHING: self._let_go,
            ViolationKind.ORPHAN_SCHEMA: self._drop_orphan,
            ViolationKind.TICKET_LEFT: self._revoke_ticket,
            ViolationKind.FENCE_REMAINS: self._sweep,
            ViolationKind.FLAGS_LEFT: self._lower_flags,
            ViolationKind.GRANT_TOO_EARLY: self._keep_out,
            ViolationKind.ACTIVE_BUT_FENCED: self._lift_stray,
            **dict.fromkeys(ENDED, self._end_workflow),
        }

    async def standing(self, order: ReadStanding) -> Standing:
        """Return where the database says that a transfer stands.

        Raises:
            TransferUnknown: There is no such transfer.
        """
        async with transaction(self._pool) as connection:
            row = await connection.fetchrow(_SQL["standing"], order.transfer_id)
        if row is None:
            raise TransferUnknown
        facts = dict(row)
        for side in ("old", "new"):
            facts[side] = None if facts[side] is None else json.loads(facts[side])
        facts["mails_answered"] = facts["mails_answered"] or []
        return Standing.model_validate(facts)

    async def repair(self, order: Repair) -> Healing:
        """Put one violation right, or say why that is left to a person.

        Raises:
            EnvironmentBusy: A lock was not to be had in time; try again.
        """
        violation = order.violation
        repair = self._repairs.get(violation.kind)
        if repair is None:
            return _left_to_a_person(violation, violation.remedy)
        _, _, whose = violation.subject.partition(" ")
        try:
            return Healing(violation=violation, done=True, what=await repair(whose, order))
        except _NotSafe as reason:
            return _left_to_a_person(violation, f"{reason} {violation.remedy}")

    # --- on an environment -----------------------------------------------------------------------------------------

    async def _shut(self, whose: str, order: Repair) -> str:
        async with transaction(self._pool) as connection:
            environment = await _held(connection, whose)
            moves = await connection.fetch(_SQL["moves_from"], environment["environment_id"])
            released = next((move for move in moves if move["state"] == TransferState.RELEASED), None)
            if environment["status"] != EnvironmentStatus.READ_ONLY or released is None:
                # What was written meanwhile may be in the clone or not: shutting it now would hide that.
                raise _NotSafe("It is in a transfer that is not released.")
            async with self._there(connection, environment) as there, bounded_waits(there):
                tables = await there.fetchval(_SQL["raise_fence"], environment["schema_name"], "transferred")
            await _tell(connection, released["transfer_id"], order, f"fenced {tables} tables of the old environment")
        return f"all {tables} tables refuse writes"

    async def _unfreeze(self, whose: str, order: Repair) -> str:
        async with transaction(self._pool) as connection:
            environment = await _held(connection, whose)
            moves = await connection.fetch(_SQL["moves_from"], environment["environment_id"])
            if environment["status"] != EnvironmentStatus.READ_ONLY or any(
                move["state"] != TransferState.UNDONE for move in moves
            ):
                raise _NotSafe("A transfer of it is not undone.")
            up = [move for move in moves if await connection.fetchval(_SQL["fence_up"], move["transfer_id"])]
            if len(up) != 1:
                raise _NotSafe("No undone transfer has frozen it.")
            transfer_id = up[0]["transfer_id"]
            await _tell(connection, transfer_id, order, "the freeze of an undone transfer is lifted")
        await self._gate.unfreeze(
            m.UnfreezeEnvironment(transfer_id=transfer_id, environment_id=environment["environment_id"])
        )
        return "it is active again, as it was before the freeze"

    async def _let_go(self, whose: str, order: Repair) -> str:
        async with transaction(self._pool) as connection:
            environment = await _held(connection, whose)
            moves = await connection.fetch(_SQL["moves_to"], environment["environment_id"])
            if (
                environment["status"] not in _UNRELEASED
                or not moves
                or any(move["state"] != TransferState.UNDONE for move in moves)
            ):
                raise _NotSafe("No undone transfer has reserved it.")
            transfer_id = moves[0]["transfer_id"]
            await _tell(connection, transfer_id, order, "what an undone transfer had reserved is let go")
        await self._drop(transfer_id, environment["schema_name"])
        await self._reservations.release(m.ReleaseReservation(transfer_id=transfer_id))
        return "its clone is dropped; name and url are free"

    async def _sweep(self, whose: str, order: Repair) -> str:
        async with transaction(self._pool) as connection:
            environment = await _held(connection, whose)
            transfer_id = await _newest_move(connection, environment["environment_id"])
        left = await sweep(self._shards.pool(environment["cell"]), environment["schema_name"])
        if left:
            raise _NotSafe(f"{left} tables are being read on and on.")
        async with transaction(self._pool) as connection:
            await _tell(connection, transfer_id, order, "lifted fences are dropped")
        return "the lifted fences are dropped"

    async def _lower_flags(self, whose: str, order: Repair) -> str:
        async with transaction(self._pool) as connection:
            environment = await _held(connection, whose)
            async with self._there(connection, environment) as there:
                opening = await _opening(there, environment)
                async with bounded_waits(there):
                    lowered = await there.fetchval(
                        _SQL["lower_flags"], opening["schema_name"], opening["administrations"], opening["opened"]
                    )
            transfer_id = await _newest_move(connection, environment["environment_id"])
            await _tell(connection, transfer_id, order, f"{lowered} administrations are made writable")
        return f"{lowered} administrations are writable"

    async def _lift_stray(self, whose: str, order: Repair) -> str:
        """Lift a freeze that a cell has committed and home never heard of: its workflow ended in between."""
        async with transaction(self._pool) as connection:
            environment = await _held(connection, whose)
            cell = environment["cell"]
            if environment["status"] != EnvironmentStatus.ACTIVE or cell == HOME:
                raise _NotSafe("No freeze was broken off half-way.")
            async with self._there(connection, environment) as there:
                fence = await there.fetchrow(_SQL["stray_fence"], environment["environment_id"])
                if fence is None:
                    raise _NotSafe("No freeze was broken off half-way.")
                state = await connection.fetchval(_SQL["hold_transfer"], fence["transfer_id"])
                if state not in (None, TransferState.UNDONE):
                    raise _NotSafe("The transfer that froze it is under way.")
                async with bounded_waits(there):
                    await there.execute(_SQL["bar_stray"], fence["transfer_id"])
                    await restore_access(there, cell, fence["transfer_id"], fence)
            await _tell(connection, fence["transfer_id"], order, "a freeze that was broken off is lifted")
        await sweep(self._shards.pool(cell), environment["schema_name"])
        return "it takes writes again, as before the freeze that was broken off"

    async def _keep_out(self, whose: str, order: Repair) -> str:
        async with transaction(self._pool) as connection:
            environment = await _held(connection, whose)
            if environment["status"] != EnvironmentStatus.BUILDING:
                raise _NotSafe("It is not being built any more.")
            async with self._there(connection, environment) as there:
                await there.fetchval(_SQL["take_schema_grants"], environment["schema_name"])
            transfer_id = await _newest_move(connection, environment["environment_id"])
            await _tell(connection, transfer_id, order, "nobody may enter what is being built")
        return "nobody but this service may enter it"

    # --- on a workflow ---------------------------------------------------------------------------------------------

    async def _end_workflow(self, whose: str, order: Repair) -> str:
        """End exactly the run that was found, if it is still as it was: what it leaves the next inspection finds."""
        violation = order.violation
        fares = await self._workflows.look_at(whose, violation.run_id)
        if fares is None:
            return "it has ended by itself"
        now = trouble(fares, datetime.now(UTC))
        if violation.kind is not ViolationKind.WORKFLOW_BEHIND and (now is None or now.kind is not violation.kind):
            raise _NotSafe("It goes on by itself again.")
        environment_id = environment_id_in(whose)
        if environment_id is not None:
            async with transaction(self._pool) as connection:
                transfer_id = await _newest_move_from(connection, environment_id)
                await _tell(connection, transfer_id, order, f"the workflow is ended: {violation.what}")
        await self._workflows.end(whose, violation.run_id, f"{violation.kind.value}: {violation.what}")
        return "it is ended"

    # --- on a transfer or a schema ---------------------------------------------------------------------------------

    async def _revoke_ticket(self, whose: str, order: Repair) -> str:
        async with transaction(self._pool) as connection:
            transfer_id = UUID(whose)
            state = await connection.fetchval(_SQL["hold_transfer"], transfer_id)
            if state is None or not TransferState(state).is_final:
                raise _NotSafe("Its transfer is under way.")
            await connection.execute(_SQL["revoke_ticket"], transfer_id)
            await _tell(connection, transfer_id, order, "the ticket of an ended transfer is revoked")
        return "the ticket is revoked"

    async def _drop_orphan(self, schema: str, order: Repair) -> str:
        async with transaction(self._pool) as connection:
            transfer_id = await connection.fetchval(_SQL["move_that_reserved"], schema)
            if transfer_id is None:
                raise _NotSafe("No undone transfer has made it.")
            await _tell(connection, transfer_id, order, f"what was left of its clone is dropped ({schema})")
        await self._drop(transfer_id, schema)
        return "what was left of a clone is dropped"

    async def _drop(self, transfer_id: UUID, schema: str) -> None:
        await self._engine.drop(m.DropClone(transfer_id=transfer_id))
        async with transaction(self._pool) as connection:
            cell = await connection.fetchval(_SQL["cell_of_new"], transfer_id) or HOME
        pool = self._shards.pool(cell)
        # The engine knows its own runs; what a restored backup brought back is none of them.
        more = 1
        while more:
            async with transaction(pool) as there:
                more = await there.fetchval(_SQL["drop_some"], transfer_id, schema, _DROP_OBJECTS)
        async with transaction(pool) as there:
            await there.execute(_SQL["drop_schema"], transfer_id, schema)

    @asynccontextmanager
    async def _there(self, connection: Connection, environment: asyncpg.Record) -> AsyncIterator[Connection]:
        """Work where an environment lives; what is done in another database commits when the block ends."""
        async with self._shards.together(connection, environment["cell"], environment["cell"]) as (there, _):
            yield there


async def _opening(there: Connection, environment: asyncpg.Record) -> asyncpg.Record:
    mine = environment["environment_id"]
    if environment["cell"] == HOME:
        rows = await there.fetch(_SQL["openings"])
    else:
        rows = await there.fetch(_SQL["openings_of_guests"], [mine])
    for row in rows:
        if row["environment_id"] == mine and environment["status"] == EnvironmentStatus.ACTIVE:
            return row
    raise _NotSafe("It is not active any more.")


def _left_to_a_person(violation: Violation, why: str) -> Healing:
    return Healing(violation=violation, done=False, what=why)


async def _held(connection: Connection, environment_id: str) -> asyncpg.Record:
    row = await connection.fetchrow(_SQL["hold_environment"], UUID(environment_id))
    if row is None:
        raise _NotSafe("It is gone.")
    return row


async def _newest_move_from(connection: Connection, environment_id: UUID) -> UUID | None:
    moves = await connection.fetch(_SQL["moves_from"], environment_id)
    return moves[0]["transfer_id"] if moves else None


async def _newest_move(connection: Connection, environment_id: UUID) -> UUID | None:
    for statement in ("moves_from", "moves_to"):
        for move in await connection.fetch(_SQL[statement], environment_id):
            found: UUID = move["transfer_id"]
            return found
    return None


async def _tell(connection: Connection, transfer_id: UUID | None, order: Repair, what: str) -> None:
    """Write down who puts what right, once, in the story of the transfer that left it."""
    if transfer_id is not None:
        await record_event(
            connection,
            transfer_id,
            EventKind.REPAIRED,
            actor=order.requested_by,
            reason=what,
            detail={"violation": order.violation.kind, "subject": order.violation.subject},
            event_key=order.event_key,
        )
