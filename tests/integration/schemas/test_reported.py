"""Schemas that other people wrote, on which a move once failed: each is moved exactly, or refused before the freeze."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from devstack.postgres import EmbeddedPostgres
from tests.integration.schemas.trial import REPORTED, Carried, Refused, Trial, carry, connected
from tests.integration.services import Move, Services
from tests.load.many_tables import move_many_tables
from tests.tools.older_postgres import POSTGRES_MAJOR

CARRIED = (
    Carried("check_in_list"),
    Carried("aggregate_of_its_own_name", same=("select glue(a order by id)::text from t",)),
    Carried("domain_check_not_valid"),
    Carried("hash_partition_on_an_enum", same=("select count(*)::text from move where k = 'c'",)),
    Carried("atomic_function_groups_by_a_key", same=("select count(*)::text from totals()",)),
    Carried("atomic_function_calls_a_later_overload", same=("select caller()",)),
    Carried("key_to_a_unique_index_of_a_large_table"),
    Carried("identity_of_an_inherited_column"),
    Carried("domain_not_null_with_a_name", since=17),
    Carried("comment_on_a_merged_foreign_key"),
    Carried("comment_on_an_overloaded_procedure"),
    Carried("check_in_another_time_zone"),
    Carried(
        "default_privileges_of_the_owner",
        last="alter default privileges for role sb_owner revoke select on tables from pg_monitor",
    ),
    Carried("domain_over_blank_padded_text"),
    Carried("query_named_like_a_table", same=("select n::text from totals",)),
    Carried("search_path_of_its_own", same=("select setting_of('x')",)),
    Carried("table_named_like_a_type", same=("select whole::text from lines",)),
)
REFUSED = (
    Refused("number_of_a_table_inside_a_type", ("audit", "regclass")),
    Refused("check_by_the_clock", ("token", "clock_timestamp")),
    Refused("check_of_a_function_that_changed", ("checked",)),
    Refused("generated_column_of_a_function_that_changed", ("vat", "line", "DROP EXPRESSION")),
    Refused(
        "rows_past_their_key",
        ("b_a_id_fkey",),
        loaded_by="postgres",
        last="alter table {schema}.a owner to sb_owner; alter table {schema}.b owner to sb_owner",
    ),
    Refused("sequence_that_its_owner_may_not_read", ("numbers",)),
    Refused(
        "made_by_a_superuser",
        ("same", "u"),
        loaded_by="postgres",
        last="alter function {schema}.same owner to sb_owner; alter table {schema}.t owner to sb_owner; "
        "alter table {schema}.u owner to sb_owner",
    ),
)
# Either is right; what is accepted at noon must be moved at night.
EITHER = (
    Carried(
        "row_type_of_a_child_table",
        same=(
            "select array_agg(((before).page_count, (before).amount) order by changed)::text from invoice_history",
            "select array_agg(attname order by attnum)::text from pg_attribute where attrelid = 'invoice'::regclass",
        ),
    ),
    Carried("index_on_a_function_of_a_function"),
    Carried("materialised_view_with_its_own_moment", same=("select refreshed_at::text from m",)),
    Carried("materialised_view_by_the_clock", same=("select array_agg(id)::text from not_due",)),
    Carried("aggregate_without_an_order", same=("select md5(string_agg(names, ';' order by g)) from m",)),
    Carried("right_handed_on"),
    Carried(
        "second_owner",
        first="do $$ begin if to_regrole('keeper') is null then create role keeper; end if; end $$; "
        "grant keeper to sb_owner; grant create, usage on schema {schema} to keeper",
    ),
)


@pytest.fixture
async def trial(services: Services, postgres: EmbeddedPostgres, database_name: str) -> Trial:
    """An environment with the usual books, which a reported schema is added to."""
    return Trial(services, postgres, database_name, await services.move())


@pytest.mark.parametrize("case", [case for case in CARRIED if case.since <= POSTGRES_MAJOR], ids=lambda case: case.file)
async def test_is_carried(case: Carried, trial: Trial) -> None:
    """Moves what `pg_dump` carries, to the same text, with every row."""
    await trial.load_reported(case)
    assert await trial.obstacles() == []
    await carry(trial, case)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.file)
async def test_is_refused_before_anything_is_frozen(case: Refused, trial: Trial) -> None:
    """Names what cannot be carried while the customer still works."""
    await trial.load_reported(case)
    obstacles = await trial.obstacles()
    told = "\n".join(str(one.model_dump()) for one in obstacles)
    assert obstacles, "accepted"
    assert [name for name in case.names if name not in told] == [], told
    assert await trial.services.status_of(trial.move.environment_id) == "active"
    assert set((await trial.services.read_only(trial.move.schema)).values()) == {False, True}


@pytest.mark.parametrize("case", EITHER, ids=lambda case: case.file)
async def test_is_carried_or_refused(case: Carried, trial: Trial) -> None:
    """Keeps its promise: what is accepted is moved exactly, what is not is refused with a remedy."""
    await trial.load_reported(case)
    obstacles = await trial.obstacles()
    if obstacles:
        assert all(one.remedy and one.nl.remedy for one in obstacles)
    else:
        await carry(trial, case)


async def test_a_neighbour_that_comes_and_goes_does_not_matter(
    trial: Trial, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """Reads one environment while schemas beside it are made and dropped."""
    dsn = postgres.dsn("sb_owner", database_name)
    sql = (REPORTED / "neighbour_that_comes_and_goes.sql").read_text()

    async def neighbour() -> None:
        connection = await asyncpg.connect(dsn)
        name = f"h_{uuid.uuid4().hex[:8]}"
        try:
            while True:
                await connection.execute(sql.replace("h_neighbour", name))
        finally:
            connection.terminate()

    noise = asyncio.create_task(neighbour())
    try:
        end = datetime.now(UTC) + timedelta(seconds=3)
        while datetime.now(UTC) < end:
            assert await trial.obstacles() == []
        await trial.go()
    finally:
        noise.cancel()


async def test_a_neighbour_with_a_temporary_table_does_not_matter(
    trial: Trial, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """Moves an environment of which somebody keeps a temporary table."""
    await trial.load((REPORTED / "neighbour_with_a_temporary_table.sql").read_text())
    async with connected(postgres.dsn("sb_owner", database_name), trial.move.schema) as other:
        await other.execute("create temp table report as select * from t; create temp view seen as select * from t")
        assert await trial.obstacles() == []
        await trial.go()


@pytest.mark.parametrize(
    ("file", "call"),
    [("number_drawn_past_the_fence", "select next_no()"), ("refresh_past_the_fence", "select refresh_all()")],
)
async def test_a_function_of_the_owner_does_not_get_past_the_fence(
    file: str, call: str, trial: Trial, app_dsn: str
) -> None:
    """Refuses in a frozen environment what a function does as its owner, with the sentence; then carries it."""
    await trial.load((REPORTED / f"{file}.sql").read_text())
    assert await trial.obstacles() == []
    before = trial.dump(trial.move.schema)
    await trial.services.freeze(trial.move)
    async with connected(app_dsn, trial.move.schema) as app:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError, match="Nothing was saved"):
            await app.fetchval(call)
    await trial.go()
    assert trial.dump(trial.move.new_schema) == before


async def test_a_right_to_draw_numbers_that_was_handed_on_is_taken_and_given_back(trial: Trial, app_dsn: str) -> None:
    """Freezes, undoes, and moves: the rights are as they were each time."""
    await trial.load((REPORTED / "right_to_draw_numbers_handed_on.sql").read_text())
    before = trial.dump(trial.move.schema)
    await trial.services.freeze(trial.move)
    async with connected(app_dsn, trial.move.schema) as app:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await app.fetchval("select nextval('s')")
    await trial.services.begin_undo(trial.move)
    await trial.services.undo_steps(trial.move)
    assert trial.dump(trial.move.schema) == before
    again = Trial(trial.services, *trial.place, Move(trial.move.environment_id, uuid.uuid4(), uuid.uuid4()))
    await trial.services.pool.execute("update control.transfer set state = 'undone', ended_at = now()")
    await again.go()
    assert again.dump(again.move.new_schema) == before


async def test_five_thousand_tables_are_carried(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Never takes more locks at once than a server has room for: 500 tables fill this one as 5,000 fill the usual."""
    await move_many_tables(tmp_path_factory.mktemp("small"), 500, locks=32, connections=20)


def test_every_reported_schema_is_tried() -> None:
    """Finds each file in a test."""
    named = {case.file for case in (*CARRIED, *REFUSED, *EITHER)} | {
        "five_thousand_tables",
        "number_drawn_past_the_fence",
        "refresh_past_the_fence",
        "right_to_draw_numbers_handed_on",
        "neighbour_that_comes_and_goes",
        "neighbour_with_a_temporary_table",
    }
    assert {file.stem for file in REPORTED.glob("*.sql")} == named
