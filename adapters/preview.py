"""Tells what a move will do before it does anything: the manual's "Let op", with this customer's own figures."""

from uuid import UUID

import asyncpg

from adapters.catalog import inspect_schema
from adapters.docket import enter_schema, environment_row, leave_schema, live_transfer_of, one, plain, summary_of
from adapters.fence import refuse_obstacles
from adapters.postgres import Connection, Pool, transaction
from adapters.statements import load
from domain import messages as m
from domain.errors import AlreadyInTransfer, EnvironmentNotActive, EnvironmentUnknown, LicenceUnknown
from domain.scenario import scenario_of
from domain.vocabulary import Bank, EnvironmentStatus, LicenceKind

_SQL = load("preview") | load("reservations")


class PostgresPreviewReader:
    """Reads an environment; changes nothing."""

    def __init__(self, pool: Pool) -> None:
        """Take a pool that is connected as sb_owner."""
        self._pool = pool

    async def preview(self, environment_id: UUID) -> m.Preview:
        """Return what a move of this environment will carry, lose and leave to be done.

        Raises:
            EnvironmentUnknown: There is none with this id.
        """
        async with transaction(self._pool) as connection:
            environment = await _known(connection, environment_id)
            schema_name = environment["schema_name"]
            licence = await one(connection, _SQL["licence_of"], environment_id)
            size = await one(connection, _SQL["size_of_schema"], schema_name)
            obstacles = await inspect_schema(connection, schema_name)
            await enter_schema(connection, schema_name)
            banks = [m.BankToReactivate(**row) for row in await connection.fetch(_SQL["bank_connections"])]
            found = m.Preview(
                environment=summary_of(environment),
                holder_name=licence["holder_name"],
                licence_kind=licence["kind"],
                administrations=await _column(connection, "administrations"),
                open_quotes=[m.QuoteLost(**row) for row in await connection.fetch(_SQL["open_quotes"])],
                app_connections=await _column(connection, "app_connections"),
                banks_carried=[bank for bank in banks if bank.bank == Bank.RABOBANK],
                banks_to_reactivate=[bank for bank in banks if bank.bank != Bank.RABOBANK],
                users_to_relink=await _column(connection, "linked_users"),
                obstacles=obstacles,
                tables=size["tables"],
                rows_estimate=size["rows_estimate"],
                bytes_total=size["bytes_total"],
            )
            await leave_schema(connection)
            return found

    async def refusal(self, environment_id: UUID, *, for_licence: str | None = None) -> None:
        """Raise what a freeze would raise now, changing nothing; return when it would begin.

        Args:
            environment_id: The environment that is to move.
            for_licence: The only licence that is to upload the ticket.

        Raises:
            EnvironmentUnknown, AlreadyInTransfer, EnvironmentNotActive, CannotBeCarried: As for the freeze.
            LicenceUnknown, SameLicence, ScenarioNotOffered: The ticket could never be uploaded.
        """
        async with transaction(self._pool) as connection:
            environment = await _known(connection, environment_id)
            if await live_transfer_of(connection, environment_id) is not None:
                raise AlreadyInTransfer
            if environment["status"] != EnvironmentStatus.ACTIVE:
                raise EnvironmentNotActive
            if for_licence is not None:
                await _require_target(connection, environment, for_licence)
            await refuse_obstacles(connection, environment["schema_name"])


async def _require_target(connection: Connection, environment: asyncpg.Record, for_licence: str) -> None:
    old = await one(connection, _SQL["licence"], environment["licence_number"])
    new = await connection.fetchrow(_SQL["licence"], plain(for_licence))
    if new is None:
        raise LicenceUnknown
    scenario_of(
        old_licence=old["licence_number"],
        old_kind=LicenceKind(old["kind"]),
        new_licence=new["licence_number"],
        new_kind=LicenceKind(new["kind"]),
    )


async def _known(connection: Connection, environment_id: UUID) -> asyncpg.Record:
    environment = await environment_row(connection, environment_id)
    if environment is None:
        raise EnvironmentUnknown
    return environment


async def _column(connection: Connection, statement: str) -> list[str]:
    return [row[0] for row in await connection.fetch(_SQL[statement])]
