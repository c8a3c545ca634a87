"""An environment with a schema of somebody else's in it, and its whole way to another licence."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from adapters.clone import PostgresCloneEngine
from adapters.transfer.preview import PostgresPreviewReader
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.errors import CannotBeCarried
from tests.integration.pending_clone import PendingClone
from tests.integration.services import Move, Services

REPORTED = Path(__file__).with_name("reported")


@dataclass(frozen=True)
class Carried:
    """What is moved: both `pg_dump` texts the same, every row equal, released."""

    file: str
    loaded_by: str = "sb_owner"
    first: str = ""
    """SQL that a superuser runs first; `{schema}` is the environment's."""
    last: str = ""
    """SQL that a superuser runs after the file."""
    same: tuple[str, ...] = ()
    """Questions that both environments answer alike, asked with the environment on the search_path."""
    since: int = 14
    """The PostgreSQL since which there is such a thing."""


@dataclass(frozen=True)
class Refused:
    """What `prepare` refuses before anything is frozen, naming each of these."""

    file: str
    names: tuple[str, ...]
    loaded_by: str = "sb_owner"
    last: str = ""


@asynccontextmanager
async def connected(dsn: str, schema: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"set search_path to {schema}")
        yield connection
    finally:
        await connection.close()


class Trial:
    """One environment with a reported schema in it, and its way to the other licence."""

    def __init__(self, services: Services, postgres: EmbeddedPostgres, database: str, move: Move) -> None:
        self.services = services
        self.move = move
        self.place = postgres, database
        self._dsn: Callable[[str], str] = lambda role: postgres.dsn(role, database)
        self._dumps = PendingClone(services.pool, self._dsn("postgres"), move.transfer_id, move.schema, move.new_schema)

    async def load(self, sql: str, role: str = "sb_owner") -> None:
        if sql:
            async with connected(self._dsn(role), self.move.schema) as connection:
                await connection.execute(sql.format(schema=self.move.schema) if "{schema}" in sql else sql)

    async def load_reported(self, case: Carried | Refused) -> None:
        await self.load(getattr(case, "first", ""), "postgres")
        await self.load((REPORTED / f"{case.file}.sql").read_text(), case.loaded_by)
        await self.load(case.last, "postgres")

    def dump(self, schema: str) -> str:
        return self._dumps.dump(schema)

    async def obstacles(self) -> list[m.Obstacle]:
        """Ask what a preview names; `prepare` must say the same."""
        previews = PostgresPreviewReader(self.services.pool, question_timeout=timedelta(minutes=2))
        found = await previews.preview(self.move.environment_id)
        if found.obstacles:
            with pytest.raises(CannotBeCarried):
                await self.services.previews.refusal(found)
        else:
            await self.services.previews.refusal(found)
        return found.obstacles

    async def go(self) -> None:
        """Move what was accepted, up to its release; anything that goes wrong on the way fails the test."""
        services, move = self.services, self.move
        await services.accept(move, await services.ticket(move))  # frozen by the first of these, unless it is already
        order = m.CloneAdministrations(
            transfer_id=move.transfer_id, source_schema=move.schema, target_schema=move.new_schema
        )
        await PostgresCloneEngine(services.pool, parallelism=2, meanwhile=Prefetcher).clone(order, lambda _: None)
        verification = await PostgresVerifier(services.pool, parallelism=2).verify(
            m.VerifyClone(transfer_id=move.transfer_id, source_schema=move.schema, target_schema=move.new_schema),
            lambda _: None,
        )
        assert verification.differences == []
        await services.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id))
        await services.gate.release(services.release_order(move))

    async def answers(self, schema: str, questions: tuple[str, ...]) -> list[object]:
        async with connected(self._dsn("postgres"), schema) as connection:
            return [await connection.fetchval(question) for question in questions]

    async def ties_to_the_old_one(self) -> list[str]:
        """Describe what in the new environment depends on anything in the old one."""
        rows = await self.services.pool.fetch(
            "with here as (select classid, objid from pg_depend where refclassid = 'pg_namespace'::regclass "
            "  and refobjid = $2::text::regnamespace), "
            "there as (select classid, objid from pg_depend where refclassid = 'pg_namespace'::regclass "
            "  and refobjid = $1::text::regnamespace), "
            "parts as (select classid, objid from here union "
            "  select d.classid, d.objid from pg_depend d "
            "  join here h on (d.refclassid, d.refobjid) = (h.classid, h.objid) "
            "  where d.deptype in ('i', 'a')) "
            "select pg_describe_object(d.classid, d.objid, d.objsubid) || ' on ' "
            "  || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) "
            "from pg_depend d join parts p on (p.classid, p.objid) = (d.classid, d.objid) "
            "join there t on (t.classid, t.objid) = (d.refclassid, d.refobjid)",
            self.move.schema,
            self.move.new_schema,
        )
        return [str(row[0]) for row in rows]


async def carry(trial: Trial, case: Carried) -> None:
    """Move what was accepted; fail unless the new environment is the same in every respect."""
    schema, new_schema = trial.move.schema, trial.move.new_schema
    before = trial.dump(schema), await trial.answers(schema, case.same)
    await trial.go()
    assert (trial.dump(new_schema), await trial.answers(new_schema, case.same)) == before
    assert await trial.ties_to_the_old_one() == []
