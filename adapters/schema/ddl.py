"""Running definitions, and finding out which of them a server refuses."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from adapters.postgres.connection import Connection

# Classes of errors that are about the server or the moment, not about what it is asked to make.
_NOT_ABOUT_DEFINITIONS = frozenset({"08", "40", "53", "55", "57", "58"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A statement that the server does not take, and what it says about it."""

    statement: str
    error: asyncpg.PostgresError


class NotMadeError(Exception):
    """A definition cannot be made."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"{refusal.error} in: {refusal.statement[:200]}")


async def make(connection: Connection, statements: Sequence[str]) -> None:
    """Run definitions in their order, in the caller's transaction; all of them, or none.

    Raises:
        NotMadeError: The server refuses one.
        asyncpg.PostgresError: The server is in no state to make any.
    """
    try:
        await _at_once(connection, statements)
    except asyncpg.PostgresError as error:
        _require_definition(error)
        async with connection.transaction():
            for statement in statements:
                await _make_one(connection, statement)
        raise NotMadeError(Refusal("; ".join(statements), error)) from error  # it was refused, and now is not


async def refusals(connection: Connection, statements: Sequence[str]) -> list[Refusal]:
    """Run definitions in their order, in the caller's transaction, and return those that the server refuses."""
    try:
        await _at_once(connection, statements)
    except asyncpg.PostgresError as error:
        _require_definition(error)
        found: list[Refusal] = []
        for statement in statements:
            try:
                await _make_one(connection, statement)
            except NotMadeError as error:
                found.append(error.refusal)
        return found
    return []


async def _at_once(connection: Connection, statements: Sequence[str]) -> None:
    if statements:
        async with connection.transaction():
            await connection.execute("\n;\n".join(statements))


async def _make_one(connection: Connection, statement: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except asyncpg.PostgresError as error:
        _require_definition(error)
        raise NotMadeError(Refusal(statement, error)) from error


def _require_definition(error: asyncpg.PostgresError) -> None:
    """Raise an error again that another try may not meet."""
    if error.sqlstate is not None and error.sqlstate[:2] in _NOT_ABOUT_DEFINITIONS:
        raise error
