"""The write fence where it could leak or stall: numbers, prepared transactions, cascades, leftovers, busy hours."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from adapters.postgres.connection import Connection, Pool
from adapters.transfer import write_fence as fence
from devstack.postgres import EmbeddedPostgres
from domain.errors import EnvironmentBusy
from tests.integration.services import Move, Services, held_at_most

REFUSED = asyncpg.ReadOnlySQLTransactionError
Connect = Callable[[], Awaitable[Connection]]


@pytest.fixture
async def connect(app_dsn: str) -> AsyncIterator[Connect]:
    """Open connections of the bookkeeping application."""
    opened: list[Connection] = []

    async def connection() -> Connection:
        opened.append(await asyncpg.connect(app_dsn))
        return opened[-1]

    yield connection
    for one in opened:
        await one.close()


@pytest.fixture
async def superuser(postgres: EmbeddedPostgres, database_name: str) -> AsyncIterator[Connection]:
    """A connection to the test's own database for which no right is missing."""
    connection = await asyncpg.connect(postgres.dsn("postgres", database_name))
    yield connection
    await connection.close()


@pytest.fixture
async def move(services: Services) -> Move:
    """An environment with a table to write in, a sequence, functions that write, and a parent with children."""
    move = await services.move()
    await services.pool.execute(
        f"set search_path to {move.schema}, pg_catalog; "
        "create table tally (number integer); "
        "create sequence invoice_number cache 7 start 41; "
        "create table parent (id integer primary key); "
        "create table child (id integer references parent on delete cascade on update cascade); "
        "create function write_one() returns void language sql as $$ insert into tally values (1) $$; "
        "create function write_as_owner() returns void language sql security definer "
        "as $$ insert into tally values (1) $$; "
        "insert into parent values (1); insert into child values (1); "
        f"grant select, insert, update, delete, truncate on all tables in schema {move.schema} to sb_app; "
        "grant usage on sequence invoice_number to sb_app; reset search_path"
    )
    return move


