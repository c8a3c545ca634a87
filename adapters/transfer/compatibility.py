"""Finds out whether another database can hold an environment: it is built there without rows, and taken back.

No list of what which version of PostgreSQL can do would ever be whole. So every definition is made in the other
database, and what that server then says of it is held beside what the first one says.
"""

import textwrap
import uuid
from contextlib import AsyncExitStack

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load
from adapters.schema import catalog
from adapters.verify.schema_diff import schema_differences
from adapters.verify.schema_snapshot import read_snapshot
from domain.messages import Obstacle

_SQL = load(__name__)
_VERIFY = load("adapters.verify.verifier")
_ENDLESS_INTERVALS = 17  # the PostgreSQL since which there are any
_SHOWN = 100
_NOT_YET = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidForeignKeyError,
)


async def rehearse(source: Connection, target: Connection, schema: str) -> list[Obstacle]:
    """Return everything in a schema that the target's database could not hold as it is; nothing of the try stays.

    Args:
        source: Connected to the schema's database, in a transaction.
        target: Connected to the other one, in a transaction.
        schema: The environment's schema, whose definitions keep still.

    Raises:
        Unavailable: A server went away.
    """
    if await source.fetchval(_SQL["encoding"]) != await target.fetchval(_SQL["encoding"]):
        return [Obstacle(what="the database", why="the two keep text in different encodings; ask support")]
    obstacles = [
        Obstacle(what=row["what"], why=f"it needs {row['needs']}, which stays behind in this database; drop it")
        for row in await source.fetch(_SQL["outside"], schema)
    ]
    obstacles += await _endless_intervals(source, target, schema)
    async with AsyncExitStack() as tries:
        for connection in (source, target):  # what was set for looking and trying goes as well
            attempt = connection.transaction()
            await attempt.start()
            tries.push_async_callback(attempt.rollback)
        return obstacles + await _tried(source, target, schema)


async def _endless_intervals(source: Connection, target: Connection, schema: str) -> list[Obstacle]:
    if target.get_server_version().major >= _ENDLESS_INTERVALS:
        return []
    why = "it holds an infinite interval, which the other database's PostgreSQL does not know; change the value"
    return [
        Obstacle(what=row["what"], why=why)
        for row in await source.fetch(_SQL["endless"], schema)
        if await source.fetchval(row["statement"])
    ]


async def _tried(source: Connection, target: Connection, schema: str) -> list[Obstacle]:
    plan = await catalog.read_blueprint(source, schema, version=await catalog.server_version(target))
    copy = f"rehearsal_{uuid.uuid4().hex}"
    await target.execute(await target.fetchval(_SQL["scratch"], copy))
    await catalog.enter(target, copy)
    found: list[Obstacle] = []
    for part in _parts(plan):
        found += await _make(target, part)
    if found:
        return found  # what was not made would be missed once more below
    sides = []
    for connection, name in ((source, schema), (target, copy)):
        await connection.execute(_VERIFY["enter"], name)
        sides.append(await read_snapshot(connection, name))
    old, new = sides
    for side in sides:
        for facts in side.facts.values():
            facts.pop("position", None)  # sequences are put where they stand when the rows are there
    return [
        Obstacle(what=difference.table, why=f"the other database would hold it otherwise: {difference.problem}")
        for difference in schema_differences(old, new)
        if difference.table != "schema"
    ]


def _parts(plan: catalog.Blueprint) -> list[list[str]]:
    """Return a blueprint's definitions in the order in which a clone of a small schema makes them."""
    singles = [index for index in plan.indexes if not index.partitioned]
    return [
        [*plan.types, *plan.sequences, *plan.functions, *(table.statement for table in plan.tables)],
        [*plan.attachments, *(text for table in plan.tables for text in table.columns)],
        [index.statement for index in singles],
        [
            *(index.constraint for index in plan.indexes if index.constraint),
            *(index.statement for index in plan.indexes if index.partitioned),
            *(statement for index in plan.indexes for statement in index.afterwards),
        ],
        [constraint.statement for constraint in plan.constraints],
        [*plan.views, *plan.view_functions],
        [*plan.attached, *plan.comments, *plan.grants, *plan.owners],
    ]


async def _make(target: Connection, statements: list[str]) -> list[Obstacle]:
    """Make definitions, those again that need another one first, and return those that cannot be made."""
    if not statements:
        return []
    try:
        async with target.transaction():
            await target.execute("\n;\n".join(statements))
    except asyncpg.PostgresError:
        pass
    else:
        return []
    found: list[Obstacle] = []
    waiting = statements
    while waiting:
        postponed: list[tuple[str, str]] = []
        for statement in waiting:
            try:
                async with target.transaction():
                    await target.execute(statement)
            except _NOT_YET as error:
                postponed.append((statement, str(error)))
            except asyncpg.PostgresError as error:
                found.append(_obstacle(statement, str(error)))
        if len(postponed) == len(waiting):
            return [*found, *(_obstacle(*one) for one in postponed)]
        waiting = [statement for statement, _ in postponed]
    return found


def _obstacle(statement: str, problem: str) -> Obstacle:
    why = f"the other database's server refuses it ({problem}); change or drop it"
    return Obstacle(what=textwrap.shorten(statement, _SHOWN), why=why)
