"""Statements that may run an environment's own code: as a role that can do nothing else, and can become no other.

See `migrations/control/0021_carried_code.sql` for how.
"""

import json
import re
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from adapters.postgres.connection import Connection, transaction
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from domain.errors import Misconfigured, Unavailable
from domain.vocabulary import HOME

CARRIER = "sb_carrier"
"""Has no rights of its own: for what only reads, by views of this service."""
_SQL = load(__name__)
_PARAMETER = re.compile(r"\$(\d)")


async def ask(
    connection: Connection, question: str, *schemas: str, path: str | None = None, first: str = ""
) -> list[asyncpg.Record]:
    """Return the rows of a query without parameters; see `asked`."""
    async with asked(connection, question, *schemas, path=path, first=first) as answers:
        return list(await connection.fetch(answers))


@asynccontextmanager
async def asked(
    connection: Connection,
    question: str,
    *schemas: str,
    path: str | None = None,
    first: str = "",
    order: str = "",
    beside_writes: bool = False,
) -> AsyncIterator[str]:
    """Let a query without parameters be answered, and return the query that reads its rows.

    Its names are bound in the search_path of the caller, whose transaction may write, and keeps nothing of it.

    Args:
        connection: In a transaction.
        question: The query.
        schemas: What its code may look at when it cannot do without: that takes long where there is much.
        path: The schema whose names that code finds without it; what the caller finds, if None.
        first: Statements that are run before, as this service.
        order: The columns that order the rows. Without, they come as they lie: a row is put wherever there is room, and
            many of different lengths do not lie in the order in which they were put down.
        beside_writes: The caller writes while it reads the answers; otherwise all that it does then is taken back.

    Raises:
        asyncpg.InsufficientPrivilegeError: That code wants more.
    """
    # A name of its own: what a session knows of one table's columns is taken for the next one's.
    name = f"sb_answers_{uuid.uuid4().hex}"
    answers = f"table pg_temp.{name}" + (f" order by {order}" if order else "")
    rights = ((), schemas) if schemas else ((),)
    for seen in rights:
        asking = connection.transaction()
        await asking.start()
        try:
            for schema in seen:
                await let_in(connection, schema)
            if first:
                await connection.execute(first)
            await connection.execute(_SQL["ask"], CARRIER, question, path, name)
            rows = await connection.fetch(f"table pg_temp.{name}") if seen and beside_writes else []
        except asyncpg.SyntaxOrAccessError:  # what it may not find is not there for it
            await asking.rollback()
            if seen == rights[-1]:
                raise
        except BaseException:
            await asking.rollback()
            raise
        else:
            break
    if not beside_writes:
        try:
            yield answers
        finally:
            await asking.rollback()
        return
    if seen:  # the rights are taken back, and with them everything else
        await asking.rollback()
        async with connection.transaction():
            await connection.execute(_SQL["prepare"], question, name)
            await connection.copy_records_to_table(name, schema_name="pg_temp", records=[tuple(row) for row in rows])
            await connection.execute("drop view pg_temp.sb_question")
    else:
        await asking.commit()
    yield answers
    await connection.execute(f"drop table pg_temp.{name}")


async def require_carrier(shards: Shards) -> None:
    """Make sure that there is the role that an environment's own code runs as, in every database that answers.

    Raises:
        Misconfigured: It is missing, or this service cannot hand anything to it.
    """
    for cell in (HOME, *shards.others):
        with suppress(Unavailable):
            async with transaction(shards.pool(cell)) as connection:
                missing = await connection.fetchval(_SQL["missing"], CARRIER)
            if missing:
                raise Misconfigured(
                    f"In the database of {cell} the role {CARRIER}, which environments' own code runs as, is missing, "
                    "has not got sb_owner as its member, or may make no temporary tables. Run `sb-transfer setup`, or "
                    f"as a superuser: create role {CARRIER}; grant {CARRIER} to sb_owner; "
                    f"grant temporary on database … to {CARRIER}."
                )


def as_contained(statement: str) -> str:
    """Return a statement that runs another as the role that can do nothing, with the search_path that there is."""
    return f"select control.contained('{CARRIER}', {_literal(statement)})"


def as_made_contained(schema: str, table: str, statement: str) -> str:
    """Return a statement that runs one that makes a table of a copy as that role."""
    return f"select control.make_table({_literal(schema)}, {_literal(table)}, {_literal(statement)})"


async def let_in(connection: Connection, schema: str, *, writes: bool = False) -> str:
    """Let code that is contained find and read what a schema holds; return the statements that take that back.

    `writes`: it may write there too.
    """
    taking_back: str = await connection.fetchval(_SQL["let_in"], CARRIER, schema, writes)
    return taking_back


async def write(connection: Connection, schema: str, *changes: tuple[str, str]) -> list[Any]:
    """Change tables of an environment, and return what each statement tells, from JSON.

    Args:
        connection: In a transaction.
        schema: The environment's.
        changes: The name of a table, and a statement without parameters: `{table}` is the table there, and `{told}`
            stands before the query whose one value, of type jsonb, is returned; None where there is no such query.

    Raises:
        asyncpg.PostgresError: The environment refuses it.
    """
    tables, statements = [table for table, _ in changes], [statement for _, statement in changes]
    rows = await connection.fetch(_SQL["write"], schema, tables, statements)
    return [None if row["told"] is None else json.loads(row["told"]) for row in rows]


def bound(statement: str, *arguments: bool | int | str | date | UUID | Iterable[UUID] | None) -> str:
    """Return one of our statements with values in the place of its parameters: a view takes none."""
    return _PARAMETER.sub(lambda match: _literal(arguments[int(match[1]) - 1]), statement)


def _literal(value: bool | int | str | date | UUID | Iterable[UUID] | None) -> str:  # noqa: FBT001 - it may be a Boolean
    match value:
        case None:
            return "null"
        case bool() | int():
            return str(value).lower()
        case date():
            return f"'{value.isoformat()}'::date"
        case UUID():
            return f"'{value}'::uuid"
        case str():
            return "'{}'".format(value.replace("'", "''"))
    return "'{{{}}}'".format(",".join(str(one) for one in value))
