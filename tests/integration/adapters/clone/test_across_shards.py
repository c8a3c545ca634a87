"""Environments move between databases whose servers are of different major versions, as exactly as inside one."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr

from adapters.clone.copy_stream import CopyStream, carry
from adapters.postgres.connection import Pool
from adapters.postgres.shards import open_shards, settle
from adapters.schema.catalog import inspect_schema
from devstack.postgres import EmbeddedPostgres
from domain.errors import AlreadyReleased, CellUnknown, Misconfigured, Superseded, Unavailable
from tests.integration.across_shards import WEST, Across, across
from tests.tools.paths import ROOT

SCHEMAS = ROOT / "tests" / "integration" / "schemas"


@pytest.fixture
async def down(dsn: str, elder: EmbeddedPostgres) -> AsyncIterator[Across]:
    """From PostgreSQL 18 to 15."""
    async with across(dsn, elder.dsn(), to_elder=True) as made:
        yield made


@pytest.fixture(params=["15 to 18", "18 to 15"])
async def move(request: pytest.FixtureRequest, dsn: str, elder: EmbeddedPostgres) -> AsyncIterator[Across]:
    """From the one version to the other, in both directions."""
    async with across(dsn, elder.dsn(), to_elder=request.param == "18 to 15") as made:
        yield made


@pytest.mark.parametrize("application", ["web_shop", "crm"])
async def test_applications_of_others_are_carried(move: Across, application: str) -> None:
    """Carries schemas of other applications to a server of another version, to the last row and definition."""
    await move.build((SCHEMAS / f"{application}.sql").read_text())
    async with move.old.acquire() as connection:
        assert await inspect_schema(connection, move.source) == []
    assert await move.rehearse() == []
    assert await move.schemas() == []
    finished = await move.clone()
    assert finished.rows > 0
    assert await move.verify() == []


TYPES = (SCHEMAS / "types.sql").read_text()


async def test_every_type_arrives_as_it_left(move: Across) -> None:
    """Carries values of every type unchanged between servers with other type numbers."""
    await move.build(TYPES)
    assert await move.rehearse() == []
    finished = await move.clone()
    assert finished.rows == 1002
    assert await move.verify() == []
    assert await move.new.fetchval(f"select nextval('{move.target}.counter')") == 13


MUTATIONS = {
    "update {0}.things set price = price + 0.01 where id = 3": ("things", "id=3: price"),
    "update {0}.things set exact = 1.0 where exact = 1.00 and id = 1": ("things", "id=1: exact"),
    "delete from {0}.things where id = 5": ("things", "id=5: only in the old environment"),
    "update {0}.plain set c = c + 1 where a = 9": ("plain", "more in the new environment"),
    "insert into {0}.nothing default values": ("nothing", "more in the new environment"),
    "select nextval('{0}.counter')": ("sequence counter", ""),
    "alter table {0}.plain alter column a set default 5": ("plain", ""),
    "create or replace view {0}.glad as select t.id, t.price from {0}.things t where t.feeling = 'sad'": (
        "view glad",
        "",
    ),
    "revoke select on {0}.plain from sb_app": ("plain", ""),
}


async def test_whatever_is_changed_is_found_and_named(down: Across) -> None:
    """Finds and names each mutation across databases."""
    await down.build(TYPES)
    await down.clone()
    for mutation, (table, what) in MUTATIONS.items():
        async with down.new.acquire() as connection:
            await connection.execute(mutation.format(down.target))
        found = {difference.table: difference for difference in await down.verify()}
        assert table in found, mutation
        assert what in " ".join(found[table].keys), (mutation, found[table])


async def test_what_the_other_server_cannot_hold_is_told_before_anything_is_promised(down: Across) -> None:
    """Refuses the upload for what the other server cannot hold."""
    await down.build("""
        create table virtual (a integer, b integer generated always as (a * 2) virtual);
        create table lax (a integer check (a > 0) not enforced);
        create table told (a uuid default uuidv7());
        create table endless (a interval); insert into endless values ('infinity');
        create table tied (licence text references control.licence);
        create table odd (a integer not null no inherit);
        create table fine (a integer not null, b text default 'x')""")
    found = {obstacle.what: obstacle.why for obstacle in await down.rehearse()}
    told = " ".join([*found, *found.values()])
    for name in ("virtual", "lax", "uuidv7", "endless", "control.licence"):
        assert name in told, name
    assert not any("fine" in what for what in found)
    assert await down.new.fetchval("select count(*) from pg_namespace where nspname like 'rehearsal%'") == 0


LEDGER = """
    create table ledger as select i as id, md5(i::text) as text, i / 3.0 as amount from generate_series(1, 300000) i;
    alter table ledger add primary key (id); create index on ledger (text);
    create table entry (id integer primary key, ledger_id integer references ledger);
    insert into entry select i, i from generate_series(1, 100000) i"""


async def test_connections_that_are_cut_redo_one_unit_and_double_no_row(down: Across) -> None:
    """Redoes one unit after each cut connection, with no row twice."""
    await down.build(LEDGER)
    kept: set[str] = set()
    cuts = 0
    while True:
        task = asyncio.create_task(down.clone())
        while not task.done():
            await asyncio.wait([task], timeout=0.1)
            if cuts < 6 and not task.done():
                cuts += 1
                await (down.old if cuts % 2 else down.new).execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
                    "and application_name in ('test', $1) and state = 'active'",
                    f"sb-transfer clone {down.transfer_id.hex}",
                )
        units = await down.new.fetch(
            "select unit, done_at::text from control.clone_unit where target_schema = $1", down.target
        )
        now = {f"{row['unit']} {row['done_at']}" for row in units}
        assert kept <= now
        kept = now
        try:
            finished = await task
            break
        except Unavailable:
            continue
    assert cuts == 6
    assert finished.rows == 400000
    assert await down.verify() == []
    assert await down.shards.home.fetchval("select count(*) from control.clone_unit") == 0


async def test_an_undo_leaves_nothing_and_bars_what_comes_late(down: Across) -> None:
    """Leaves nothing in the other database, and bars a late worker there."""
    await down.build(LEDGER)
    late = asyncio.create_task(down.clone())
    await down.until("select exists (select from control.clone_unit where target_schema = $1 and rows > 0)")
    await down.undo()
    with pytest.raises((Superseded, Unavailable)):
        await late
    assert await down.schemas() == []
    with pytest.raises(Superseded):
        await down.clone()
    # Also when home itself does not bar it: its books may be seconds behind when the connection was lost.
    await down.shards.home.execute("update control.transfer set state = 'cloning', undo_reason = null")
    with pytest.raises(Superseded):
        await down.clone()
    assert await down.schemas() == []
    assert await down.new.fetchval("select count(*) from control.clone_run where target_schema = $1", down.target) == 0


async def waits_in(pool: Pool, pid: int, event: str) -> bool:
    return bool(await pool.fetchval("select wait_event = $2 from pg_stat_activity where pid = $1", pid, event))


async def test_a_connection_that_is_cut_while_it_waits_for_room_is_missed(down: Across) -> None:
    """Notices a lost connection while rows wait to be taken."""
    await down.new.execute(
        "create schema slow; create table slow.t (i integer, x text); "
        "create function slow.wait() returns trigger language plpgsql as "
        "'begin perform pg_sleep(600); return new; end'; "
        "create trigger wait before insert on slow.t for each row execute function slow.wait()"
    )
    rows = "select i, repeat(md5(i::text), 100) from generate_series(1, 20000) i"
    async with down.old.acquire() as source, down.new.acquire() as target:
        backend = target.get_server_pid()
        carrying = asyncio.create_task(carry(source, target, CopyStream(rows, "t", "slow")))
        # The one server takes no more, and so the other cannot get rid of what it reads.
        sleeping, full = (down.new, backend, "PgSleep"), (down.old, source.get_server_pid(), "ClientWrite")
        async with asyncio.timeout(60):
            while not (await waits_in(*sleeping) and await waits_in(*full)):  # noqa: ASYNC110 - the servers' to tell
                await asyncio.sleep(0.02)
        assert not carrying.done()
        await down.new.execute("select pg_terminate_backend($1)", backend)
        async with asyncio.timeout(60):
            with pytest.raises(asyncpg.ConnectionDoesNotExistError):
                await carrying
    await down.new.execute("drop schema slow cascade")


async def test_what_was_opened_in_a_cell_is_not_dropped_there(down: Across) -> None:
    """Refuses to drop an environment that was opened in another database."""
    await down.build(TYPES)
    await down.clone()
    await down.new.execute("update control.transfer set state = 'released' where transfer_id = $1", down.transfer_id)
    with pytest.raises(AlreadyReleased):
        await down.undo()
    assert await down.schemas() == [down.target]


async def test_an_address_that_leads_elsewhere_is_found_out(down: Across, elder: EmbeddedPostgres, dsn: str) -> None:
    """Refuses an address that leads to another database than it names."""
    with pytest.raises(Misconfigured, match="leads to the database of 'west'"):
        await settle(elder.dsn(), "east")
    await down.shards.home.execute("insert into control.cell values ('east', 'east')")
    addresses = {"east": SecretStr(elder.dsn())}
    async with open_shards(down.shards.home, addresses, max_size=2, application_name="test") as shards:
        with pytest.raises(CellUnknown, match="is the cell 'west'"):
            await shards.pool("east").fetchval("select 1")
        with pytest.raises(CellUnknown, match="SB_TRANSFER_CELLS"):
            shards.pool(WEST)
    with pytest.raises(asyncpg.CheckViolationError):
        await down.shards.home.execute("insert into control.cell values ('north', $1)", dsn)


SPY = """
create sequence looked;
create function nobody_sees_secrets() returns boolean language sql as 'select true';
create domain amount as numeric(12, 2) check (value < 100 and nobody_sees_secrets());
create type pair as (number amount, note text);
create table entry (
    id integer primary key check (nobody_sees_secrets()), amount amount, pairs pair[], spoken text collate "C",
    twice amount generated always as (amount * 2) stored
);
insert into entry (id, amount, pairs, spoken) values
    (1, 1.50, array[(1, 'a,"b"')::pair, null], E'line\\nnext'), (2, null, '{}', null), (3, 9, null, '');
create materialized view amounts as select amount, count(*) as many from entry group by amount;
create unique index on amounts (amount);
"""


ARMED = """
create or replace function {schema}.nobody_sees_secrets() returns boolean language plpgsql as $spy$
declare
    secret text;
begin
    foreach secret in array '{{licence,cell,transfer,payload_key}}'::text[] loop
        begin
            execute format('select from control.%I', secret);
            raise exception 'code that was carried sees control.% as %', secret, current_user;
        exception when insufficient_privilege then null;
        end;
    end loop;
    perform nextval('looked');
    return true;
end $spy$;
"""


async def test_code_that_is_carried_to_a_cell_sees_nothing_there(down: Across) -> None:
    """Runs a customer's own checks, domains and expressions as a role that can do nothing, in both databases."""
    await down.build(SPY)
    await down.old.execute(ARMED.format(schema=down.source))
    await down.clone()
    assert await down.verify() == []
