"""Which tables run code that somebody has made when they are written: none is missed, and no plain one is one."""

import asyncpg
import pytest

MADE = """
create schema made;
create function made.half(integer) returns integer language sql immutable as 'select $1 / 2';
create function made.like(integer, integer) returns boolean language sql immutable as 'select $1 = $2';
create operator made.=== (function = made.like, leftarg = integer, rightarg = integer);
create type made.mood as enum ('good', 'bad');
create type made.told as enum ('a');
create function made.as_json(made.told) returns json language sql immutable as $$ select '1'::json $$;
create cast (made.told as json) with function made.as_json(made.told);
create domain made.small as integer check (made.half(value) < 10);
create type made.pair as (one integer, other made.small);
"""
RUNNING = {
    "a check": "check (made.half(id) > 0)",
    "an operator in a check": "check (id operator(made.===) 1)",
    "a default": "more integer default made.half(3)",
    "a generated column": "more integer generated always as (made.half(id)) stored",
    "a domain": "more made.small",
    "an array of a domain": "more made.small[]",
    "a composite type": "more made.pair",
    "a domain in a cast": "check (id::made.small > 0)",
    "a cast to JSON that the server looks for": "more made.told check (to_jsonb(more) is not null)",
    "a statement in a text": "check (query_to_xml('select made.half(1)', true, true, '') is not null)",
    "a table in a text": "check (table_to_xml('pg_class', true, true, '') is not null)",
    "a type's input in a text": "check (pg_input_is_valid('1', 'made.small'))",
    "a type's input by number": "check (domain_in('1', 'made.small'::regtype, -1) is not null)",
    "what writes": "check (set_config('search_path', 'made', true) is not null)",
}
AFTERWARDS = {
    "an index": "create index on made.x (made.half(id))",
    "an index for some rows": "create index on made.x (id) where made.half(id) > 0",
    "statistics": "create statistics made.s on id, (made.half(id)) from made.x",
    "a rule": "create rule r as on insert to made.x do also select made.half(1)",
    "a trigger that always fires": "create function made.t() returns trigger language plpgsql "
    "as 'begin return new; end'; create trigger t before insert on made.x for each row execute function made.t(); "
    "alter table made.x enable always trigger t",
    "a trigger that is not muted": "create function made.t() returns trigger language plpgsql "
    "as 'begin return new; end'; create trigger t before insert on made.x for each row execute function made.t()",
    "policies for its owner": "alter table made.x force row level security",
}
PLAIN = (
    "a bigint generated always as identity, check (id > 0)",
    "a text check (lower(a) <> '' and a ~ '^x' and length(btrim(a)) between 1 and 9 and a in ('x', 'y'))",
    "a timestamptz default now(), b date generated always as ((id + date '2026-01-01')) stored, check (a::date >= b)",
    "a made.mood default 'good', b made.mood[], c numeric(12, 2)[], d jsonb check (jsonb_typeof(d) = 'object')",
    "a integer default nextval('made.numbers'), b uuid default gen_random_uuid(), c text default current_user",
    "a tsrange, exclude using gist (a with &&), b int4range check (not isempty(b)), c inet, d bytea, e xml",
)


@pytest.mark.parametrize("parts", RUNNING.values(), ids=RUNNING)
async def test_a_table_with_somebodys_code_is_known(dsn: str, parts: str) -> None:
    """Finds it by what the catalog says of it."""
    assert await _runs_code(dsn, f"create table made.x (id integer, {parts})")


@pytest.mark.parametrize("statement", AFTERWARDS.values(), ids=AFTERWARDS)
async def test_what_hangs_on_a_table_is_known(dsn: str, statement: str) -> None:
    """Finds it by what the catalog says of it, also where only a partition has it."""
    assert await _runs_code(dsn, "create table made.x (id integer)", statement)


async def test_a_partitions_code_is_its_roots(dsn: str) -> None:
    """Looks at those that inherit, too."""
    assert await _runs_code(
        dsn,
        "create table made.x (id integer) partition by list (id)",
        "create table made.x1 partition of made.x for values in (1); alter table made.x1 add check (made.half(id) = 0)",
    )


@pytest.mark.parametrize("parts", PLAIN)
async def test_a_plain_table_is_not_taken_for_one(dsn: str, parts: str) -> None:
    """Calls the server's own functions alone."""
    assert not await _runs_code(dsn, f"create sequence made.numbers; create table made.x (id integer, {parts})")


async def _runs_code(dsn: str, *statements: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(MADE)
            for statement in statements:
                await connection.execute(statement)
            found: bool = await connection.fetchval("select control.runs_code('made', array['x'])")
        return found
    finally:
        await connection.close()
