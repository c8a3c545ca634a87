"""Finds out before a move whether it can succeed: everything but the rows is built, read back, and taken away again.

No list of what which version of PostgreSQL can do, or of what people keep in a schema, would ever be whole. So every
definition is made once more under a name of its own, in the database that the environment will live in, and what that
server then says of it is held beside what the first one says.
"""

import textwrap
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain

import asyncpg

from adapters.postgres.connection import Connection, transaction
from adapters.postgres.contained import as_contained, ask
from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.schema import catalog, ddl
from adapters.schema.blueprint import Blueprint, ConstraintDefinition, StoredTable, renaming
from adapters.schema.ddl import Refusal, refusals
from adapters.schema.lending import lend
from adapters.schema.obstacles import obstacle
from adapters.schema.ordering import CircularDefinitionsError
from adapters.schema.rights import apply_owners_and_rights
from adapters.transfer.row_questions import RowQuestions
from adapters.transfer.tried_structures import TriedStructures, structure_of
from adapters.verify.dependencies import ties_to_others
from adapters.verify.schema_diff import schema_differences
from adapters.verify.schema_snapshot import THIS_SCHEMA, SchemaSnapshot, read_snapshot
from domain.errors import CannotBeCarried, Refused
from domain.messages import Obstacle

_SQL = load(__name__)
_ENDLESS_INTERVALS = 17  # the PostgreSQL since which there are any
_SHOWN = 100
_LOCKS_OF_TABLE = 10  # with its indexes, its keys and its text, twice that of a plain one


@dataclass(frozen=True, slots=True)
class Findings:
    """What keeps an environment from being moved; and the tables whose rows were not looked at in time."""

    obstacles: list[Obstacle] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Trial:
    """What kept a copy from being made or from being equal, whose tables it was; `whole`: with nothing left out."""

    obstacles: list[Obstacle]
    loads: Sequence[StoredTable]
    whole: bool = False


class PostgresRehearsal:
    """Looks at what has been frozen: nothing is left unasked, and no move is begun that would fail in the evening."""

    def __init__(self, shards: Shards, tried: TriedStructures | None = None) -> None:
        """Take the pools of all cells, and what else was tried in this process."""
        self._shards = shards
        self._tried = tried or TriedStructures()

    async def require_movable(self, place: Place) -> None:
        """Return when an environment, which keeps still, can be moved.

        Raises:
            CannotBeCarried: It cannot; the message lists what and why.
            Unavailable: The server is away; try again.
        """
        async with transaction(self._shards.pool(place.shard)) as there:
            found = await rehearse_at_home(there, place, limit=None, tried=self._tried)
        if found.obstacles:
            raise refusal_of(CannotBeCarried, found.obstacles)


async def rehearse_at_home(
    connection: Connection, place: Place, *, limit: timedelta | None, tried: TriedStructures
) -> Findings:
    """Return everything in a schema that could not be carried to another one beside it; nothing of the try stays.

    Holds nobody up: it waits for no lock for long, and keeps none on the environment that a writer would wait for.

    Args:
        connection: In a transaction.
        place: The environment's schema, and the cell that the connection goes to.
        limit: How long rows may be looked at; until everything is known, if None.
        tried: Structures of which no copy has to be made again, unless rows are to be held against it.

    Raises:
        Unavailable: Somebody is changing a definition at this moment, or the server went away.
    """
    schema = place.schema
    if obstacles := await catalog.inspect_schema(connection, schema):
        return Findings(obstacles)
    async with _taken_back(connection):
        await connection.execute(_SQL["hurry"])
        try:
            copy = _new_name()
            rows = RowQuestions(connection, schema, copy, renaming(schema, copy), limit=limit)
            async with _taken_back(connection):
                old = await read_snapshot(connection, schema, place.shard)
            structure = structure_of(old)
            if tried.know(structure):
                await catalog.enter_schema(connection, schema)
                await rows.ask()
                return Findings(rows.obstacles, rows.unasked)
            trial = await _try(connection, connection, old, copy)
            if trial.obstacles:
                return Findings(trial.obstacles)
            await catalog.enter_schema(connection, schema)
            await rows.ask(trial.loads)
            if trial.whole and not rows.needed_copy:
                tried.remember(structure)
        except CircularDefinitionsError as error:
            return Findings([obstacle("circle", str(error))])
        except asyncpg.InsufficientPrivilegeError as error:
            return Findings([_unreadable(error)])
        return Findings(rows.obstacles, rows.unasked)


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
        return [obstacle("encoding", "the database")]
    obstacles = [obstacle("outside", row["what"], row["needs"]) for row in await source.fetch(_SQL["outside"], schema)]
    obstacles += await _endless_intervals(source, target, schema)
    async with AsyncExitStack() as tries:
        for connection in (source, target):
            await tries.enter_async_context(_taken_back(connection))
        async with _taken_back(source):
            old = await read_snapshot(source, schema)
        return obstacles + (await _try(source, target, old, _new_name())).obstacles


def refusal_of(kind: type[Refused], obstacles: Sequence[Obstacle]) -> Refused:
    """Return the error that names all obstacles, in both languages."""
    english, dutch = (
        "\n".join(f"- {one}" for one in side) for side in (obstacles, [obstacle.nl for obstacle in obstacles])
    )
    return kind(f"{kind.default_english()}\n{english}", dutch=f"{kind.dutch}\n{dutch}")


def _new_name() -> str:
    return f"rehearsal_{uuid.uuid4().hex}"


