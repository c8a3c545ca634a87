"""The write fence against functions that run as the owner: numbers, views and definitions of a frozen environment."""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from adapters.postgres.connection import Connection
from devstack.postgres import EmbeddedPostgres
from domain.errors import EnvironmentBusy
from tests.integration.pending_clone import PendingClone
from tests.integration.services import Move, Services

REFUSED = asyncpg.ReadOnlySQLTransactionError
Connect = Callable[[], Awaitable[Connection]]

# What a function that belongs to the owner does for the application, each as a statement of plpgsql.
NUMBERS = {
    "draw": "perform nextval('numbers')",
    "draw in words": "execute 'select nextval(''numbers'')'",
    "draw by a text": "perform nextval('num' || 'bers')",
    "put back": "perform setval('numbers', 1)",
    "put back uncalled": "perform setval('numbers', 1, false)",
    "draw for a column": "perform nextval(pg_get_serial_sequence('counted', 'id'))",
}
DEFINITIONS = {
    "refresh": "refresh materialized view seen",
    "refresh concurrently": "refresh materialized view concurrently seen",
    "create a table": "create table extra (id int)",
    "create a table as": "create table extra as select 1 as id",
    "create a view": "create view extra as select 1 as id",
    "create a function": "create function extra() returns int language sql as 'select 1'",
    "replace a function": "create or replace function helper() returns int language sql as 'select 2'",
    "create a type": "create type extra as enum ('a')",
    "create an index": "create index extra on counted (note)",
    "create a trigger": "create trigger extra before insert on counted execute function helper_trigger()",
    "create a rule": "create rule extra as on insert to counted do instead nothing",
    "create a policy": "create policy extra on counted",
    "create a sequence": "create sequence extra",
    "create statistics": "create statistics extra on id, note from counted",
    "create a domain": "create domain extra as int",
    "add a column": "alter table counted add column extra int",
    "drop a column": "alter table counted drop column note",
    "set a default": "alter table counted alter column note set default 'x'",
    "rename a table": "alter table counted rename to recounted",
    "rename a schema": "alter schema {schema} rename to elsewhere",
    "move a table out": "alter table counted set schema public",
    "restart a sequence": "alter sequence numbers restart with 9",
    "alter a function": "alter function helper() stable",
    "alter a view": "alter view shown rename to hidden",
    "add to a type": "alter type mood rename value 'glad' to 'sad'",
    "disable the fence": "alter table counted disable trigger sb_transfer_fence",
    "comment": "comment on table counted is 'x'",
    "comment on a column": "comment on column counted.note is 'x'",
    "comment on a trigger": "comment on trigger sb_transfer_fence on counted is 'x'",
    "give a right": "grant select on counted to pg_monitor",
    "give a right on a column": "grant select (note) on counted to pg_monitor",
    "give the right to draw": "grant usage on sequence numbers to sb_app",
    "give oneself the right to draw": "begin grant usage on sequence numbers to sb_owner; "
    "exception when others then raise; end",
    "take a right": "revoke select on counted from sb_app",
    "give a right by default": "alter default privileges in schema {schema} grant select on tables to pg_monitor",
    "drop a table": "drop table counted cascade",
    "drop a view": "drop view shown",
    "drop a sequence": "drop sequence numbers",
    "drop a function": "drop function helper()",
    "drop an index": "drop index seen_id",
    "drop a type": "drop type mood",
    "drop the fence": "drop trigger sb_transfer_fence on counted",
    "drop the sentence": "drop function sb_transfer_fence()",
    "drop the schema": "drop schema {schema} cascade",
}
ELSEWHERE = {
    "a setting": "perform set_config('application_name', 'x', true)",
    "a notification": "notify something",
    "a temporary table": "create temporary table extra (id int)",
    "a table of somebody else": "create table platform.extra (id int); "
    "grant select on platform.extra to sb_app; drop table platform.extra",
}


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


async def _environment(services: Services, **does: str) -> Move:
    """Make an environment with functions that do something as its owner."""
    move = await services.move()
    functions = [
        f"create function {name}() returns void language plpgsql security definer "
        f"as $act$ begin {statement.format(schema=move.schema)}; end $act$; "
        for name, statement in does.items()
    ]
    await services.pool.execute(
        f"create schema platform; set search_path to {move.schema}; "
        "create sequence numbers; revoke all on sequence numbers from public; "
        "create table counted (id serial, note text); "
        "create view shown as select id from counted; create type mood as enum ('glad'); "
        "create materialized view seen as select 1 as id; create unique index seen_id on seen (id); "
        "create function helper() returns int language sql as 'select 1'; "
        "create function helper_trigger() returns trigger language plpgsql as 'begin return null; end'; "
        f"grant select on counted to sb_app; {''.join(functions)} reset search_path"
    )
    return move


async def test_a_function_of_the_owner_changes_nothing_in_a_frozen_environment(
    services: Services, connect: Connect, postgres: EmbeddedPostgres, database_name: str
) -> None:
    """An invoice number would be lost, or the copy differ, and the move be undone in the evening."""
    acts = {f"act_{place}": statement for place, statement in enumerate((NUMBERS | DEFINITIONS).values())}
    move = await _environment(services, **acts)
    dumps = PendingClone(
        services.pool, postgres.dsn("postgres", database_name), move.transfer_id, move.schema, move.new_schema
    )
    app = await connect()
    await app.execute(f"set search_path to {move.schema}")
    before = dumps.dump(move.schema)
    await services.freeze(move)
    frozen = dumps.dump(move.schema)
    for name, statement in acts.items():
        try:
            await app.execute(f"select {name}()")
        except REFUSED as error:
            assert "Nothing was saved" in str(error)  # noqa: PT017 - which statement passed has to be told
        else:
            pytest.fail(statement)
    assert dumps.dump(move.schema) == frozen
    await services.begin_undo(move)
    await services.unfreeze(move)
    assert dumps.dump(move.schema) == before
    for name, statement in acts.items():
        if "sb_transfer_fence" not in statement:
            await app.execute(f"begin; select {name}(); rollback")


