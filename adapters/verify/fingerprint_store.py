"""What the environments of a transfer were at which moment, as `control.fingerprint` keeps it."""

from enum import StrEnum
from uuid import UUID

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from domain.fingerprint import Fingerprint
from domain.messages import TableDifference

_SQL = load("adapters.verify.certification")


class Moment(StrEnum):
    """When it was looked at."""

    FROZEN = "frozen"
    CLONED = "cloned"
    OPENED = "opened"
    RELEASE = "release"


class MoveSide(StrEnum):
    """Which environment."""

    OLD = "old"
    NEW = "new"


async def keep_fingerprint(
    connection: Connection, transfer_id: UUID, moment: Moment, side: MoveSide, fingerprint: Fingerprint
) -> None:
    """Keep what one side was at a moment; a later look takes the place of an earlier one."""
    await connection.execute(
        _SQL["keep_fingerprint"], transfer_id, moment, side, fingerprint.taken_at, fingerprint.model_dump_json()
    )


async def kept_fingerprint(
    connection: Connection, transfer_id: UUID, moment: Moment, side: MoveSide
) -> Fingerprint | None:
    """Return what one side was at a moment; None when nobody looked."""
    found: str | None = await connection.fetchval(_SQL["fingerprint"], transfer_id, moment, side)
    return Fingerprint.model_validate_json(found) if found is not None else None


async def keep_proof(
    connection: Connection, transfer_id: UUID, old: Fingerprint, new: Fingerprint
) -> list[TableDifference]:
    """Keep what both sides were when they were proved equal, and return how the old one differs from its freeze.

    There is nothing to return unless somebody got past the fence: a superuser, or whoever owns the tables.
    """
    await keep_fingerprint(connection, transfer_id, Moment.CLONED, MoveSide.OLD, old)
    await keep_fingerprint(connection, transfer_id, Moment.CLONED, MoveSide.NEW, new)
    frozen = await kept_fingerprint(connection, transfer_id, Moment.FROZEN, MoveSide.OLD)
    if frozen is None:  # a transfer that was begun by a version without fingerprints
        return []
    return [
        change.model_copy(update={"problem": f"changed since the freeze: {change.problem}"})
        for change in frozen.changes(old)
    ]
