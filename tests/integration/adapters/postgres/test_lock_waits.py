"""Tables that the application keeps locked: no step waits for long, each says who is in the way, and is tried again."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from pydantic import SecretStr

from adapters.clone import PostgresCloneEngine
from adapters.crypto.certificate_signer import CertificateSigner
from adapters.postgres.connection import Connection
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.verify.certification import PostgresCertifier
from adapters.verify.verifier import PostgresVerifier
from domain import messages as m
from domain.errors import EnvironmentBusy
from domain.messages import CloneProgress
from tests.integration.services import Move, Services

# A step gives its slot up after five seconds for one lock; the rest is for a machine with other things to do.
SOON = 60


def _ignore(_: CloneProgress) -> None:
    """Take a report that nobody reads."""


@pytest.fixture
async def app(app_dsn: str) -> AsyncIterator[Connection]:
    """The bookkeeping application, from a till."""
    connection = await asyncpg.connect(app_dsn, server_settings={"application_name": "till 4"})
    yield connection
    await connection.close()


@pytest.fixture
async def move(services: Services) -> Move:
    """A transfer that is to be cloned, of an environment whose tables the application may lock."""
    move = await services.move()
    await services.pool.execute(f"grant select, update on all tables in schema {move.schema} to sb_app")
    await services.accept(move, await services.ticket(move))
    return move


def _steps(services: Services, move: Move) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return what reads the old environment, in the order in which it comes."""
    whose, sides = {"transfer_id": move.transfer_id}, {"source_schema": move.schema, "target_schema": move.new_schema}
    verifier = PostgresVerifier(services.pool, parallelism=2)
    signer = CertificateSigner([SecretStr(base64.b64encode(os.urandom(32)).decode())])
    certifier = PostgresCertifier(services.pool, verifier, signer)
    engine = PostgresCloneEngine(services.pool, parallelism=2)
    setup = PostgresTargetSetup(services.pool)
    return {
        "hash": lambda: certifier.hash_frozen(m.HashFrozen(**whose, schema_name=move.schema), _ignore),
        "clone": lambda: engine.clone(m.CloneAdministrations(**whose, **sides), _ignore),
        "verify": lambda: verifier.verify(m.VerifyClone(**whose, **sides), _ignore),
        "compare": lambda: setup.compare(m.CompareEnvironments(**whose)),
    }


async def test_each_step_gives_its_slot_up_and_says_who_is_in_the_way(
    services: Services, app: Connection, move: Move
) -> None:
    """One LOCK TABLE of the application held a clone, and everybody who waited for its slot, without an end."""
    for step in _steps(services, move).values():
        async with app.transaction():
            await app.execute(f"lock table {move.schema}.relation in access exclusive mode")
            pid = await app.fetchval("select pg_backend_pid()")
            told = rf"session {pid} of sb_app \(relation\), application 'till 4', its last statement begun at 20\d\d-"
            async with asyncio.timeout(SOON):
                with pytest.raises(EnvironmentBusy, match=told) as busy:
                    await step()
            assert busy.value.retryable
            assert busy.value.dutch_text == EnvironmentBusy.dutch
        await step()
    assert await services.pool.fetchval(
        f"select (select count(*) from {move.schema}.relation) = (select count(*) from {move.new_schema}.relation)"
    )


async def test_who_waits_in_front_is_named_with_whom_he_waits_for(
    services: Services, app: Connection, app_dsn: str, move: Move
) -> None:
    """A report that only reads is in nobody's way, until somebody wants the table for himself behind it."""
    table = f"{move.schema}.relation"
    report = await asyncpg.connect(app_dsn)
    async with report.transaction():
        await report.fetch(f"select from {table}")
        reader, waiter = [await one.fetchval("select pg_backend_pid()") for one in (report, app)]
        wanting = asyncio.ensure_future(app.execute(f"begin; lock table {table} in access exclusive mode"))
        async with asyncio.timeout(SOON):
            while not await services.pool.fetchval(  # noqa: ASYNC110 - the server has no event for it
                "select wait_event_type = 'Lock' from pg_stat_activity where pid = $1", waiter
            ):
                await asyncio.sleep(0.05)
            told = rf"session {waiter} of sb_app \(relation\), .*, which waits for session {reader} of sb_app\."
            with pytest.raises(EnvironmentBusy, match=told):
                await _steps(services, move)["hash"]()
    await wanting
    await app.execute("rollback")
    await report.close()


async def test_a_lock_that_is_let_go_in_time_costs_no_attempt(services: Services, app: Connection, move: Move) -> None:
    """A migration of the application that takes a second would set a clone back."""
    steps = _steps(services, move)
    await steps["hash"]()
    transaction = app.transaction()
    await transaction.start()
    await app.execute(f"lock table {move.schema}.relation in access exclusive mode")
    cloning = asyncio.ensure_future(steps["clone"]())
    await asyncio.sleep(1)
    await transaction.rollback()
    await cloning


async def test_a_reader_of_the_new_environment_is_named_when_it_is_to_be_dropped(
    services: Services, app: Connection, move: Move
) -> None:
    """An undo would wait for somebody who reads the copy, without a word."""
    steps = _steps(services, move)
    for step in ("hash", "clone", "verify", "compare"):
        await steps[step]()
    await services.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id))
    await services.begin_undo(move)
    engine = PostgresCloneEngine(services.pool, parallelism=2)
    order = m.DropClone(transfer_id=move.transfer_id)
    async with app.transaction():
        await app.execute(f"create temporary view seen as select * from {move.new_schema}.relation")
        await app.fetch("select * from seen")
        async with asyncio.timeout(SOON):
            with pytest.raises(EnvironmentBusy, match=r"session \d+ of sb_app \(relation\)"):
                await engine.drop(order)
    await engine.drop(order)
    assert not await services.pool.fetchval("select to_regnamespace($1) is not null", move.new_schema)


async def test_a_temporary_view_of_the_application_is_no_part_of_an_environment(
    services: Services, app: Connection
) -> None:
    """It would refuse a move, with advice that nobody at the firm can follow."""
    move = await services.move()
    await services.pool.execute(f"grant select on all tables in schema {move.schema} to sb_app")
    await app.execute(f"create temporary view seen as select * from {move.schema}.relation")
    assert (await services.previews.preview(move.environment_id)).obstacles == []
    await services.accept(move, await services.ticket(move))
    for step in _steps(services, move).values():
        await step()
    assert await app.fetch("select * from seen")