async def test_what_changes_nothing_there_is_not_refused(services: Services, connect: Connect) -> None:
    """People who only read, and everybody else's environment, would be disturbed by somebody's move."""
    acts = {f"act_{place}": statement for place, statement in enumerate(ELSEWHERE.values())}
    move = await _environment(services, **acts)
    app = await connect()
    await app.execute(f"set search_path to {move.schema}")
    await services.freeze(move)
    for name in acts:
        await app.execute(f"select {name}()")


@pytest.mark.parametrize("language", ["sql", "plpgsql"])
async def test_a_session_that_has_drawn_before_the_freeze_is_told_so(
    services: Services, connect: Connect, language: str
) -> None:
    """It has planned its statement already, and would draw, or be told of a missing right."""
    move = await _environment(services)
    body = {"sql": "select nextval('numbers')", "plpgsql": "begin return nextval('numbers'); end"}[language]
    await services.pool.execute(
        f"set search_path to {move.schema}; "
        f"create function next_no() returns bigint language {language} security definer as $$ {body} $$; "
        "reset search_path"
    )
    app = await connect()
    await app.execute(f"set search_path to {move.schema}")
    assert [await app.fetchval("select next_no()") for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]
    await services.freeze(move)
    with pytest.raises(REFUSED):
        await app.fetchval("select next_no()")


@pytest.mark.parametrize("isolation", ["read_committed", "repeatable_read", "serializable"])
@pytest.mark.parametrize("how", ["draw", "refresh", "add a column", "drop a view", "give the right to draw"])
async def test_a_transaction_that_began_before_the_freeze_defines_nothing_after_it(
    services: Services, connect: Connect, isolation: str, how: str
) -> None:
    """A transaction that looks at an older snapshot would slip past the fence."""
    move = await _environment(services, act=(NUMBERS | DEFINITIONS)[how])
    app = await connect()
    await app.execute(f"set search_path to {move.schema}")
    transaction = app.transaction(isolation=isolation)  # type: ignore[arg-type] # any of the literals
    await transaction.start()
    await app.fetch("select relname from pg_class limit 1")
    await services.freeze(move)
    with pytest.raises(REFUSED):
        await app.execute("select act()")
    await transaction.rollback()


async def test_a_definition_in_flight_is_waited_for(services: Services, connect: Connect) -> None:
    """A table whose transaction commits after the freeze would have no fence, and be written while it is copied."""
    move = await _environment(services, act="create table extra (id int)")
    app = await connect()
    await app.execute(f"set search_path to {move.schema}")
    async with app.transaction():
        await app.execute("select act()")
        with pytest.raises(EnvironmentBusy, match=r"session \d+ of sb_app.* \(definitions\)"):
            await services.freeze(move)
    await services.freeze(move)
    assert "extra" in await services.fences(move.schema)


async def test_a_superuser_is_told_too(services: Services, postgres: EmbeddedPostgres, database_name: str) -> None:
    """An administrator would change what is being moved without knowing."""
    move = await _environment(services)
    await services.freeze(move)
    superuser = await asyncpg.connect(postgres.dsn("postgres", database_name))
    with pytest.raises(REFUSED):
        await superuser.execute(f"refresh materialized view {move.schema}.seen")
    await superuser.execute("set session_replication_role to replica")
    with pytest.raises(REFUSED):
        await superuser.execute(f"drop view {move.schema}.shown")
    await superuser.close()


async def test_what_the_environment_calls_so_itself_stays(services: Services, connect: Connect) -> None:
    """A function of the customer's would be gone after a move that was undone."""
    move = await _environment(services, act="perform nextval('numbers'::text)")
    await services.pool.execute(
        f"create function {move.schema}.nextval(text) returns bigint language sql security definer "
        "as $$ select pg_catalog.nextval($1) $$"
    )
    app = await connect()
    await app.execute(f"set search_path to {move.schema}")
    await services.freeze(move)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("select act()")
    await services.begin_undo(move)
    await services.unfreeze(move)
    await app.execute("select act()")
    assert await services.pool.fetchval(f"select last_value from {move.schema}.numbers") == 1


async def test_rights_to_draw_that_were_handed_on_come_back_as_they_were(services: Services, connect: Connect) -> None:
    """A freeze would fail for a right that depends on another, or an undo forget by whom it was given."""
    move = await _environment(services)
    schema = move.schema
    await services.pool.execute(
        f"grant usage on sequence {schema}.numbers to sb_app with grant option; "
        f"grant select on sequence {schema}.numbers to pg_monitor; "
        f"set role sb_app; grant usage on sequence {schema}.numbers to pg_monitor; "
        f"grant usage on sequence {schema}.numbers to public; reset role"
    )
    rights = f"select relacl::text from pg_class where oid = '{schema}.numbers'::regclass"
    before = await services.pool.fetchval(rights)
    await services.freeze(move)
    assert "U" not in await services.pool.fetchval(rights)
    await services.begin_undo(move)
    await services.unfreeze(move)
    assert await services.pool.fetchval(rights) == before
    assert await (await connect()).fetchval(f"select nextval('{schema}.numbers')") == 1
