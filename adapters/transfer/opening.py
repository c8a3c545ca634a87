"""Lets people into an environment: into the new one at its release, back into the old one after an undo."""

from uuid import UUID

import asyncpg

from adapters.inbox.held_items import Target, drain
from adapters.postgres.connection import Connection
from adapters.postgres.contained import ask, bound, write
from adapters.postgres.shards import Guest, note
from adapters.postgres.statements import load, within
from adapters.postgres.transfer_rows import record_event
from domain.events import EventKind
from domain.vocabulary import HOME, EnvironmentStatus, Scenario

_SQL = load("adapters.transfer.freeze_release")


async def open_up(there: Connection, transfer: asyncpg.Record, new: asyncpg.Record, fence: asyncpg.Record) -> int:
    """Let the application write, and invite every user; return how many these are."""
    await there.fetchval(_SQL["lift_fence"], new["schema_name"], fence["administrations"])
    await there.fetchval(_SQL["give_sequence_grants"], new["schema_name"], fence["sequence_grants"])
    return await invite(there, transfer, new)


async def invite(connection: Connection, transfer: asyncpg.Record, new: asyncpg.Record) -> int:
    """Invite every user again: "Nodig tenslotte alle gebruikers opnieuw uit" (manual, Gebruikers uitnodigen)."""
    await connection.execute(_SQL["mute_triggers"], new["schema_name"])
    steps = [_SQL["invite_users"]]
    if owner := owner_of(transfer, new):
        steps.insert(0, bound(_SQL["add_owner"], owner))
    invited: int
    *_, invited = await write(connection, new["schema_name"], *(("app_user", step) for step in steps))
    await connection.execute(_SQL["unmute_triggers"])
    return invited


async def restore_access(there: Connection, cell: str, transfer_id: UUID, fence: asyncpg.Record) -> None:
    """Give an environment back as it was before a freeze, in the database that it lives in."""
    await there.fetchval(_SQL["lift_fence"], fence["schema_name"], fence["administrations"])
    await there.fetchval(_SQL["give_sequence_grants"], fence["schema_name"], fence["sequence_grants"])
    if cell != HOME:
        await there.execute(_SQL["mark_lifted"], transfer_id)
        active = EnvironmentStatus.ACTIVE
        await note(there, cell, Guest(fence["environment_id"], fence["schema_name"], transfer_id, active))


async def put_in_held_items(home: Connection, there: Connection, transfer_id: UUID, target: Target) -> None:
    """Put mail and scans that came in meanwhile into an environment that is being opened, before anybody may write."""
    drained = await drain(home, there, target)
    if drained.happened:
        await record_event(home, transfer_id, EventKind.HELD_ITEMS_DELIVERED, detail=drained.detail())


async def hand_on_consents(home: Connection, there: Connection, old: UUID, new: asyncpg.Record) -> None:
    """Write down whose the consents of connections are that came along: one consent is used by one environment."""
    try:
        async with there.transaction():
            rows = await ask(there, within(_SQL["carried_consents"], new["schema_name"]), new["schema_name"])
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.DataError):
        return  # an environment of another make has no such connections
    columns = [[row[name] for row in rows] for name in ("administration_id", "bank", "iban")]
    await home.execute(_SQL["hand_on_consents"], old, new["environment_id"], *columns)


def owner_of(transfer: asyncpg.Record, new: asyncpg.Record) -> str | None:
    """Return the customer's own login: a move to self-managed adds it to the users."""
    return new["login_email"] if transfer["scenario"] == Scenario.INSOURCE and new["login_email"] else None
