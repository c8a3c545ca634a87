"""Tells what a move will do before it does anything: the manual's "Let op", with this customer's own figures."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from adapters.mail.addresses import AddressUnusable, envelope_address
from adapters.mail.smtp import SmtpClient
from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.contained import ask, bound
from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load, within
from adapters.postgres.transfer_rows import (
    environment_row,
    live_transfer_of,
    one,
    plain,
    summary_of,
)
from adapters.transfer.rehearsal import Findings, refusal_of, rehearse_at_home
from adapters.transfer.tried_structures import TriedStructures
from domain import messages as m
from domain.errors import (
    AlreadyInTransfer,
    CannotBeCarried,
    EnvironmentNotActive,
    EnvironmentUnknown,
    LicenceCancelled,
    LicenceUnknown,
)
from domain.scenario import scenario_of
from domain.vocabulary import Bank, EnvironmentStatus, LicenceKind

QUESTION_TIMEOUT = timedelta(seconds=5)
_SQL = load(__name__) | load("adapters.transfer.uploads")


class PostgresPreviewReader:
    """Reads an environment; changes nothing."""

    def __init__(
        self,
        pool: Pool,
        *,
        shards: Shards | None = None,
        mail: SmtpClient | None = None,
        question_timeout: timedelta = QUESTION_TIMEOUT,
        tried: TriedStructures | None = None,
    ) -> None:
        """Prepare a reader.

        Args:
            pool: Connected as sb_owner.
            shards: Other cells' pools.
            mail: The server that news goes through.
            question_timeout: How long rows may be looked at for one answer.
            tried: What else was tried in this process.
        """
        self._tried = tried or TriedStructures()
        self._question_timeout = question_timeout
        self._pool = pool
        self._shards = shards or Shards(pool)
        self._mail = mail

    async def preview(self, environment_id: UUID) -> m.Preview:
        """Return what a move of this environment will carry, lose and leave to be done.

        Raises:
            EnvironmentUnknown: There is none with this id.
        """
        async with transaction(self._pool) as connection:
            environment = await _known(connection, environment_id)
            licence = await one(connection, _SQL["licence_of"], environment_id)
            async with self._shards.together(connection, environment["cell"], environment["cell"]) as (there, _):
                place = Place(environment["schema_name"], environment["cell"])
                findings = await rehearse_at_home(there, place, limit=self._question_timeout, tried=self._tried)
                found, odd = await _preview(there, environment, licence, findings)
            seconds = await connection.fetchval(_SQL["seconds"], found.estimate.bytes)
            found = found.model_copy(update={"estimate": found.estimate.model_copy(update={"seconds": seconds})})
        return found.model_copy(update={"unreachable": await self._unreachable(odd)})

    async def _unreachable(self, addresses: Iterable[str]) -> list[m.UnreachableAddress]:
        """Return those of some addresses that no mail reaches; ask the mail server only where that depends on it."""
        found, beyond_ascii = [], []
        for address in addresses:
            try:
                if envelope_address(address).needs_smtputf8:
                    beyond_ascii.append(address)
            except AddressUnusable:
                found.append(m.UnreachableAddress(address=address, why="It is no e-mail address. Correct it."))
        if beyond_ascii and not (self._mail is not None and await self._mail.takes_smtputf8()):
            why = "Our mail server passes on no letters beyond ASCII before the @. Give another address."
            found += [m.UnreachableAddress(address=address, why=why) for address in beyond_ascii]
        return found

    async def refusal(self, preview: m.Preview, *, for_licence: str | None = None) -> None:
        """Raise what keeps an environment from being moved now, changing nothing; return when nothing does.

        Args:
            preview: What was found in the environment.
            for_licence: The only licence that is to upload the ticket.

        Raises:
            EnvironmentUnknown, AlreadyInTransfer, EnvironmentNotActive: As for the freeze.
            CannotBeCarried: The message lists the obstacles.
            LicenceUnknown, LicenceCancelled, SameLicence, ScenarioNotOffered: The ticket could never be uploaded.
        """
        async with transaction(self._pool) as connection:
            environment = await _known(connection, preview.environment.environment_id)
            if await live_transfer_of(connection, environment["environment_id"]) is not None:
                raise AlreadyInTransfer
            if environment["status"] != EnvironmentStatus.ACTIVE:
                raise EnvironmentNotActive
            if for_licence is not None:
                await _require_target(connection, environment, for_licence)
        if preview.obstacles:
            raise refusal_of(CannotBeCarried, preview.obstacles)


async def _preview(
    there: Connection, environment: asyncpg.Record, licence: asyncpg.Record, findings: Findings
) -> tuple[m.Preview, list[str]]:
    """Look into an environment, in the database that it lives in; return addresses that may be none, too."""
    schema_name = environment["schema_name"]
    size = await one(there, _SQL["size_of_schema"], schema_name)
    obstacles = findings.obstacles

    lists = await _lists(there, schema_name)
    odd = [licence["contact_email"], *(row["email"] for row in lists.pop("odd_addresses"))]
    left_out = {name: rows[0]["of_all"] - len(rows) for name, rows in lists.items() if rows}
    left_out |= {"obstacles": len(obstacles) - m.MOST_SHOWN, "unasked": len(findings.unasked) - m.MOST_SHOWN}
    found = m.Preview(
        environment=summary_of(environment),
        holder_name=licence["holder_name"],
        licence_kind=licence["kind"],
        administrations=[row["name"] for row in lists["administrations"]],
        open_quotes=[m.QuoteLost(**_without_count(row)) for row in lists["open_quotes"]],
        app_connections=[row["name"] for row in lists["app_connections"]],
        banks_carried=[m.BankToReactivate(**_without_count(row)) for row in lists["banks_carried"]],
        banks_to_reactivate=[m.BankToReactivate(**_without_count(row)) for row in lists["banks_to_reactivate"]],
        users_to_relink=[row["email"] for row in lists["users_to_relink"]],
        obstacles=obstacles[: m.MOST_SHOWN],
        unasked=findings.unasked[: m.MOST_SHOWN],
        tables=size["tables"],
        estimate=m.Estimate(rows=size["rows_estimate"], bytes=size["bytes_total"]),
        left_out={name: more for name, more in left_out.items() if more > 0},
    )
    return found, odd


async def _lists(there: Connection, schema_name: str) -> dict[str, list[dict[str, Any]]]:
    """Return what people read of the rows, in one question: to contain one takes longer than to answer it."""
    of_banks = _SQL["bank_connections"]
    asked = {
        **{name: bound(_SQL[name], m.MOST_SHOWN) for name in ("administrations", "open_quotes", "app_connections")},
        "banks_carried": bound(of_banks, m.MOST_SHOWN, Bank.RABOBANK, True),
        "banks_to_reactivate": bound(of_banks, m.MOST_SHOWN, Bank.RABOBANK, False),
        "users_to_relink": bound(_SQL["linked_users"], m.MOST_SHOWN),
        "odd_addresses": _SQL["odd_addresses"],
    }
    question = "\nunion all\n".join(
        _SQL["as_list"].replace("{name}", name).replace("{statement}", statement) for name, statement in asked.items()
    )
    answers = await ask(there, within(question, schema_name), schema_name)
    # Amounts stay the text that the server gave: a float would lose cents.
    return {row["list"]: json.loads(row["rows"], parse_float=str) for row in answers}


def _without_count(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "of_all"}


async def _require_target(connection: Connection, environment: asyncpg.Record, for_licence: str) -> None:
    old = await one(connection, _SQL["licence"], environment["licence_number"])
    new = await connection.fetchrow(_SQL["licence"], plain(for_licence))
    if new is None:
        raise LicenceUnknown
    if new["cancelled"]:
        raise LicenceCancelled
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
