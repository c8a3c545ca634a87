"""The server's judgement of two wordings of one definition, on a real server."""

import pytest

from adapters.postgres.connection import Pool
from adapters.verify.verifier import PostgresVerifier
from tests.integration.services import Services

# What a person writes, and what comes of it when it is made once more from what the server says of it.
IN_LIST = "state in ('open', 'paid')"
AGAIN = "state::text = any (array[('open'::varchar)::text, ('paid'::varchar)::text])"
OTHER = "state in ('open', 'void')"
BOOKS = """
create domain status as varchar check (value in ('open', 'paid'));
create table invoice (id integer primary key, state varchar check ({rule}),
    settled boolean generated always as ({rule}) stored, first boolean default ('x'::varchar in ('x', 'y')));
create table part (id integer, state varchar) partition by list (({rule}));
create index invoice_open on invoice (id) where {rule};
create unique index invoice_state on invoice (({rule}), id);
create view standing as select id from invoice where {rule};
create function stamp() returns trigger language plpgsql as 'begin return new; end';
create trigger stamp before insert on invoice for each row when (new.{rule}) execute function stamp();
create rule keep as on delete to invoice where old.{rule} do instead nothing;
create policy seen on invoice using ({rule}) with check ({rule});
create statistics chosen on ({rule}), id from invoice;
create function count_open() returns bigint stable begin atomic select count(*) from invoice where {rule}; end;
create function is_open(state varchar, known boolean default ('x'::varchar in ('x', 'y'))) returns boolean
    language sql return {rule};
"""
ABOUT = {
    "invoice: column first: default": "alter table invoice alter first set default ('x'::varchar in ('x', 'z'))",
    "invoice: column settled: generated": (
        "alter table invoice drop column settled; "
        "alter table invoice add settled boolean generated always as ({other}) stored"
    ),
    "invoice: constraint invoice_state_check": (
        "alter table invoice drop constraint invoice_state_check, add check ({other})"
    ),
    "invoice: index invoice_open": "drop index invoice_open; create index invoice_open on invoice (id) where {other}",
    "invoice: index invoice_state": ("drop index invoice_state; create index invoice_state on invoice (({rule}), id)"),
    "invoice: trigger stamp": (
        "create or replace trigger stamp before insert on invoice for each row when (new.{other}) "
        "execute function stamp()"
    ),
    "invoice: rule keep": "create or replace rule keep as on delete to invoice where old.{other} do instead nothing",
    "invoice: policy seen: using": "alter policy seen on invoice using ({other})",
    "invoice: policy seen: with check": "alter policy seen on invoice with check ({other})",
    "part: partition key": (
        "drop table part; create table part (id integer, state varchar) partition by list (({other}))"
    ),
    "statistics chosen: definition": "drop statistics chosen; create statistics chosen on ({other}), id from invoice",
    "view standing: definition": "create or replace view standing as select id from invoice where {other}",
    "type status: constraint status_check": (
        "alter domain status drop constraint status_check; alter domain status add check (value in ('open', 'void'))"
    ),
    "function count_open(): SQL body": (
        "create or replace function count_open() returns bigint stable "
        "begin atomic select count(*) from invoice where {other}; end"
    ),
}


@pytest.fixture
async def sides(services: Services) -> Pool:
    """An environment in a person's words, and one in the server's."""
    for schema, rule in (("env_old", IN_LIST), ("env_new", AGAIN)):
        async with services.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"create schema {schema}; set local search_path to {schema}, pg_catalog")
            await connection.execute(
                BOOKS.replace("new.{rule}", rule.replace("state", "new.state"))
                .replace("old.{rule}", rule.replace("state", "old.state"))
                .replace("{rule}", rule)
            )
            if schema == "env_new":  # made from what the server says, as a copy is
                said = await connection.fetchval(
                    "select pg_get_constraintdef(oid) from pg_constraint where conname = 'status_check' "
                    "and contypid = 'env_old.status'::regtype"
                )
                await connection.execute(
                    "alter domain status drop constraint status_check; alter domain status add " + said
                )
    return services.pool


async def _differences(pool: Pool) -> list[str]:
    found = await PostgresVerifier(pool, parallelism=1).compare_schemas("env_old", "env_new")
    return [f"{one.table}: {one.problem}" for one in found.differences]


async def test_the_same_in_other_words_is_equal(sides: Pool) -> None:
    """The commonest rule there is would undo every move that has one."""
    texts = [
        await sides.fetchval("select pg_get_viewdef($1::text::regclass)", f"{schema}.standing")
        for schema in ("env_old", "env_new")
    ]
    assert texts[0] != texts[1].replace("env_new", "env_old")
    assert await _differences(sides) == []
    assert await sides.fetchval("select count(*) from pg_class where relname = 'sb_wording'") == 0


@pytest.mark.parametrize(("what", "damage"), ABOUT.items(), ids=ABOUT)
async def test_what_means_something_else_differs(sides: Pool, what: str, damage: str) -> None:
    """No wording is so like another that a rule may differ by a word."""
    for row in ("new", "old"):
        damage = damage.replace(row + ".{other}", OTHER.replace("state", f"{row}.state"))
    async with sides.acquire() as connection, connection.transaction():
        await connection.execute("set local search_path to env_new, pg_catalog")
        await connection.execute(damage.replace("{other}", OTHER).replace("{rule}", AGAIN))
    found = await _differences(sides)
    assert [one for one in found if one.startswith(what)], found


async def test_a_text_that_calls_another_function_differs(sides: Pool) -> None:
    """A later function that fits better is called by a text that reads the same."""
    for schema, types in (("env_old", ("text", "varchar")), ("env_new", ("varchar", "text"))):
        async with sides.acquire() as connection, connection.transaction():
            await connection.execute(f"set local search_path to {schema}, pg_catalog")
            for number, kind in enumerate(types):
                await connection.execute(f"create function mine(a {kind}) returns {kind} language sql return a")
                if not number:
                    await connection.execute("create aggregate all_of (text) (sfunc = textcat, stype = text)")
                    await connection.execute(
                        "create function calling() returns text begin atomic select mine('x'); end"
                    )
    assert [one for one in await _differences(sides) if "function calling()" in one and "mine(" in one]
