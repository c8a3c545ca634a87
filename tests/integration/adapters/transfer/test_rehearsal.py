"""What is found out before a freeze: each kind of thing that no copy could have, by its name, with a remedy."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest

from adapters.postgres.connection import transaction
from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.transfer.preview import PostgresPreviewReader
from adapters.transfer.rehearsal import PostgresRehearsal
from adapters.transfer.tried_structures import TriedStructures, structure_of
from adapters.verify.schema_snapshot import read_snapshot
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.errors import CannotBeCarried
from tests.integration.schemas.trial import Carried, Trial, carry, connected
from tests.integration.services import Move, Services

SOON = timedelta(seconds=10)  # there is one question that is never done


@dataclass(frozen=True)
class Case:
    """A schema that is refused, naming these; and what, following the remedy, makes it one that is carried."""

    sql: str
    names: tuple[str, ...]
    remedy: str = ""
    role: str = "sb_owner"


PAST_KEYS = "set session_replication_role = replica; {} reset session_replication_role;"
CIRCLE = "functions that need one another"
CASES = {
    "a check whose clock is in a function": Case(
        "create function due(t timestamptz) returns boolean language plpgsql immutable as 'begin return t > "
        "now(); end';"
        "create function is_due(t timestamptz) returns boolean language sql immutable as 'select due(t)';"
        "create table letter (id int primary key, due timestamptz constraint in_time check (is_due(due)));"
        "insert into letter values (1, now() + interval '1 year')",
        ("in_time", "letter", "is_due"),
        "alter table letter drop constraint in_time",
    ),
    "a check that holds until this evening": Case(
        "create table offer (id int primary key, until timestamptz constraint still check (until > now()));"
        "insert into offer values (1, now() + interval '5 hours')",
        ("still", "offer", "now"),
        "alter table offer drop constraint still",
    ),
    "a check of today": Case(
        "create table trip (id int primary key, day date, check (day >= current_date));"
        "insert into trip values (1, current_date + 3)",
        ("trip", "CURRENT_DATE"),
    ),
    "a check by chance": Case(
        "create table lot (id int primary key, check (random() <= 1)); insert into lot values (1)", ("lot", "random")
    ),
    CIRCLE: Case(
        "create function f() returns int language sql begin atomic select 1; end;"
        "create function g() returns int language sql begin atomic select f(); end;"
        "create or replace function f() returns int language sql begin atomic select g(); end",
        ("f", "g"),
        "create or replace function f() returns int language sql begin atomic select 1; end",
    ),
    "a check in a partition": Case(
        "create function fine(n int) returns boolean language sql immutable as 'select n > 0';"
        'create table "Odd Family" (y int, n int constraint "Is Fine" check (fine(n))) partition by list (y);'
        'create table "Odd Part" partition of "Odd Family" for values in (1);'
        'insert into "Odd Family" values (1, 1);'
        "create or replace function fine(n int) returns boolean language sql immutable as 'select n > 1'",
        ("Is Fine", "Odd Part"),
        'update "Odd Family" set n = 2',
    ),
    "a check that raises": Case(
        "create function sure(n int) returns boolean language sql immutable as 'select true';"
        "create table vow (n int constraint kept check (sure(n))); insert into vow values (1);"
        "create or replace function sure(n int) returns boolean language sql immutable as 'select 1 / (n - 1) > 0'",
        ("kept", "vow", "division by zero"),
    ),
    "a check that reads what is others' too": Case(
        "create schema shared; create table shared.rate (n int); insert into shared.rate values (1);"
        "create function rated(n int) returns boolean language sql stable as "
        "'select exists (select from shared.rate r where r.n = $1)';"
        "create table loan (n int constraint known check (rated(n))); insert into loan values (1)",
        ("known", "loan", "permission denied for schema shared", "sb_carrier"),
        "grant usage on schema shared to sb_carrier; grant select on shared.rate to sb_carrier",
    ),
    "a domain's check, in a composite in an array": Case(
        "create function good(t text) returns boolean language sql immutable as 'select true';"
        "create domain code as text constraint is_good check (good(value));"
        "create domain sub_code as code; create type item as (c sub_code, n int);"
        "create table basket (id int primary key, items item[]);"
        "insert into basket values (1, array[row('x', 1)::item]);"
        "create or replace function good(t text) returns boolean language sql immutable as $$ select t <> 'x' $$",
        ("is_good", "code", "basket"),
        "alter domain code drop constraint is_good; alter domain code add constraint is_good check "
        "(good(value)) not valid",
    ),
    "a domain's check that reads a table": Case(
        "create table known (c text primary key); insert into known values ('a');"
        "create function is_known(t text) returns boolean language sql stable as 'select exists (select "
        "from known where c = t)';"
        "create domain known_code as text check (is_known(value));"
        "create table uses (c known_code); insert into uses values ('a')",
        ("known_code", "uses"),
    ),
    "a domain's check by the clock": Case(
        "create domain soon as date check (value >= current_date);"
        "create table plans (d soon[]); insert into plans values (array[current_date + 3])",
        ("soon", "CURRENT_DATE"),
    ),
    "an exclusion by a function that changed": Case(
        "create function plain(text) returns text language sql immutable as 'select $1';"
        "create table seat (a text, constraint once exclude using btree (plain(a) with =));"
        "insert into seat values ('a'), ('A');"
        "create or replace function plain(text) returns text language sql immutable as 'select lower($1)'",
        ("seat", "once"),
        "alter table seat drop constraint once",
    ),
    "a period that nothing covers": Case(
        "create table lease (id int4range, during daterange, primary key (id, during without overlaps));"
        "create table stay (id int4range, during daterange,"
        "constraint within foreign key (id, period during) references lease);"
        "insert into lease values ('[1,2)', '[2024-01-01,2024-06-01)'), ('[1,2)', '[2024-06-01,2025-01-01)');"
        "insert into stay values ('[1,2)', '[2024-02-01,2024-09-01)');"
        + PAST_KEYS.format("delete from lease where lower(during) = '2024-06-01';")
        + "alter table lease owner to sb_owner; alter table stay owner to sb_owner",
        ("within", "stay"),
        "alter table stay drop constraint within; alter table stay add constraint within "
        "foreign key (id, period during) references lease not valid",
        role="postgres",
    ),
    "a column that is computed by a function of a function": Case(
        "create function rate() returns numeric language sql immutable as 'select 19';"
        "create function tax(n numeric) returns numeric language sql immutable as 'select n * rate() / 100';"
        'create table "Bill" (id int primary key, n numeric, "Tax" numeric(12, 2) generated always as (tax(n)) stored);'
        'insert into "Bill" (id, n) values (1, 100);'
        "create or replace function rate() returns numeric language sql immutable as 'select 21'",
        ("Tax", "Bill"),
        'alter table "Bill" alter "Tax" drop expression',
    ),
    "a column that is computed from another table": Case(
        "create table price (n numeric); insert into price values (3);"
        "create function priced(q int) returns numeric language sql immutable as 'select q * n from price';"
        "create table sale (q int, total numeric generated always as (priced(q)) stored); insert into sale values (2)",
        ("total", "sale"),
    ),
    "a column that is computed by the clock": Case(
        "create function age_of(d date) returns int language sql immutable as 'select extract(year from "
        "age(now(), d))::int';"
        "create table pupil (born date, age int generated always as (age_of(born)) stored);"
        "insert into pupil values ('2015-01-01')",
        ("age", "pupil"),
    ),
    "a unique index of a function that changed": Case(
        "create function form(t text) returns text language sql immutable as 'select t';"
        "create table word (t text); create unique index one_form on word (form(t)); insert into word "
        "values ('a'), ('A');"
        "create or replace function form(t text) returns text language sql immutable as 'select lower(t)'",
        ("one_form", "word"),
        "drop index one_form",
    ),
    "an index whose function raises now": Case(
        "create function whole(t text) returns int language sql immutable as 'select 0';"
        "create table label (t text); create index by_whole on label (whole(t)); insert into label values ('x');"
        "create or replace function whole(t text) returns int language sql immutable as 'select t::int'",
        ("by_whole", "label"),
        "drop index by_whole",
    ),
    "a partition by a function that changed": Case(
        "create function half(n int) returns int language sql immutable as 'select n / 2';"
        "create table counted (n int) partition by list (half(n));"
        "create table counted_1 partition of counted for values in (1); insert into counted values (2);"
        "create or replace function half(n int) returns int language sql immutable as 'select n / 3'",
        ("counted_1",),
    ),
    "a key of two columns, with orphans": Case(
        "create table dept (a int, b text, primary key (a, b));"
        'create table "Member" (a int, b text, constraint "in" foreign key (a, b) references dept match full);'
        + PAST_KEYS.format("insert into \"Member\" values (1, 'x');")
        + 'alter table dept owner to sb_owner; alter table "Member" owner to sb_owner',
        ("in", "Member"),
        'alter table "Member" drop constraint "in"; '
        'alter table "Member" add constraint "in" foreign key (a, b) references dept match full not valid',
        role="postgres",
    ),
    "a key between partitioned tables, with orphans": Case(
        "create table head (id int primary key) partition by range (id);"
        "create table head_1 partition of head for values from (0) to (100);"
        "create table tail (h int constraint to_head references head) partition by range (h);"
        "create table tail_1 partition of tail for values from (0) to (100);"
        + PAST_KEYS.format("insert into tail values (1);")
        + "alter table head owner to sb_owner; alter table head_1 owner to sb_owner; "
        "alter table tail owner to sb_owner; alter table tail_1 owner to sb_owner",
        ("to_head", "tail"),
        "delete from tail",
        role="postgres",
    ),
    "a materialised view whose query fails now": Case(
        "create table ratio (a int, b int); insert into ratio values (1, 1);"
        "create materialized view ratios as select a / b as r from ratio; update ratio set b = 0",
        ("ratios", "division by zero"),
        "update ratio set b = 1",
    ),
}


@pytest.fixture
async def trial(services: Services, postgres: EmbeddedPostgres, database_name: str) -> Trial:
    """An environment with the usual books, which a schema is added to."""
    return Trial(services, postgres, database_name, await services.move())


@pytest.mark.parametrize("name", CASES)
async def test_it_is_refused_by_name_with_a_remedy_that_helps(name: str, trial: Trial) -> None:
    """A customer would be frozen all day for a move that fails in the evening."""
    case = CASES[name]
    await trial.load(case.sql, case.role)
    obstacles = await trial.obstacles()
    told = "\n".join(str(one) for one in obstacles)
    assert obstacles, "accepted"
    assert [wanted for wanted in case.names if wanted not in told] == [], told
    assert all(one.remedy and one.nl.why != one.why for one in obstacles)
    if case.remedy:
        await trial.load(case.remedy)
        assert await trial.obstacles() == []
        await carry(trial, Carried(name))


async def _nothing_is_left(services: Services) -> bool:
    return not await services.pool.fetchval("select count(*) from pg_namespace where nspname like 'rehearsal%'")


async def test_what_is_not_asked_in_time_is_told_and_asked_when_nobody_writes(services: Services) -> None:
    """A preview of a large environment answers soon, and no move begins of which something is not known."""
    move = await services.move()

    async def is_slow(body: str) -> None:
        head = f"create or replace function {move.schema}.slow(n int) returns boolean language plpgsql immutable as"
        await services.pool.execute(f"{head} 'begin {body}; end'")

    await is_slow("return n > 0")
    await services.pool.execute(
        f"set search_path to {move.schema};"
        "create table quick (n int); create table thing (n int constraint is_slow check (slow(n)));"
        "insert into thing select 1 from generate_series(1, 2000); reset search_path"
    )
    await is_slow("perform pg_sleep(600); return n > 1")
    hasty = PostgresPreviewReader(services.pool, question_timeout=SOON)
    found = await hasty.preview(move.environment_id)
    assert found.obstacles == []
    assert "thing" in found.unasked  # on a busy machine there may be others for which no time was left
    await hasty.refusal(found)
    await is_slow("return n > 1")
    await services.freeze(move)
    with pytest.raises(CannotBeCarried, match="is_slow") as refused:
        await PostgresRehearsal(Shards(services.pool)).require_movable(Place(move.schema))
    assert "NOT VALID" in refused.value.dutch_text
    assert await _nothing_is_left(services)


async def test_one_try_tells_of_structures_that_are_alike_and_of_no_rows(services: Services) -> None:
    """Of a thousand environments that are built alike one is tried, and each of them is asked what its rows are."""
    tried = TriedStructures()
    rehearsal = PostgresRehearsal(Shards(services.pool), tried)
    first, second = await services.move("Een"), await services.move("Twee")
    for move in (first, second):
        await services.pool.execute(
            f"set search_path to {move.schema};"
            "create table offer (id int primary key, until timestamptz constraint still check (until > now()));"
            "reset search_path"
        )
    await rehearsal.require_movable(Place(first.schema))
    async with transaction(services.pool) as connection:
        structures = [structure_of(await read_snapshot(connection, move.schema)) for move in (first, second)]
    assert structures[0] == structures[1]
    assert tried.know(structures[0])
    await rehearsal.require_movable(Place(second.schema))
    await services.pool.execute(f"insert into {second.schema}.offer values (1, now() + interval '5 hours')")
    with pytest.raises(CannotBeCarried, match="still"):
        await rehearsal.require_movable(Place(second.schema))
    await services.pool.execute(
        f"set search_path to {second.schema}; delete from offer; {CASES[CIRCLE].sql}; reset search_path"
    )
    with pytest.raises(CannotBeCarried, match="f"):
        await rehearsal.require_movable(Place(second.schema))
    assert not TriedStructures(timedelta(0)).know(structures[0])


async def test_a_frozen_environment_that_can_be_moved_passes(services: Services) -> None:
    """The look after the freeze would give back what is movable."""
    move = await services.move()
    await services.freeze(move)
    await PostgresRehearsal(Shards(services.pool)).require_movable(Place(move.schema))
    assert await _nothing_is_left(services)


async def _holding(services: Services, move: Move) -> list[asyncpg.Record]:
    return await services.pool.fetch(
        "select c.relname, l.mode from pg_locks l join pg_class c on c.oid = l.relation "
        "where c.relnamespace in ($1::text::regnamespace, 'public'::regnamespace) and l.mode <> 'AccessShareLock' "
        "and l.database = (select oid from pg_database where datname = current_database())",
        move.schema,
    )


async def test_nobody_is_held_up(services: Services, postgres: EmbeddedPostgres, database_name: str) -> None:
    """People work while somebody asks for a preview, in this environment and in what lies beside it."""
    move = await services.move()
    async with connected(postgres.dsn("postgres", database_name), move.schema) as superuser:
        await superuser.execute(
            "create table public.country (code text primary key); insert into public.country values ('NL')"
        )
        await superuser.execute("grant select, references, insert on public.country to sb_owner")
    await services.pool.execute(
        f"set search_path to {move.schema};"
        "create table address (id int primary key, country text constraint in_a_country references public.country);"
        "comment on constraint in_a_country on address is 'as written on letters';"
        "insert into address values (1, 'NL');"
        'create table "Route" (id int, country text constraint "In a" references public.country)'
        "partition by list (id);"
        'create table "Route 1" partition of "Route" for values in (1); insert into "Route" values (1, \'NL\');'
        'comment on constraint "In a" on "Route" is \'all\'; comment on constraint "In a" on "Route 1" is \'one\';'
        "create function slow(n int) returns boolean language plpgsql immutable as "
        "'begin perform pg_sleep(0.3); return true; end';"
        "create table thing (n int check (slow(n))); insert into thing values (1), (2), (3); reset search_path"
    )
    async with services.pool.acquire() as writer, writer.transaction():
        await writer.execute(f"insert into {move.schema}.address values (2, 'NL')")
        held = await _holding(services, move)
        asking = asyncio.create_task(services.previews.preview(move.environment_id))
        while not asking.done():
            assert [row for row in await _holding(services, move) if row not in held] == []
            await asyncio.sleep(0.02)
        assert (await asking).obstacles == []
    assert await _nothing_is_left(services)


async def test_the_estimate_follows_what_moves_took_before(services: Services) -> None:
    """Estimates seconds from earlier moves, and none where nothing was moved yet."""
    move = await services.move()
    await services.freeze(move)
    other = await services.environment("Ander")
    await services.pool.execute("analyze")  # what is counted without it comes in late
    before = (await services.previews.preview(other)).estimate
    assert before.seconds is None
    for size, seconds in ((before.bytes, 10.0), (2 * before.bytes, 20.0)):
        await services.pool.execute(
            "update control.transfer set clone_result = jsonb_build_object('bytes', $2::bigint, 'seconds', $3::float) "
            "where transfer_id = $1",
            move.transfer_id,
            size,
            seconds,
        )
        after = (await services.previews.preview(other)).estimate
        assert after == m.Estimate(rows=before.rows, bytes=before.bytes, seconds=seconds)
