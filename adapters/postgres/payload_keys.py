"""Which payload keys all programs must have: one with another ring would write what no other can read."""

from collections.abc import Sequence

import asyncpg

from adapters.postgres.connection import Connection, Pool, translated_errors
from adapters.postgres.statements import load
from domain.errors import Misconfigured

_SQL = load(__name__)
_SETTING = "SB_TRANSFER_PAYLOAD_KEYS"


async def require_ring(pool: Pool, key_ids: Sequence[str]) -> None:
    """Make sure that a program's ring, newest first, is the one that all others have.

    Raises:
        Misconfigured: It is not; the message says what to do.
        Unavailable: The database does not answer.
    """
    if problem := await ring_problem(pool, key_ids):
        raise Misconfigured(problem)


async def ring_problem(pool: Pool, key_ids: Sequence[str]) -> str:
    """Return what is wrong with a ring, newest first, and what to do; nothing when it is as it should be."""
    try:
        with translated_errors():
            known = {row["key_id"]: row["encrypts"] for row in await pool.fetch(_SQL["known"])}
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        known = {}
    if not known:
        return f"The database knows no payload key. Run `sb-transfer setup` with the {_SETTING} that all programs have."
    if missing := _missing(known, key_ids):
        return missing
    if key_ids[0] not in known:
        return (
            f"{_SETTING} begins with the key {key_ids[0]}, which no other program may have. Give that key to all of "
            "them at the end of the ring, run `sb-transfer setup`, and put it in front after that."
        )
    return ""


async def register_ring(connection: Connection, key_ids: Sequence[str]) -> None:
    """Let a ring, newest first, be the one that all programs must have; keys that others need stay needed.

    Raises:
        Misconfigured: A key is missing from it that encrypts histories; nothing has changed.
    """
    known = {row["key_id"]: row["encrypts"] for row in await connection.fetch(_SQL["known"])}
    if missing := _missing(known, key_ids):
        raise Misconfigured(missing)
    await connection.execute(_SQL["register"], list(key_ids))


async def forget_key(pool: Pool, key_id: str) -> bool:
    """Let programs do without a key from now on; return whether it was known."""
    with translated_errors():
        command_tag: str = await pool.execute(_SQL["forget"], key_id)
    return command_tag.endswith(" 1")


def _missing(known: dict[str, bool], key_ids: Sequence[str]) -> str:
    needed = [key_id for key_id, encrypts in known.items() if encrypts and key_id not in key_ids]
    if not needed:
        return ""
    return (
        f"{_SETTING} lacks {', '.join(needed)}, with which histories are encrypted; it has {', '.join(key_ids)}. Put "
        "what is missing at its end and start again. `sb-transfer payload-keys` tells which keys are needed."
    )