@asynccontextmanager
async def _taken_back(connection: Connection) -> AsyncIterator[None]:
    """Take back what a block made, and what it set for looking and trying."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        yield
    finally:
        await attempt.rollback()


async def _endless_intervals(source: Connection, target: Connection, schema: str) -> list[Obstacle]:
    if target.get_server_version().major >= _ENDLESS_INTERVALS:
        return []
    return [
        obstacle("endless", row["what"])
        for row in await source.fetch(_SQL["endless"], schema)
        if (await ask(source, row["statement"], schema))[0][0]
    ]


async def _try(source: Connection, target: Connection, old: SchemaSnapshot, copy: str) -> _Trial:
    """Make a copy without rows and hold it beside the environment.

    Of thousands of tables, all of which the server could not lock at once, the plainest are not made.
    """
    schema = old.schema
    await catalog.enter_schema(source, schema)
    sessions, room = await target.fetchrow(_SQL["room"]) or (1, 0)
    surplus = {row["oid"]: row["object"] for row in await source.fetch(_SQL["surplus"], room)}
    version = 0 if source is target else await catalog.server_version(target)
    plan = await catalog.read_blueprint(source, schema, copy, version=version, without=[*surplus])
    for name in surplus.values():
        old.tables.pop(name, None)
        old.definitions.pop(name, None)
    try:
        return _Trial(await _made(target, old, copy, plan), plan.loads, whole=not surplus)
    except asyncpg.OutOfMemoryError:
        return _Trial([obstacle("locks", "the database", str(_LOCKS_OF_TABLE * plan.tables // sessions))], plan.loads)


async def _made(target: Connection, old: SchemaSnapshot, copy: str, plan: Blueprint) -> list[Obstacle]:
    # To refer to a table beside the environment would hold up whoever writes there.
    outside = [item for item in plan.constraints if item.outside]
    skipped = {item.statement for item in outside}
    about_skipped = tuple(_leave_out(old, outside, copy))
    await target.execute(await target.fetchval(_SQL["scratch"], copy))
    await catalog.enter_definitions(target)
    parts = plan.without_rows()
    careful = [
        text
        for item in plan.constraints
        if plan.code.around(item)
        for text in (item.validation, item.foreign_key and item.statement)
    ]
    for index in plan.indexes:
        if plan.code.of(index.family):
            careful += [index.statement, index.constraint, *index.afterwards]
    contained = {text: as_contained(text) for text in careful if text}

    async def make(statements: Iterable[str]) -> None:
        made = [text for text in statements if text not in skipped and not text.startswith(about_skipped)]
        refused.extend(await refusals(target, [contained.get(text, text) for text in made]))

    refused: list[Refusal] = []
    await make(parts.structure)
    tables = [*chain(*plan.code.tables.values())]
    async with lend(target, copy, tables):
        await make(parts.rest)
    async with lend(target, copy, plan.code.views, letting_in=True):
        await make(parts.attached)
    async with lend(target, copy, [*tables, *plan.code.views], letting_in=bool(plan.code.views)):
        await catalog.enter_rows(target, copy)
        await make([*parts.validations, *parts.refreshes])
        await catalog.enter_definitions(target)
    found = [
        obstacle("refused", textwrap.shorten(refusal.statement.replace(f"{copy}.", ""), _SHOWN), str(refusal.error))
        for refusal in refused
    ]
    if found:
        return found  # what was not made would be missed once more below
    await catalog.enter_schema(target, copy)
    try:
        async with target.transaction():
            await ddl.make(target, plan.definers)
            await apply_owners_and_rights(target, copy, plan.owners, plan.rights)
    except asyncpg.PostgresError as error:
        return [obstacle("refused", "owners and rights", str(error))]
    async with _taken_back(target):
        new = await read_snapshot(target, copy)
        for side in (old, new):
            for facts in side.definitions.values():
                facts.pop("position", None)  # sequences are put where they stand when the rows are there
        ties = await ties_to_others(target, [copy])
        differences = await schema_differences(target, old, new)
    return [
        *(obstacle("tied", tie.what.replace(f"{copy}.", ""), tie.needs) for tie in ties),
        *(
            obstacle("otherwise", difference.table, difference.problem)
            for difference in differences
            if difference.table != "schema"
        ),
    ]


def _leave_out(side: SchemaSnapshot, keys: list[ConstraintDefinition], copy: str) -> Iterator[str]:
    """Leave out what is said of keys that are not made, partitions' by their parents' included.

    Yields how a statement begins that comments on one.
    """
    made_of = {key.statement.partition(f" add constraint {key.outside} ")[2].replace(copy, THIS_SCHEMA) for key in keys}
    texts = {text.removesuffix(" NOT VALID") for text in made_of}
    for name, facts in side.definitions.items():
        found = [
            fact
            for fact, text in facts.items()
            if fact.startswith("constraint ") and text.removesuffix(" NOT VALID") in texts
        ]
        for constraint in found:
            for fact in [fact for fact in facts if fact == constraint or fact.startswith(f"{constraint}: ")]:
                del facts[fact]
            for table in (name, '"{}"'.format(name.replace('"', '""'))):
                yield f"comment on {constraint} on {copy}.{table} is "


def _unreadable(error: asyncpg.PostgresError) -> Obstacle:
    """Name what the server does not let this service read, as the server names it."""
    return obstacle("unreadable", str(error).removeprefix("permission denied for "), str(error))
