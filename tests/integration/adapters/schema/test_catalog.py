"""What the catalog says cannot be carried, before anybody's work stops."""

import asyncpg
import pytest

from adapters.schema.catalog import inspect_schema
from devstack.postgres import EmbeddedPostgres
from tests.integration.pending_clone import PendingClone
from tests.tools.paths import ROOT


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("create function f() returns text language sql as 'select ''{capitals}.t'' '", "function f()"),
        ("create table {schema} (id int)", "table {schema}"),
        ("create table t (); alter table t enable row level security, force row level security", "table t"),
        ("create table t (what regclass)", "column what of t"),
        ("create table t (what regtype[])", "column what of t"),
        ("create type c as (a int, b regproc); create domain d as c; create table t (what d[])", "column what of t"),
        ("create type r as range (subtype = regclass); create table t (what r)", "column what of t"),
        ("create table t (x int); create materialized view m as select 't'::regclass as what", "column what of m"),
        ("create table t (lo oid); select lo_create(0)", "column lo of t"),
        ("create sequence s; revoke all on sequence s from sb_owner", "sequence s"),
        (
            "create type c as enum ('a'); create schema other; create table other.t (x {schema}.c)",
            "column x of table other.t",
        ),
        (
            """create function f() returns int language sql as 'select 1'; create schema other;
            create table other.t (x int default {schema}.f())""",
            "default value for column x of table other.t",
        ),
        ("create table t (x int); create publication p for table t", "publication p"),
        (
            "create schema other; create table t (id int primary key); create table other.o (id int references t)",
            "foreign key o_id_fkey of other.o",
        ),
        ("create schema other; create table t (id int); create view other.v as select * from t", "view other.v"),
        ("create schema other; create table other.p (id int); create table c () inherits (other.p)", "table c"),
        ("create table t (id int); revoke all on t from sb_owner", "table t"),
        (
            (
                "create table p (a int); alter table p add constraint positive check (a > 0) not valid; "
                "create table c () inherits (p)"
            ),
            "constraint positive of c",
        ),
        (
            (
                "create table p (a int); alter table p add constraint present not null a not valid; "
                "create table c () inherits (p)"
            ),
            "constraint present of c",
        ),
        # A move itself writes into these.
        (
            (
                "create table quote (id int); create rule kept as on update to quote do instead nothing; "
                "alter table quote enable always rule kept"
            ),
            "rewrite rule kept of quote",
        ),
        (
            (
                "create table app_user (id int); create function f() returns trigger language plpgsql as "
                "'begin return null; end'; create trigger never before update on app_user for each row "
                "execute function f(); alter table app_user enable replica trigger never"
            ),
            "trigger never of app_user",
        ),
    ],
)
async def test_what_cannot_be_carried_is_told_before(move: PendingClone, sql: str, what: str) -> None:
    """An environment that cannot be copied exactly must be refused before anybody's work stops."""
    await move.build(sql.format(schema=move.source, capitals=move.source.upper()))
    async with move.pool.acquire() as connection:
        found = [obstacle.what for obstacle in await inspect_schema(connection, move.source)]
    assert what.format(schema=move.source) in found


@pytest.mark.parametrize(
    ("sql", "what", "undo"),
    [
        (
            (
                "create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere; "
                "create foreign table {schema}.t (id int) server nowhere"
            ),
            "foreign table t",
            "drop foreign data wrapper nowhere cascade",
        ),
        (
            (
                "create function public.watch() returns event_trigger language plpgsql as 'begin end'; "
                "create event trigger watch on ddl_command_end execute function public.watch()"
            ),
            "event trigger watch",
            "drop function public.watch() cascade",
        ),
        ("create publication whole for tables in schema {schema}", "publication whole", "drop publication whole"),
        (
            "create function {schema}.f() returns int language internal as 'pg_backend_pid'",
            "function f()",
            "drop function {schema}.f()",
        ),
    ],
)
async def test_what_only_a_superuser_makes_is_told_before(
    move: PendingClone, postgres: EmbeddedPostgres, sql: str, what: str, undo: str
) -> None:
    """Rows that live elsewhere, or a trigger on every definition, would make a copy that is not the original."""
    superuser = await asyncpg.connect(postgres.dsn("postgres", move.dsn.rsplit("/", 1)[1]))
    try:
        await superuser.execute(sql.format(schema=move.source))
        async with move.pool.acquire() as connection:
            assert what in [obstacle.what for obstacle in await inspect_schema(connection, move.source)]
        await superuser.execute(undo.format(schema=move.source))
    finally:
        await superuser.close()


async def test_a_rich_but_clean_schema_has_no_obstacle(move: PendingClone) -> None:
    """A refusal without cause would keep a customer from moving."""
    await move.build((ROOT / "tests" / "integration" / "schemas" / "everything.sql").read_text())
    async with move.pool.acquire() as connection:
        assert await inspect_schema(connection, move.source) == []
