"""Numbered, forward-only migrations, applied under an advisory lock so that two `setup`s at once do one's work."""

import asyncio
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from adapters.postgres.connection import Connection, connect
from domain.errors import Misconfigured, Unavailable

# Any constant will do as long as nobody else's is the same: the bytes of "sbtransf".
_ADVISORY_LOCK = 0x73627472616E7366
# Whoever wants a table for itself makes everybody after it wait: not for longer than a person notices.
_LOCK_PATIENCE = "1s"
_PAUSE_SECONDS = 1.0
_ATTEMPTS = 30


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str


def migrations_of(kind: str) -> list[Migration]:
    """Return the migrations in `migrations/<kind>/` beside this file, in order; kind is `control` or `environment`."""
    folder = files("adapters.postgres").joinpath("migrations", kind)
    found = [
        Migration(int(entry.name.split("_", 1)[0]), entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


async def migrate_control(dsn: str) -> list[str]:
    """Bring `control` up to date; return the names of the migrations that were applied, none when all were.

    It may be done while transfers are under way: a table's lock is waited for only so long that nobody who queues up
    behind it notices, then everything is let go and tried again.

    Raises:
        Misconfigured: The role may not do what a migration needs.
        Unavailable: The server does not answer, or somebody keeps a table locked.
    """
    connection = await connect(dsn)
    try:
        for attempt in range(_ATTEMPTS):
            try:
                return await _migrate(connection)
            except asyncpg.LockNotAvailableError as error:
                if attempt == _ATTEMPTS - 1:
                    why = f"Somebody keeps a table of `control` locked ({error})."
                    raise Unavailable(f"{why} End that transaction and run this again.") from error
                await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError("the last attempt returns or raises")
    except asyncpg.InsufficientPrivilegeError as error:
        raise Misconfigured(
            f"The database role may not set this up ({error}). Connect as sb_owner with CREATEROLE, or as a superuser."
        ) from error
    finally:
        await connection.close()


async def _migrate(connection: Connection) -> list[str]:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _ADVISORY_LOCK)
        await connection.execute(f"set local lock_timeout = '{_LOCK_PATIENCE}'")
        await _ensure_roles(connection)
        await connection.execute("create schema if not exists control")
        await connection.execute(
            "create table if not exists control.migration "
            "(number integer primary key, name text not null, applied_at timestamptz not null default now())"
        )
        done = {row["number"] for row in await connection.fetch("select number from control.migration")}
        applied = []
        for migration in migrations_of("control"):
            if migration.number in done:
                continue
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into control.migration (number, name) values ($1, $2)", migration.number, migration.name
            )
            applied.append(migration.name)
        return applied


async def migrate_environment(connection: Connection, schema_name: str, *, from_version: int = 0) -> int:
    """Build or update an environment's own tables inside the caller's transaction; return its new version."""
    version = from_version
    path: str = await connection.fetchval(
        "select format('set local search_path to %I, pg_catalog', $1::text)", schema_name
    )
    for migration in migrations_of("environment"):
        if migration.number > from_version:
            await connection.execute(path)
            await connection.execute(migration.sql)
            version = migration.number
    await connection.execute("reset search_path")
    return version


async def _ensure_roles(connection: Connection) -> None:
    """Make the roles that are missing; giving them passwords and LOGIN is whoever's who runs the server."""
    for role in ("sb_owner", "sb_app", "sb_api", "sb_codec", "sb_carrier"):
        if not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
            await connection.execute(f"create role {role}")  # one of these constants
    # This service hands what has to run an environment's own code to a role that may do nothing else.
    if not await connection.fetchval("select pg_has_role('sb_owner', 'sb_carrier', 'usage')"):
        await connection.execute("grant sb_carrier to sb_owner")
