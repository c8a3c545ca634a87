"""The clone is exact, whatever the schema holds, and survives being stopped anywhere."""

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.clone import PostgresCloneEngine
from adapters.clone.attempt import CloneAttempt
from adapters.clone.target import NotCarried
from adapters.schema.catalog import inspect_schema
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.errors import Superseded, Unavailable, WorkerStopping
from tests.integration.pending_clone import PendingClone
from tests.tools.paths import ROOT

SCHEMAS = ROOT / "tests" / "integration" / "schemas"
EVERYTHING = SCHEMAS / "everything.sql"


async def test_everything_a_schema_holds_is_carried(move: PendingClone) -> None:
    """Copies a schema to the same `pg_dump` text."""
    await move.build(EVERYTHING.read_text())
    finished = await move.clone()
    assert move.dump(move.target) == move.dump(move.source)
    assert await move.rows(move.target) == await move.rows(move.source)
    # A materialised view's rows are made, not copied.
    assert finished.rows == sum((await move.rows(move.source)).values()) - 3


@pytest.mark.parametrize("application", ["web_shop", "crm", "erp", "oddities", "tangled"])
async def test_applications_of_others_are_carried(move: PendingClone, application: str) -> None:
    """Copies schemas of other applications, to the last comment."""
    await move.build((SCHEMAS / f"{application}.sql").read_text())
    async with move.pool.acquire() as connection:
        assert await inspect_schema(connection, move.source) == []
    await move.clone()
    assert move.dump(move.target) == move.dump(move.source)
    assert await move.verify() == []


