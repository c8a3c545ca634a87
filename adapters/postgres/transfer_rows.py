"""What every step does to the books of `control`: hold the transfer's row, and tell the story once."""

import json
from typing import Any
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from domain.errors import AlreadyReleased, Superseded, TransferUnknown, WrongMoment
from domain.messages import EnvironmentSummary
from domain.vocabulary import TransferState

SERVICE = "sb-transfer"
_SQL = load(__name__)
_BEING_UNDONE = (TransferState.UNDOING, TransferState.UNDONE)


async def lock_for_step(
    connection: Connection, transfer_id: UUID, *, evening: int | None = None, may_be_released: bool = False
) -> asyncpg.Record:
    """Lock a transfer's row for a step forward; `evening` is the planned start that the step belongs to.

    Raises:
        TransferUnknown: There is no such transfer.
        Superseded: It is being undone, or that start was put off: this attempt was left over from before.
        AlreadyReleased: It is released, and the step is one that comes before that: its workflow was reset.
    """
    row = await connection.fetchrow(_SQL["lock_transfer"], transfer_id)
    if row is None:
        raise TransferUnknown
    if row["state"] in _BEING_UNDONE or evening not in (None, row["evening"]):
        raise Superseded
    if row["state"] == TransferState.RELEASED and not may_be_released:
        raise AlreadyReleased
    return row


async def lock_for_undo(connection: Connection, transfer_id: UUID) -> asyncpg.Record | None:
    """Lock a transfer's row for a compensation; None when the transfer never came into being.

    Raises:
        AlreadyReleased: There is no way back any more.
        WrongMoment: The undo has not begun, so a forward step could still come after this one.
    """
    row = await connection.fetchrow(_SQL["lock_transfer"], transfer_id)
    if row is None:
        return None
    if row["state"] == TransferState.RELEASED:
        raise AlreadyReleased
    if row["state"] not in _BEING_UNDONE:
        raise WrongMoment
    return row


async def await_no_disk(connection: Connection) -> None:
    """Let this commit not wait for the disk: what it says may be lost, or is waited for with what follows it."""
    await connection.execute(_SQL["not_awaited"])


async def record_event(
    connection: Connection,
    transfer_id: UUID,
    kind: str,
    *,
    actor: str = SERVICE,
    reason: str = "",
    detail: dict[str, Any] | None = None,
    event_key: UUID | None = None,
) -> bool:
    """Append an event to the transfer's log; return whether it was new."""
    command_tag: str = await connection.execute(
        _SQL["add_event"],
        transfer_id,
        plain(actor) or SERVICE,
        kind,
        plain(reason),
        json.dumps(detail or {}, default=str),
        event_key,
    )
    return command_tag.endswith(" 1")


def sent_by(sender: str) -> dict[str, str]:
    """Return what the detail of an event says of who sent the signal that it tells of."""
    return {"sent_by": plain(sender)} if sender else {}


async def one(connection: Connection, statement: str, *arguments: object) -> asyncpg.Record:
    """Return the row of a statement that always has one."""
    row = await connection.fetchrow(statement, *arguments)
    if row is None:
        raise AssertionError(f"no row from: {statement.splitlines()[0]}")
    return row


async def environment_row(
    connection: Connection, environment_id: UUID | None, *, hold: bool = False
) -> asyncpg.Record | None:
    """Return an environment's row, locked until the transaction ends when `hold` is given."""
    return await connection.fetchrow(_SQL["lock_environment" if hold else "environment"], environment_id)


async def live_transfer_of(connection: Connection, environment_id: UUID) -> UUID | None:
    """Return the id of an environment's live transfer."""
    found: UUID | None = await connection.fetchval(_SQL["live_transfer_of"], environment_id)
    return found


def summary_of(environment: asyncpg.Record) -> EnvironmentSummary:
    """Return an environment's row as a transfer speaks of it."""
    return EnvironmentSummary.model_validate(dict(environment))


def plain(text: str, limit: int = 500) -> str:
    """Return what a caller wrote, fit for the log: no characters that PostgreSQL refuses, at most `limit` long."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")[:limit]
