"""A comparison as a whole: silent where nothing differs, cut short when it is cancelled, kept with its transfer."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.migrations import migrate_environment
from adapters.verify import progress
from adapters.verify.verifier import PostgresVerifier
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.consequences import CHANGED_ON_PURPOSE
from domain.errors import EnvironmentUnknown, Superseded, Unavailable
from domain.vocabulary import UndoReason
from tests.integration.services import Move, Services


async def test_equal_environments_are_equal(twin: Pool) -> None:
    """Calls copies with other ids, places and dropped columns equal."""
    found = await PostgresVerifier(twin, parallelism=2).compare_schemas("env_old", "env_new")
    assert found.differences == []
    assert found.equal
    assert found.tables == 11
    assert found.rows == 31 + 30 + 20 + 2 + 1 + 3 + 1 + 1 + 7 + 3
    assert found.seconds > 0


async def test_settings_of_the_server_change_nothing(twin: Pool, postgres: EmbeddedPostgres) -> None:
    """Gives the same result under any session settings."""
    name = await twin.fetchval("select current_database()")
    odd = await asyncpg.create_pool(
        postgres.dsn("sb_owner", name),
        min_size=0,
        max_size=2,
        server_settings={
            "TimeZone": "Asia/Kolkata",
            "DateStyle": "German",
            "bytea_output": "escape",
            "extra_float_digits": "-3",
            "search_path": "env_old",
            "statement_timeout": "1min",
        },
    )
    try:
        assert (await PostgresVerifier(odd, parallelism=2).compare_schemas("env_old", "env_new")).equal
        assert await odd.fetchval("show timezone") == "Asia/Kolkata"
        assert await odd.fetchval("show statement_timeout") == "1min"
    finally:
        await odd.close()


async def test_an_environment_equals_itself(twin: Pool) -> None:
    """Calls an environment equal to itself."""
    assert (await PostgresVerifier(twin, parallelism=1).compare_schemas("env_old", "env_old")).equal


async def test_an_unknown_schema_is_refused(twin: Pool) -> None:
    """Refuses an unknown schema."""
    with pytest.raises(EnvironmentUnknown):
        await PostgresVerifier(twin, parallelism=1).compare_schemas("env_old", "env_never")


async def _busy(pool: Pool) -> int:
    return int(
        await pool.fetchval(
            "select count(*) from pg_stat_activity where application_name = 'verifier test' "
            "and pid <> pg_backend_pid() and state <> 'idle'"
        )
    )


async def test_it_reports_while_it_waits_and_stops_when_it_is_cancelled(
    twin: Pool, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports while it waits, and ends its queries on a cancel."""
    monkeypatch.setattr(progress, "_REPORT_SECONDS", 0.05)
    reports: list[m.CloneProgress] = []
    holder = await asyncpg.connect(postgres.dsn("sb_owner", await twin.fetchval("select current_database()")))
    try:
        async with holder.transaction():
            await holder.execute("lock table env_new.ledger")
            running = asyncio.create_task(
                PostgresVerifier(twin, parallelism=2).compare_schemas("env_old", "env_new", report=reports.append)
            )
            async with asyncio.timeout(60):
                while len(reports) < 4 or not await _busy(twin):
                    assert not running.done()
                    await asyncio.sleep(0.02)
            running.cancel()
            # It is the cancel that ends them: nobody lets the table go, and the server waits five seconds for it.
            async with asyncio.timeout(4):
                with pytest.raises(asyncio.CancelledError):
                    await running
            assert await _busy(twin) == 0
    finally:
        await holder.close()
    await asyncio.gather(*(twin.fetchval("select 1") for _ in range(4)))
    assert twin.get_idle_size() == twin.get_size()


