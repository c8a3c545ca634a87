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
from adapters.schema.ddl import Refusal, refusals
from adapters.schema.rights import apply_owners_and_rights
from adapters.verify.schema_diff import schema_differences
from adapters.verify.schema_snapshot import read_snapshot
from domain.messages import Obstacle

_SQL = load(__name__)
_ENDLESS_INTERVALS = 17  # the PostgreSQL since which there are any
_SHOWN = 100


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
    copy = f"rehearsal_{uuid.uuid4().hex}"
    plan = await catalog.read_blueprint(source, schema, copy, version=await catalog.server_version(target))
    await target.execute(await target.fetchval(_SQL["scratch"], copy))
    await catalog.enter_definitions(target)
    found = [_obstacle(refusal) for refusal in await refusals(target, plan.without_rows())]
    if found:
        return found  # what was not made would be missed once more below
    await catalog.enter_schema(target, copy)
    try:
        async with target.transaction():
            await apply_owners_and_rights(target, copy, plan.owners, plan.rights)
    except asyncpg.PostgresError as error:
        return [
            Obstacle(what="owners and rights", why=f"the other database's server refuses them ({error}); change them")
        ]
    sides = []
    for connection, name in ((source, schema), (target, copy)):
        sides.append(await read_snapshot(connection, name))
    old, new = sides
    for side in sides:
        for facts in side.definitions.values():
            facts.pop("position", None)  # sequences are put where they stand when the rows are there
    return [
        Obstacle(what=difference.table, why=f"the other database would hold it otherwise: {difference.problem}")
        for difference in schema_differences(old, new)
        if difference.table != "schema"
    ]


def _obstacle(refusal: Refusal) -> Obstacle:
    why = f"the other database's server refuses it ({refusal.error}); change or drop it"
    return Obstacle(what=textwrap.shorten(refusal.statement, _SHOWN), why=why)