async def test_a_transaction_that_has_drawn_a_number_is_waited_out(
    services: Services, connect: Connect, move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits for a transaction that has drawn a number."""
    monkeypatch.setattr(fence, "PATIENT_TIMEOUT", timedelta(milliseconds=300))
    app = await connect()
    transaction = app.transaction()
    await transaction.start()
    draw = await app.prepare(f"select nextval('{move.schema}.invoice_number')")
    assert await draw.fetchval() == 41
    with pytest.raises(EnvironmentBusy, match=r"session \d+ of sb_app \(invoice_number\)"):
        await services.freeze(move)
    assert await draw.fetchval() == 42
    await transaction.commit()
    before = await services.row(f"select last_value, is_called from {move.schema}.invoice_number")
    await services.freeze(move)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await draw.fetchval()
    assert await services.row(f"select last_value, is_called from {move.schema}.invoice_number") == before


async def test_an_administration_that_is_being_added_is_flagged_too(
    services: Services, connect: Connect, move: Move
) -> None:
    """Flags an administration whose insert was under way."""
    await services.pool.execute(f"grant insert on {move.schema}.administration to sb_app")
    app = await connect()
    transaction = app.transaction()
    await transaction.start()
    await app.execute(f"insert into {move.schema}.administration (id, name) values ('{uuid.uuid4()}', 'Nieuw')")
    freezing = asyncio.create_task(services.freeze(move))
    await asyncio.sleep(0.1)
    await transaction.commit()
    assert (await freezing).administrations == 4
    assert set((await services.read_only(move.schema)).values()) == {True}
    await services.begin_undo(move)
    await services.unfreeze(move)
    assert (await services.read_only(move.schema))["Nieuw"] is False


async def test_a_transaction_prepared_before_the_freeze_is_named_and_waited_out(
    services: Services, connect: Connect, move: Move
) -> None:
    """Names a prepared transaction that it waits for."""
    app = await connect()
    gid = "order 4711'\n(from the till)"
    await app.execute("begin")
    await app.execute(f"insert into {move.schema}.tally values (1)")
    await app.execute("prepare transaction 'order 4711''\n(from the till)'")
    try:
        with pytest.raises(EnvironmentBusy) as busy:
            await services.freeze(move)
    finally:
        assert (
            await services.pool.fetchval("select gid from pg_prepared_xacts where database = current_database()") == gid
        )
        await app.execute("commit prepared 'order 4711''\n(from the till)'")
    assert "prepared transaction 'order 4711''?(from the till)' of sb_app since 20" in busy.value.english
    assert "COMMIT PREPARED or ROLLBACK PREPARED (tally)" in busy.value.english
    assert busy.value.dutch_text == EnvironmentBusy.dutch
    await services.freeze(move)
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.tally") == 1


async def test_a_transaction_that_writes_nothing_can_be_prepared_and_committed_across_a_freeze(
    services: Services, connect: Connect, move: Move
) -> None:
    """Lets a reading transaction commit across the freeze."""
    app = await connect()
    await app.execute("begin")
    await app.fetch(f"select * from {move.schema}.tally for update")
    await app.execute("prepare transaction 'read only'")
    try:
        await services.freeze(move)
    finally:
        await app.execute("commit prepared 'read only'")
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.tally") == 0


@pytest.mark.parametrize(
    "how",
    [
        "select {0}.write_one()",
        "select {0}.write_as_owner()",
        "delete from {0}.parent",
        "update {0}.parent set id = 2",
        "truncate {0}.parent cascade",
        "with locked as (select id from {0}.parent for update) update {0}.child set id = null from locked",
        "copy {0}.tally from program 'true'",
    ],
)
async def test_no_detour_reaches_a_frozen_table(
    services: Services, superuser: Connection, connect: Connect, move: Move, how: str
) -> None:
    """Refuses writes through functions, cascades and bulk loads."""
    rows = f"select (select count(*) from {move.schema}.child where id = 1), (select count(*) from {move.schema}.tally)"
    await services.freeze(move)
    app = superuser if "program" in how else await connect()
    await app.execute(f"set search_path to {move.schema}")
    with pytest.raises(REFUSED):
        await app.execute(how.format(move.schema))
    assert tuple(await services.row(rows)) == (1, 0)


async def test_a_cascade_from_a_table_outside_is_refused(services: Services, connect: Connect, move: Move) -> None:
    """Refuses a cascade that begins outside the environment."""
    await services.pool.execute(
        "create schema platform; create table platform.customer (id integer primary key); "
        "insert into platform.customer values (1); "
        "grant usage on schema platform to sb_app; grant select, delete on platform.customer to sb_app"
    )
    await services.freeze(move)
    # The key comes after the freeze: one that is there before is refused, because it cannot be carried.
    await services.pool.execute(
        f"create table {move.schema}.linked (id integer references platform.customer on delete cascade); "
        f"insert into {move.schema}.linked values (1); select control.raise_fence('{move.schema}', 'transferred')"
    )
    app = await connect()
    with pytest.raises(REFUSED):
        await app.execute("delete from platform.customer")
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.linked") == 1


async def test_an_application_that_may_set_the_replication_role_is_refused_too(
    services: Services, superuser: Connection, connect: Connect, database_name: str, move: Move
) -> None:
    """Refuses an application that may set the replication role."""
    try:
        await superuser.execute("grant set on parameter session_replication_role to sb_app")
        await superuser.execute(
            f"alter role sb_app in database {database_name} set session_replication_role to replica"
        )
        app = await connect()
        assert await app.fetchval("show session_replication_role") == "replica"
        await app.execute(f"insert into {move.schema}.tally values (1)")
        await services.freeze(move)
        with pytest.raises(REFUSED):
            await app.execute(f"insert into {move.schema}.tally values (2)")
        with pytest.raises(REFUSED):
            await app.copy_records_to_table("tally", schema_name=move.schema, records=[(3,)])
    finally:
        await superuser.execute("revoke set on parameter session_replication_role from sb_app")
    assert await services.pool.fetchval(f"select array_agg(number) from {move.schema}.tally") == [1]


async def test_a_table_that_is_locked_is_not_waited_for_while_writers_queue(
    services: Services, connect: Connect, move: Move
) -> None:
    """Gives way when a locked table would make writers queue."""
    holder, other = await connect(), await connect()
    await held_at_most(other, "4s")
    async with holder.transaction():
        await holder.execute(f"lock table {move.schema}.tally in row exclusive mode")
        await holder.execute("select pg_advisory_xact_lock(1)")
        freezing = asyncio.create_task(services.freeze(move))
        while not freezing.done():
            await other.execute(f"insert into {move.schema}.tally values (1)")
        with pytest.raises(EnvironmentBusy, match=r"session \d+ of sb_app .*tally"):
            await freezing
    await services.freeze(move)


async def test_overlapping_transactions_do_not_starve_a_freeze(
    services: Services, connect: Connect, move: Move
) -> None:
    """Freezes under writers that never pause together."""

    async def keep_busy(number: int) -> int:
        app = await connect()
        done = 0
        await asyncio.sleep(number * 0.1)
        try:
            while True:
                async with app.transaction():
                    await app.execute(f"insert into {move.schema}.tally values ($1)", number)
                    await asyncio.sleep(0.3)
                done += 1
        except REFUSED:
            return done

    busy = [asyncio.create_task(keep_busy(number)) for number in range(4)]
    await asyncio.sleep(0.5)
    for _ in range(10):
        try:
            await services.freeze(move)
            break
        except EnvironmentBusy:
            continue
    written = sum(await asyncio.wait_for(asyncio.gather(*busy), timeout=60))
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.tally") == written


async def test_an_undo_that_tidies_up_late_leaves_the_next_fence_alone(
    services: Services, connect: Connect, move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaves the next fence when an undo tidies up late."""
    await services.freeze(move)
    await services.begin_undo(move)
    drop, again = fence._dropped, Move(move.environment_id, move.new_environment_id, move.transfer_id)
    held: list[int] = []

    async def stopped(_: Pool, table: int) -> bool:
        held.append(table)
        return True

    monkeypatch.setattr(fence, "_dropped", stopped)
    await services.unfreeze(move)
    await services.pool.execute("update control.transfer set state = 'undone' where transfer_id = $1", move.transfer_id)
    await services.freeze(again)
    fenced = await services.fences(move.schema)
    assert held
    for table in held:
        assert await drop(services.pool, table)
    assert await services.fences(move.schema) == fenced
    assert set(fenced.values()) == {"A"}
    with pytest.raises(REFUSED):
        await (await connect()).execute(f"insert into {move.schema}.tally values (1)")