@pytest.fixture(params=["may mute triggers", "may not"])
async def right_to_mute(request: pytest.FixtureRequest, postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    """Whether sb_owner may load rows past the checks of foreign keys; before PostgreSQL 15 only a superuser may."""
    if request.param == "may mute triggers":
        yield
        return
    superuser = await asyncpg.connect(postgres.dsn("postgres", "postgres"))
    await superuser.execute("revoke set on parameter session_replication_role from sb_owner")
    try:
        yield
    finally:
        await superuser.execute("grant set on parameter session_replication_role to sb_owner")
        await superuser.close()


@pytest.mark.usefixtures("right_to_mute")
async def test_foreign_keys_hold_although_nobody_checked_the_rows(move: PendingClone) -> None:
    """Copies keys in circles, on oneself and through partitions, each at work afterwards."""
    await move.build("""
        create table firm (id int primary key, name text);
        create table head (id int primary key, firm_id int not null references firm, up int references head,
            last_line int);
        create table line (id int primary key, head_id int not null references head, firm_id int references firm,
            pad text);
        alter table head add constraint head_last foreign key (last_line) references line deferrable initially deferred;
        create table part (id int, head_id int references head, primary key (id)) partition by hash (id);
        create table part_0 partition of part for values with (modulus 2, remainder 0);
        create table part_1 partition of part for values with (modulus 2, remainder 1);
        create table note (part_id int references part, line_id int not null references line, pad text);
        insert into firm select i, 'firm ' || i from generate_series(1, 10) i;
        insert into head select i, 1 + i % 10, i, null from generate_series(1, 40000) i;
        insert into line select i, 1 + i % 40000, 1 + i % 10, repeat('x', 50) from generate_series(1, 40000) i;
        update head set last_line = id where id < 1000;
        insert into part select i, i from generate_series(1, 40000) i;
        insert into note select i, i, repeat('y', 50) from generate_series(1, 30000) i""")
    await move.clone()
    assert move.dump(move.target) == move.dump(move.source)
    assert await move.verify() == []
    assert not await move.pool.fetchval(
        "select exists (select from pg_constraint where connamespace = $1::text::regnamespace and not convalidated)",
        move.target,
    )
    for broken in (
        "delete from {0}.firm where id = 3",
        "insert into {0}.line values (0, 0)",
        "update {0}.head set up = -1 where id = 5",
        "insert into {0}.note values (1, -1)",
        "insert into {0}.note values (-1, 1)",
        "update {0}.head set last_line = 0 where id = 5",
    ):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await move.pool.execute(broken.format(move.target))


async def test_rows_lie_as_they_did_and_nobody_waits_for_a_key(move: PendingClone) -> None:
    """Keeps the order of rows, and builds each key before others wait for it."""
    await move.build("""
        create table head (id int primary key, pad text);
        create table line (id int primary key, head_id int not null references head, other int references head,
            pad text);
        create table mixed (id int primary key, pad text);
        create table use (mixed_id int references mixed, pad text);
        insert into head select i, repeat('x', 80) from generate_series(1, 50000) i;
        insert into line select i, 1 + i % 50000, null, repeat('y', 120) from generate_series(1, 150000) i;
        insert into mixed select i * 7919 % 49999, repeat('z', 80) from generate_series(1, 49998) i;
        insert into use select 1 + i % 49998, repeat('w', 120) from generate_series(1, 150000) i""")
    # What the server finds out by itself in time: `mixed` is not in the order of its key, so its key comes afterwards.
    await move.pool.execute(f"analyze {move.source}.head, {move.source}.line, {move.source}.mixed, {move.source}.use")
    await move.clone_until_rows_are_there()
    await move.clone()
    plan = await move.pool.fetchval("select plan from control.clone_run where target_schema = $1", move.target)
    assert json.loads(plan)["keyed"] == ["head"]
    assert move.dump(move.target) == move.dump(move.source)
    assert await move.verify() == []
    for table in ("head", "line", "mixed"):
        orders = [
            await move.pool.fetchval(f"select md5(string_agg(id::text, ',' order by ctid)) from {schema}.{table}")
            for schema in (move.source, move.target)
        ]
        assert orders[0] == orders[1]


async def test_a_vacuum_between_two_attempts_makes_no_row_come_twice(move: PendingClone) -> None:
    """Copies no row twice when a vacuum shortens a table between attempts."""
    await move.build("create table ledger as select i as id, repeat('x', 400) as pad from generate_series(1, 100000) i")
    await move.build("delete from ledger where id > 4000")
    await move.clone_until_rows_are_there()
    before = await move.pool.fetchval("select pg_relation_size(($1 || '.ledger')::regclass)", move.source)
    await move.pool.execute(f"vacuum {move.source}.ledger")
    assert await move.pool.fetchval("select pg_relation_size(($1 || '.ledger')::regclass)", move.source) < before
    await move.clone()
    assert await move.verify() == []
    assert await move.rows(move.target) == {"ledger": 4000}


async def test_a_table_that_is_rewritten_meanwhile_is_not_copied_by_halves(move: PendingClone) -> None:
    """Fails when a table is rewritten while it is copied."""
    await move.build("create table ledger as select i as id, repeat('x', 400) as pad from generate_series(1, 100000) i")
    await move.clone_until_rows_are_there()
    await move.pool.execute(f"vacuum full {move.source}.ledger")
    with pytest.raises(NotCarried, match="ledger was rewritten"):
        await move.clone()


async def test_connections_that_are_cut_lose_nothing(move: PendingClone) -> None:
    """Ends exact although connections are cut again and again."""
    await move.build(EVERYTHING.read_text())
    await move.build("create table ledger as select i as id, md5(i::text) as text from generate_series(1, 600000) i")
    await move.build("alter table ledger add primary key (id); create index on ledger (text)")
    cuts = 0
    while True:
        task = asyncio.create_task(move.clone())
        while not task.done():
            await asyncio.wait([task], timeout=0.15)
            if cuts < 6 and not task.done():
                cuts += await move.pool.fetchval(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                    "where application_name like 'sb-transfer clone%'"
                )
        try:
            await task
            break
        except Unavailable:
            continue
    assert cuts > 1
    assert await move.verify() == []
    assert move.dump(move.target) == move.dump(move.source)


async def test_rows_and_positions_are_the_same(move: PendingClone) -> None:
    """Copies values and sequence positions exactly."""
    await move.build(EVERYTHING.read_text())
    await move.clone()
    async with move.pool.acquire() as connection:
        for column in ("label", "mood::text", "account", "doc", "raw_json::text", "bytes", "amount", "doubled", "at"):
            different = await connection.fetchval(
                f"select count(*) from {move.source}.big o full join {move.target}.big n using (id) "
                f"where o.{column.split('::')[0]}::text is distinct from n.{column.split('::')[0]}::text"
            )
            assert different == 0, column
        for sequence in (
            "shared_numbers",
            "big_id_seq",
            "empty_one_id_seq",
            '"Quoted Name-with spaces, ünïcode_Id_seq"',
        ):
            old = await connection.fetchrow(f"select last_value, is_called from {move.source}.{sequence}")
            assert await connection.fetchrow(f"select last_value, is_called from {move.target}.{sequence}") == old


async def test_the_planner_knows_the_copy_as_it_knew_the_source(move: PendingClone) -> None:
    """Leaves statistics on the copy as on the source."""
    await move.build(
        "create type mood as enum ('glad', 'sad'); "
        "create table ledger with (autovacuum_enabled = off) as select i as id, i % 7 as account, "
        "(array['glad', 'sad'])[1 + i % 2]::mood as mood, array[i % 3, 5] as tags, 'text ' || i % 50 as words, "
        "case when i % 4 = 0 then i end as some, int4range(i, i + 5) as span from generate_series(1, 30000) i; "
        "create index on ledger ((account * 2)); analyze ledger; "
        # A look at the copy would tell of these, so what is the same has been carried.
        "insert into ledger (id, account) select i, 99 from generate_series(1, 10000) i; "
        "create table related as select i % 10 as a, i % 10 as b from generate_series(1, 1000) i; "
        "create statistics both_columns (dependencies) on a, b from related; analyze related; "
        "create table never_looked_at as select generate_series(1, 300) as x"
    )
    await move.clone()
    known = (
        "select tablename, attname, null_frac, avg_width, n_distinct, most_common_vals::text, most_common_freqs, "
        "histogram_bounds::text, most_common_elems::text, most_common_elem_freqs, elem_count_histogram, "
        "range_length_histogram::text, range_bounds_histogram::text "
        "from pg_stats where schemaname = $1 and tablename like 'ledger%' order by 1, 2"
    )
    source, target = [[tuple(row) for row in await move.pool.fetch(known, name)] for name in (move.source, move.target)]
    assert len(source) == 8  # the index's expression as well
    assert target == source
    sizes = (
        "select relname, reltuples, relpages > 0 from pg_class where relnamespace = $1::text::regnamespace "
        "and relkind = 'r' order by 1"
    )
    assert [tuple(row) for row in await move.pool.fetch(sizes, move.target)] == [
        ("ledger", 30000, True),
        ("never_looked_at", 300, True),
        ("related", 1000, True),
    ]
    # What cannot be carried, and what the source did not know, is gathered.
    gathered = (
        "select (select count(*) from pg_stats_ext where schemaname = $1 and dependencies is not null), "
        "(select count(*) from pg_stats where schemaname = $1 and tablename = 'never_looked_at')"
    )
    assert tuple(await move.pool.fetchrow(gathered, move.target) or ()) == (1, 1)


async def test_the_copy_works_on_itself(move: PendingClone) -> None:
    """Ties defaults, views and functions of the copy to the copy alone."""
    await move.build(EVERYTHING.read_text())
    await move.clone()
    async with move.pool.acquire() as connection:
        outside = await connection.fetch(
            """select distinct d.classid::regclass, d.objid from pg_depend d
               join pg_class r on r.oid = d.refobjid and d.refclassid = 'pg_class'::regclass
               join pg_namespace n on n.oid = r.relnamespace and n.nspname = $1
               left join pg_rewrite w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
               left join pg_attrdef a on d.classid = 'pg_attrdef'::regclass and a.oid = d.objid
               join pg_class c on c.oid = coalesce(w.ev_class, a.adrelid)
               join pg_namespace m on m.oid = c.relnamespace and m.nspname = $2""",
            move.source,
            move.target,
        )
        assert outside == []
        await connection.execute(f"set search_path to {move.target}")
        await connection.execute("insert into big (label) values ('new')")
        assert await connection.fetchval("select label from big where label like 'new%'") == "new!"
        await connection.execute("reset search_path")
        assert await connection.fetchval(f"select count(*) from {move.source}.big where label like 'new%'") == 0


async def test_the_application_sees_nothing_of_a_clone_before_it_is_opened(move: PendingClone, app_dsn: str) -> None:
    """Lets sb_app read nothing of a clone before it is opened."""
    await move.build(EVERYTHING.read_text())
    await move.pool.execute(f"grant usage on schema {move.source} to sb_app")
    await move.clone()
    app = await asyncpg.connect(app_dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.fetchval(f"select count(*) from {move.target}.big")
    await app.close()


async def test_cancelled_again_and_again_it_still_ends_exact(move: PendingClone) -> None:
    """Ends exact after cancels at random moments."""
    await move.build(EVERYTHING.read_text())
    await move.build("create table ledger as select i as id, md5(i::text) as text from generate_series(1, 600000) i")
    await move.build("alter table ledger add primary key (id); create index on ledger (text)")
    attempts = 0
    while True:
        attempts += 1
        task = asyncio.create_task(move.clone())
        await asyncio.wait([task], timeout=0.05 + 0.1 * attempts)
        if task.done():
            await task
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert attempts > 2
    assert await move.rows(move.target) == await move.rows(move.source)
    assert move.dump(move.target) == move.dump(move.source)


async def test_told_to_stop_it_ends_what_it_is_at(move: PendingClone) -> None:
    """Ends the units at work when it is told to stop."""
    await move.build("create table ledger as select i as id, md5(i::text) as text from generate_series(1, 600000) i")
    await move.build("alter table ledger add primary key (id); create index on ledger (text)")
    engine = PostgresCloneEngine(move.pool, parallelism=2)
    asked = 0

    def must_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12

    with pytest.raises(WorkerStopping):
        await engine.clone(move.order, lambda _: None, must_stop)
    before = {row["unit"] for row in await move.pool.fetch("select unit from control.clone_unit")}
    assert before
    # Nothing that was begun was broken off: what the server did for the clone has all been committed.
    assert not await move.pool.fetchval(
        "select count(*) from pg_stat_activity where state like 'idle in transaction%' and datname = current_database()"
    )
    copied = await move.pool.fetchval("select sum(rows) from control.clone_unit")
    assert await move.pool.fetchval(f"select count(*) from {move.target}.ledger") == copied
    await move.clone()
    assert before < {row["unit"] for row in await move.pool.fetch("select unit from control.clone_unit")}
    assert await move.verify() == []


async def test_a_new_attempt_does_not_wait_for_a_lost_worker(move: PendingClone) -> None:
    """Begins while a lost worker's statement still runs."""
    await move.build("create table t as select generate_series(1, 10) as x")
    lost = await CloneAttempt.begin(move.pool, move.transfer_id, move.places)

    async def linger() -> None:
        async with move.pool.acquire() as connection, lost.unit("rows t 0", connection):
            await connection.execute("select pg_sleep(600)")

    lingering = asyncio.create_task(linger())
    await move.until(
        "select exists (select from pg_stat_activity where application_name like 'sb-transfer clone%' and "
        "wait_event = 'PgSleep')"
    )
    async with asyncio.timeout(60):
        await move.clone()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await lingering
    assert await move.rows(move.target) == {"t": 10}


async def test_an_attempt_left_over_from_a_lost_worker_is_barred(move: PendingClone) -> None:
    """Bars the older of two attempts."""
    await move.build("create table t as select generate_series(1, 10) as x")
    old = await CloneAttempt.begin(move.pool, move.transfer_id, move.places)
    await move.clone()
    async with move.pool.acquire() as connection:
        with pytest.raises(Superseded):
            async with old.unit("rows t again", connection):
                await connection.execute(f"insert into {move.target}.t select * from {move.source}.t")
    assert (await move.rows(move.target))["t"] == 10


async def test_progress_reaches_the_whole(move: PendingClone) -> None:
    """Reports progress up to the whole."""
    await move.build("create table t as select generate_series(1, 300000) as x; analyze t")
    seen: list[m.CloneProgress] = []
    await PostgresCloneEngine(move.pool, parallelism=1).clone(move.order, seen.append)
    assert [p.rows_done for p in seen] == sorted(p.rows_done for p in seen)
    assert (seen[-1].rows_done, seen[-1].tables_total) == (300000, 1)
