"""The write fence against every kind of writer: what was acknowledged is there, and nothing comes after."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from adapters.postgres.connection import Connection
from domain.errors import EnvironmentBusy, Unavailable
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
async def move(services: Services) -> Move:
    """An environment with a table that writers count in, a partitioned one, and one with an awkward name."""
    move = await services.move()
    await services.pool.execute(
        f"create table {move.schema}.tally (writer integer, number integer, primary key (writer, number)); "
        f"create table {move.schema}.parted (id integer, at date) partition by range (at); "
        f"create table {move.schema}.parted_2026 partition of {move.schema}.parted "
        "for values from ('2026-01-01') to ('2027-01-01'); "
        f'create table {move.schema}."Ünsafe "" name; drop" (id integer); '
        f"create table {move.schema}.child (id integer) inherits ({move.schema}.tally); "
        f"create view {move.schema}.seen as select * from {move.schema}.tally; "
        f"create sequence {move.schema}.invoice_number; "
        f"grant select, insert, update, delete, truncate on all tables in schema {move.schema} to sb_app; "
        f"grant usage on sequence {move.schema}.invoice_number to sb_app"
    )
    return move


async def _keep_freezing(services: Services, move: Move) -> int:
    """Freeze as the workflow does; return the number of attempts that were needed."""
    for attempt in range(1, 200):
        try:
            await services.freeze(move)
        except EnvironmentBusy:
            await asyncio.sleep(0.05)
        else:
            return attempt
    raise AssertionError("never frozen")


class Writer:
    """A writer that goes on until it is refused, and keeps what was acknowledged."""

    def __init__(self, number: int, move: Move) -> None:
        self.number = number
        self.schema = move.schema
        self.acknowledged: set[int] = set()
        self._next = 0

    def claim(self, count: int) -> list[int]:
        numbers = list(range(self._next, self._next + count))
        self._next += count
        return numbers

    async def run(self, write: Callable[["Writer"], Awaitable[None]]) -> None:
        try:
            while True:
                await write(self)
        except REFUSED:
            return


def _autocommit(app: Connection) -> Callable[[Writer], Awaitable[None]]:
    async def write(writer: Writer) -> None:
        (number,) = writer.claim(1)
        await app.execute(f"insert into {writer.schema}.tally values ($1, $2)", writer.number, number)
        writer.acknowledged.add(number)

    return write


def _transactions(app: Connection, isolation: str, *, pause: float = 0.01) -> Callable[[Writer], Awaitable[None]]:
    async def write(writer: Writer) -> None:
        numbers = writer.claim(3)
        async with app.transaction(isolation=isolation):  # type: ignore[arg-type] # any of the literals
            await app.fetchval(f"select count(*) from {writer.schema}.tally")
            for number in numbers:
                await app.execute(f"insert into {writer.schema}.tally values ($1, $2)", writer.number, number)
                await asyncio.sleep(pause)
        writer.acknowledged.update(numbers)

    return write


def _copies(app: Connection) -> Callable[[Writer], Awaitable[None]]:
    async def write(writer: Writer) -> None:
        numbers = writer.claim(20)
        await app.copy_records_to_table(
            "tally", schema_name=writer.schema, records=[(writer.number, number) for number in numbers]
        )
        writer.acknowledged.update(numbers)

    return write


def _prepared_statements(app: Connection) -> Callable[[Writer], Awaitable[None]]:
    async def write(writer: Writer) -> None:
        statement = await app.prepare(f"insert into {writer.schema}.tally values ($1, $2)")
        while True:
            (number,) = writer.claim(1)
            await statement.fetch(writer.number, number)
            writer.acknowledged.add(number)

    return write


async def test_every_acknowledged_write_is_in_the_frozen_environment_and_none_after(
    services: Services, connect: Connect, move: Move
) -> None:
    """Keeps every acknowledged write, and takes none after the freeze."""
    kinds = [
        _autocommit(await connect()),
        _autocommit(await connect()),
        _transactions(await connect(), "read_committed"),
        _transactions(await connect(), "repeatable_read"),
        _transactions(await connect(), "serializable", pause=0.002),
        _copies(await connect()),
        _prepared_statements(await connect()),
    ]
    writers = [Writer(number, move) for number in range(len(kinds))]
    running = [asyncio.create_task(writer.run(kind)) for writer, kind in zip(writers, kinds, strict=True)]
    async with asyncio.timeout(60):
        while not all(writer.acknowledged for writer in writers):  # noqa: ASYNC110 - each counts for itself
            await asyncio.sleep(0.02)
    await _keep_freezing(services, move)
    # What is there at the very moment at which the freeze answers.
    frozen = {tuple(row) for row in await services.pool.fetch(f"select writer, number from {move.schema}.tally")}
    await asyncio.wait_for(asyncio.gather(*running), timeout=60)
    later = {tuple(row) for row in await services.pool.fetch(f"select writer, number from {move.schema}.tally")}
    acknowledged = {(writer.number, number) for writer in writers for number in writer.acknowledged}
    assert frozen == later == acknowledged


async def test_a_long_transaction_does_not_make_others_queue(services: Services, connect: Connect, move: Move) -> None:
    """Holds no writer up while it waits for a long transaction."""
    slow, quick = await connect(), await connect()
    await held_at_most(quick, "4s")
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(f"insert into {move.schema}.tally values (1, 1)")
    freezing = asyncio.create_task(services.freeze(move))
    written = 0
    while not freezing.done():
        await quick.execute(f"insert into {move.schema}.tally values (2, $1)", written)
        written += 1
    with pytest.raises(EnvironmentBusy) as busy:
        await freezing
    assert busy.value.retryable
    assert written
    assert await services.status_of(move.environment_id) == "active"
    assert await services.fences(move.schema) == {}
    assert not all((await services.read_only(move.schema)).values())
    await transaction.commit()
    await services.freeze(move)
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.tally where writer = 1") == 1


async def test_a_prepared_transaction_is_waited_out(services: Services, connect: Connect, move: Move) -> None:
    """Waits for a transaction that was prepared before."""
    app = await connect()
    await app.execute("begin")
    await app.execute(f"insert into {move.schema}.tally values (1, 1)")
    await app.execute("prepare transaction 'held'")
    try:
        with pytest.raises(EnvironmentBusy):
            await services.freeze(move)
    finally:
        await app.execute("commit prepared 'held'")
    await services.freeze(move)
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.tally") == 1


async def test_a_row_that_somebody_holds_is_waited_out(services: Services, connect: Connect, move: Move) -> None:
    """Waits for a held row without holding up writers."""
    app = await connect()
    async with app.transaction():
        await app.fetch(f"select * from {move.schema}.administration for update")
        with pytest.raises(EnvironmentBusy):
            await services.freeze(move)
    await services.freeze(move)


@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read", "serializable"])
async def test_a_transaction_that_began_before_the_freeze_writes_nothing_after_it(
    services: Services, connect: Connect, move: Move, isolation: str
) -> None:
    """Refuses a write of a transaction that began before."""
    app = await connect()
    transaction = app.transaction(isolation=isolation)  # type: ignore[arg-type] # any of the literals
    await transaction.start()
    await app.fetchval("select 1 from pg_class limit 1")
    await app.fetch("select n from generate_series(1, 3) n")
    await services.freeze(move)
    with pytest.raises(REFUSED):
        await app.execute(f"insert into {move.schema}.tally values (1, 1)")
    await transaction.rollback()
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.tally") == 0


WRITES = {
    "insert": "insert into {0}.tally values (9, 9)",
    "insert of no row": "insert into {0}.tally select 1, 1 where false",
    "update": "update {0}.tally set number = 2",
    "update of no row": "update {0}.tally set number = 2 where false",
    "delete": "delete from {0}.tally",
    "truncate": "truncate {0}.tally",
    "upsert": "insert into {0}.tally values (1, 1) on conflict do nothing",
    "merge": "merge into {0}.tally t using (values (1, 1)) v (a, b) on t.writer = v.a "
    "when matched then delete when not matched then insert values (v.a, v.b)",
    "with": "with gone as (delete from {0}.tally returning *) select * from gone",
    "view": "insert into {0}.seen values (8, 8)",
    "child": "insert into {0}.child values (7, 7)",
    "parent": "insert into {0}.parted values (1, '2026-05-05')",
    "partition": "insert into {0}.parted_2026 values (1, '2026-05-05')",
    "awkward name": 'insert into {0}."Ünsafe "" name; drop" values (1)',
    "reference": "delete from {0}.administration",
    "do": "do $$ begin insert into {0}.tally values (5, 5); end $$",
}


@pytest.mark.parametrize("how", WRITES)
async def test_every_way_to_write_is_refused(services: Services, connect: Connect, move: Move, how: str) -> None:
    """Refuses every kind of write with 25006."""
    await services.pool.execute(f"insert into {move.schema}.tally values (1, 1)")
    app = await connect()
    await app.execute(f"set search_path to {move.schema}")
    await services.freeze(move)
    with pytest.raises(REFUSED, match="Nothing was saved"):
        await app.execute(WRITES[how].format(move.schema))
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.tally") == 1


async def test_copy_is_refused_before_a_row_is_read(services: Services, connect: Connect, move: Move) -> None:
    """Refuses COPY before a row is read."""
    app = await connect()
    await services.freeze(move)
    with pytest.raises(REFUSED):
        await app.copy_records_to_table("tally", schema_name=move.schema, records=[(1, 1)])


async def test_a_replication_role_does_not_get_past(services: Services, move: Move) -> None:
    """Refuses writes under session_replication_role as well."""
    await services.freeze(move)
    async with services.pool.acquire() as connection:
        await connection.execute("set session_replication_role to replica")
        with pytest.raises(REFUSED):
            await connection.execute(f"insert into {move.schema}.tally values (1, 1)")
        await connection.execute("reset session_replication_role")


async def test_numbers_are_not_drawn_from_a_frozen_environment(
    services: Services, connect: Connect, move: Move
) -> None:
    """Refuses nextval on every sequence."""
    app = await connect()
    assert await app.fetchval(f"select nextval('{move.schema}.invoice_number')") == 1
    await services.pool.execute(
        f"grant update on sequence {move.schema}.invoice_number to sb_app; "
        f"grant usage on sequence {move.schema}.invoice_number to public"
    )
    acl = (
        "select array(select unnest(relacl)::text order by 1) from pg_class "
        f"where oid = '{move.schema}.invoice_number'::regclass"
    )
    before = await services.pool.fetchval(acl)
    await services.freeze(move)
    for call in ("nextval('{0}.invoice_number')", "setval('{0}.invoice_number', 9)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetchval(f"select {call.format(move.schema)}")
    await services.begin_undo(move)
    await services.unfreeze(move)
    assert await services.pool.fetchval(acl) == before
    assert await app.fetchval(f"select nextval('{move.schema}.invoice_number')") == 2


async def test_a_refused_insert_draws_no_number(services: Services, connect: Connect, move: Move) -> None:
    """Leaves sequences where they were after refused inserts."""
    app = await connect()
    await services.freeze(move)
    before = await services.pool.fetchval(f"select last_value from {move.schema}.app_user_id_seq")
    with pytest.raises(REFUSED):
        await app.execute(
            f"insert into {move.schema}.app_user (email, role, invitation_status, mobile_link_status) "
            "values ('x@y.example', 'owner', 'invited', 'linked')"
        )
    assert await services.pool.fetchval(f"select last_value from {move.schema}.app_user_id_seq") == before


async def test_readers_never_wait(services: Services, connect: Connect, move: Move) -> None:
    """Lets readers pass, before and during the freeze."""
    reader = await connect()
    async with reader.transaction(isolation="repeatable_read", readonly=True):
        await reader.fetch(f"select * from {move.schema}.tally")
        await services.freeze(move)
        assert await reader.fetch(f"select * from {move.schema}.administration where read_only") != []


async def test_a_worker_that_stops_halfway_holds_nobody_for_long(
    services: Services, connect: Connect, move: Move
) -> None:
    """Lets writers go on when the freezing worker stops half-way."""
    app = await connect()
    await held_at_most(app, "5s")
    held, go_on = asyncio.Event(), asyncio.Event()

    async def stuck(*_arguments: object, **_more: object) -> bool:
        held.set()
        return await go_on.wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adapters.transfer.freeze_release.record_event", stuck)
        freezing = asyncio.create_task(services.freeze(move))
        await held.wait()
        await app.execute(f"insert into {move.schema}.tally values (1, 1)")
        await asyncio.sleep(0.2)  # let the news that the server hung up arrive
        go_on.set()
        with pytest.raises(Unavailable):
            await freezing
    await services.freeze(move)
    assert await services.pool.fetchval(f"select count(*) from {move.schema}.tally") == 1


async def test_a_vacuum_under_way_is_waited_out_without_holding_writers(
    services: Services, connect: Connect, move: Move
) -> None:
    """Waits for a vacuum without holding writers."""
    app = await connect()
    await held_at_most(app, "50ms")
    waits = "select exists (select from pg_locks where not granted and relation = $1::text::regclass)"
    async with services.pool.acquire() as other, other.transaction():
        # The lock that a vacuum takes.
        await other.execute(f"lock table {move.schema}.tally in share update exclusive mode")
        freezing = asyncio.create_task(services.freeze(move))
        async with asyncio.timeout(60):
            while not await services.pool.fetchval(waits, f"{move.schema}.tally"):
                assert not freezing.done()
        for number in range(20):
            await app.execute(f"insert into {move.schema}.tally values (1, $1)", number)
    await freezing


async def test_two_environments_freeze_beside_each_other(services: Services, connect: Connect, move: Move) -> None:
    """Freezes two environments at once."""
    other = await services.move("Buurman")
    await asyncio.gather(services.freeze(move), services.freeze(other))
    third = await services.move("Derde")
    app = await connect()
    await app.execute(f"update {third.schema}.app_user set full_name = 'x'")
    assert await services.fences(third.schema) == {}