async def test_a_cancelled_hash_ends_on_the_server_too(twin: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends a cancelled hash on the server."""
    monkeypatch.setattr(progress, "_REPORT_SECONDS", 0.01)
    for schema in ("env_old", "env_new"):
        await twin.execute(
            f"create table {schema}.large as select i, repeat('x', 50) from generate_series(1, 600000) i"
        )
    measured = asyncio.Event()

    def report(progress: m.CloneProgress) -> None:
        if progress.tables_total:
            measured.set()

    try:
        running = asyncio.create_task(
            PostgresVerifier(twin, parallelism=2).compare_schemas("env_old", "env_new", report=report)
        )
        await measured.wait()
        while not await twin.fetchval(
            "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() "
            "and query like '%ask_contained%'"
        ):
            assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await _busy(twin) == 0
    finally:
        await twin.execute("drop table env_old.large")


async def test_progress_adds_up(twin: Pool) -> None:
    """Reports progress that adds up to the whole."""
    reports: list[m.CloneProgress] = []
    await PostgresVerifier(twin, parallelism=2).compare_schemas("env_old", "env_new", report=reports.append)
    last = reports[-1]
    assert last.phase == "verify"
    assert last.rows_done == 2 * 99
    assert last.rows_total >= last.rows_done
    assert last.bytes_done == last.bytes_total > 0
    assert last.tables_done == last.tables_total == 11
    assert last.elapsed_seconds > 0


async def test_a_lost_connection_is_worth_another_try(twin: Pool, postgres: EmbeddedPostgres) -> None:
    """Raises a lost connection as retryable."""
    name = await twin.fetchval("select current_database()")
    lonely = await connect_pool(postgres.dsn("sb_owner", name), max_size=2, application_name="lonely")
    holder = await asyncpg.connect(postgres.dsn("sb_owner", name))
    try:
        async with holder.transaction():
            await holder.execute("lock table env_new.ledger")
            running = asyncio.create_task(PostgresVerifier(lonely, parallelism=2).compare_schemas("env_old", "env_new"))
            ended = 0
            while not ended:
                await asyncio.sleep(0.05)
                ended = await holder.fetchval(
                    "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity "
                    "where application_name = 'lonely' and wait_event_type = 'Lock'"
                )
            with pytest.raises(Unavailable):
                await running
    finally:
        await holder.close()
        with suppress(asyncpg.InterfaceError):
            await lonely.close()


# --- within a transfer ----------------------------------------------------------------------------------------------


async def _cloned(services: Services) -> tuple[Move, m.VerifyClone]:
    """Go as far as a frozen environment with an equal one beside it, made by this test."""
    move = await services.move()
    await services.freeze(move)
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"create schema {move.new_schema}")
        await _like_the_old(connection, move)
    return move, m.VerifyClone(transfer_id=move.transfer_id, source_schema=move.schema, target_schema=move.new_schema)


async def _like_the_old(connection: Any, move: Move) -> None:
    """Make the same tables, rows, positions and grants with the means of a test."""
    await migrate_environment(connection, move.new_schema)
    await connection.execute("set local session_replication_role to replica")
    tables = await connection.fetch(
        "select relname, (select string_agg(quote_ident(attname), ', ') from pg_attribute "
        "where attrelid = c.oid and attnum > 0 and attgenerated = '') as columns "
        "from pg_class c where relnamespace = $1::regnamespace and relkind = 'r'",
        move.schema,
    )
    for table in tables:
        await connection.execute(
            f"insert into {move.new_schema}.{table['relname']} ({table['columns']}) overriding system value "
            f"select {table['columns']} from {move.schema}.{table['relname']}"
        )
    for (name,) in await connection.fetch(
        "select relname from pg_class where relnamespace = $1::regnamespace and relkind = 'S'", move.schema
    ):
        await connection.execute(
            f"select setval('{move.new_schema}.{name}', last_value, is_called) from {move.schema}.{name}"
        )
        await connection.execute(f"revoke usage, update on sequence {move.new_schema}.{name} from sb_app, sb_owner")


async def test_the_result_is_kept_and_told_once(services: Services) -> None:
    """Keeps the result, and writes it once."""
    move, order = await _cloned(services)
    verifier = PostgresVerifier(services.pool, parallelism=2)
    first = await verifier.verify(order, lambda _: None)
    assert first.differences == []
    await services.pool.execute(f"update {move.new_schema}.relation set name = 'Slager'")
    second = await verifier.verify(order, lambda _: None)
    assert [(one.table, one.keys) for one in second.differences] == [
        ("relation", ["administration_id=00000000-0000-0000-0000-00000000000a, id=1: name"])
    ]
    kept = json.loads((await services.transfer_row(move))["verification"])
    assert {name: kept[name] for name in ("tables", "rows", "seconds", "mismatches")} == {
        "tables": second.tables,
        "rows": second.rows,
        "seconds": second.seconds,
        "mismatches": 1,
    }
    assert await services.register.verification(move.transfer_id) == second
    assert (await services.kinds(move)).count("clone_verified") == 1


async def test_an_attempt_that_was_left_over_stops(services: Services) -> None:
    """Stops once the undo has begun."""
    move, order = await _cloned(services)
    await services.begin_undo(move, UndoReason.CANCELLED)
    with pytest.raises(Superseded):
        await PostgresVerifier(services.pool, parallelism=2).verify(order, lambda _: None)
    assert (await services.transfer_row(move))["verification"] is None


async def test_a_clone_that_disappears_meanwhile_is_superseded(services: Services) -> None:
    """Ends as superseded when the clone is dropped meanwhile."""
    move, order = await _cloned(services)
    holder = await services.pool.acquire()
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute(f"drop schema {move.new_schema} cascade")
    running = asyncio.create_task(PostgresVerifier(services.pool, parallelism=2).verify(order, lambda _: None))
    await asyncio.sleep(0.5)
    await services.begin_undo(move)
    await transaction.commit()
    await services.pool.release(holder)
    with pytest.raises(Superseded):
        await running


async def test_what_a_move_changes_on_purpose_can_be_left_out(services: Services) -> None:
    """Leaves out what a move changes on purpose when asked."""
    move, _ = await _cloned(services)
    compare = PostgresVerifier(services.pool, parallelism=2).compare_schemas
    await services.pool.execute(
        f"update {move.new_schema}.administration set read_only = false, becon_number = '1'; "
        f"update {move.new_schema}.quote set status = 'expired', portal_token = null; "
        f"update {move.new_schema}.app_user set invitation_status = 'invited', mobile_link_status = 'needs_relink'; "
        f"grant usage on all sequences in schema {move.new_schema} to sb_app"
    )
    assert {one.table for one in (await compare(move.schema, move.new_schema)).differences} == {
        "administration",
        "quote",
        "app_user",
    }
    assert (await compare(move.schema, move.new_schema, CHANGED_ON_PURPOSE)).equal
    await services.pool.execute(f"update {move.new_schema}.quote set amount = 100.01")
    found = await compare(move.schema, move.new_schema, CHANGED_ON_PURPOSE)
    assert [one.table for one in found.differences] == ["quote"]
    assert found.differences[0].keys[0].endswith(": amount")
