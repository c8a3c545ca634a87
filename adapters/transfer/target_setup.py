"""Brings the new environment into the state that the manual describes, once, and compares it with the old one."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from adapters.inbox.held_items import count_waiting
from adapters.postgres.connection import Connection, Pool, transaction
from adapters.postgres.contained import write
from adapters.postgres.lock_waits import named_waits
from adapters.postgres.place import Place
from adapters.postgres.shards import Shards
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import lock_for_step, one, record_event
from adapters.transfer.auditfile import booked_years
from adapters.transfer.comparison import EnvironmentPair, comparison_report, rows_kept
from domain import messages as m
from domain.errors import WrongMoment
from domain.events import EventKind
from domain.vocabulary import HOME, ConsequenceKind, Scenario

_SQL = load(__name__)


class PostgresTargetSetup:
    """Plays `domain.ports.TargetSetup`.

    Each step is one transaction that holds the transfer's row, and leaves its result there: an attempt that finds a
    result returns it and changes nothing. The old environment is only read.
    """

    def __init__(self, pool: Pool, *, shards: Shards | None = None) -> None:
        """Take a pool that is connected as sb_owner, and other cells' pools."""
        self._pool = pool
        self._shards = shards or Shards(pool)

    async def reconnect_banks(self, order: m.ReconnectBanks) -> m.BanksReconnected:
        """Let Rabobank connections be active in the new environment, and flag all others.

        Raises:
            TransferUnknown, WrongMoment: There is no such transfer, or no new environment yet.
            Superseded: The transfer is being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id, evening=order.evening)
            earlier = await _result(connection, order.transfer_id, "banks")
            if earlier is not None:
                return m.BanksReconnected.model_validate_json(earlier)
            sides = await _sides(connection, order.transfer_id)
            async with (
                named_waits(self._shards, _new(sides)),
                self._shards.forward(connection, sides["new_cell"], transfer) as there,
            ):
                # What another database has done and this one has missed.
                done = await _result(there, order.transfer_id, "banks")
                if done is None:
                    outcome = await _reconnect(there, sides["new_schema"])
                    await there.execute(_SQL["keep_banks"], order.transfer_id, outcome.model_dump_json())
                else:
                    outcome = m.BanksReconnected.model_validate_json(done)
            await connection.execute(_SQL["keep_banks"], order.transfer_id, outcome.model_dump_json())
            for bank in outcome.banks:
                await record_event(connection, order.transfer_id, f"bank_{bank.new}", detail=bank.model_dump())
            await record_event(
                connection, order.transfer_id, EventKind.BANKS_RECONNECTED, detail={"banks": len(outcome.banks)}
            )
            return outcome

    async def apply_consequences(self, order: m.ApplyConsequences) -> m.ConsequencesApplied:
        """Do in the new environment what the manual lists under "Let op"; the log tells each change.

        Raises:
            TransferUnknown, WrongMoment: There is no such transfer, or no new environment yet.
            Superseded: The transfer is being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id, evening=order.evening)
            earlier = await _result(connection, order.transfer_id, "consequences")
            if earlier is not None:
                return m.ConsequencesApplied.model_validate_json(earlier)
            sides = await _sides(connection, order.transfer_id)
            async with (
                named_waits(self._shards, _new(sides)),
                self._shards.forward(connection, sides["new_cell"], transfer) as there,
            ):
                done = await _result(there, order.transfer_id, "consequences")
                changed = _Changed.model_validate_json(done) if done is not None else await _change(there, sides)
                if sides["new_cell"] != HOME:
                    await there.execute(_SQL["keep_consequences"], order.transfer_id, changed.model_dump_json())
            applied = m.ConsequencesApplied(
                consequences=[
                    m.Consequence(kind=kind, count=detail["count"], open=detail.get("open"))
                    for kind, detail in changed.told
                ]
            )
            await connection.execute(_SQL["keep_consequences"], order.transfer_id, applied.model_dump_json())
            for kind, detail in changed.told:
                await record_event(connection, order.transfer_id, kind, detail=detail)
            await record_event(
                connection,
                order.transfer_id,
                EventKind.INVITATIONS_WITHDRAWN,
                detail={"count": changed.invitations_withdrawn},
            )
            return applied

    async def compare(self, order: m.CompareEnvironments) -> m.ComparisonSummary:
        """Make the comparison that the manual asks people to make, and keep it with the transfer.

        An unequal check is for the caller to act on; the report names what differs.

        Raises:
            TransferUnknown, WrongMoment: There is no such transfer, or no new environment yet.
            Superseded: The transfer is being undone.
        """
        async with transaction(self._pool) as connection:
            transfer = await lock_for_step(connection, order.transfer_id, evening=order.evening)
            earlier = await _result(connection, order.transfer_id, "report")
            if earlier is not None:
                return m.ComparisonReport.model_validate_json(earlier).summary()
            sides = await _sides(connection, order.transfer_id)
            async with (
                named_waits(self._shards, Place(sides["old_schema"], sides["old_cell"]), _new(sides)),
                self._shards.together(connection, sides["old_cell"], sides["new_cell"]) as (old, new),
            ):
                both = EnvironmentPair(old, sides["old_schema"], new, sides["new_schema"])
                report = await comparison_report(
                    both, made_at=datetime.now(UTC), keep=await rows_kept(connection, order.transfer_id)
                )
                years = await booked_years(old, sides["old_schema"])
                inbox = await _inbox(connection, transfer)
                report = report.model_copy(update={"years": years, "inbox": inbox})
            summary = report.summary()
            await connection.execute(_SQL["keep_report"], order.transfer_id, report.model_dump_json())
            await record_event(
                connection,
                order.transfer_id,
                EventKind.ENVIRONMENTS_COMPARED,
                detail={**summary.model_dump(), **(inbox.model_dump() if inbox else {})},
            )
            return summary


class _Changed(m.Message):
    """What was changed in the new environment, as the log tells it; a cell keeps it for when home has missed it."""

    told: list[tuple[ConsequenceKind, dict[str, Any]]]
    invitations_withdrawn: int


async def _reconnect(connection: Connection, schema_name: str) -> m.BanksReconnected:
    await connection.execute(_SQL["mute_triggers"], schema_name)
    [rows] = await write(connection, schema_name, ("bank_connection", _SQL["reconnect_banks"]))
    return m.BanksReconnected(banks=[m.BankOutcome(**row) for row in rows])


async def _change(connection: Connection, sides: asyncpg.Record) -> _Changed:
    schema_name = sides["new_schema"]
    await connection.execute(_SQL["mute_triggers"], schema_name)
    steps = [
        (ConsequenceKind.QUOTES_EXPIRED, "quote", "expire_quotes"),
        (ConsequenceKind.APP_CONNECTIONS_DEACTIVATED, "app_connection", "deactivate_apps"),
        (ConsequenceKind.MOBILE_LINKS_UNLINKED, "app_user", "unlink_mobiles"),
        (ConsequenceKind.MAILBOX_MESSAGES_CARRIED, "mailbox_message", "count_mailbox_messages"),
        (ConsequenceKind.SCANBOX_DOCUMENTS_CARRIED, "scanbox_document", "count_scanbox_documents"),
        (ConsequenceKind.BECON_NUMBERS_CLEARED, "administration", "clear_becon_numbers")
        if sides["scenario"] == Scenario.INSOURCE
        else (ConsequenceKind.BECON_NUMBERS_TO_REVIEW, "administration", "flag_becon_numbers"),
        (ConsequenceKind.TAX_CONTACT_KINDS_TO_REVIEW, "administration", "flag_tax_contact_kinds"),
    ]
    changes = [(table, _SQL[statement]) for _, table, statement in steps]
    *done, withdrawn = await write(connection, schema_name, *changes, ("app_user", _SQL["withdraw_invitations"]))
    told = {kind: detail for (kind, _, _), detail in zip(steps, done, strict=True)}
    # The reservation gave the new environment its own address; nothing in its books holds it.
    told[ConsequenceKind.MAILBOX_ADDRESS_CHANGED] = {
        "count": 1,
        "old": sides["old_mailbox_address"],
        "new": sides["new_mailbox_address"],
    }
    return _Changed(
        told=[(kind, told[kind]) for kind in ConsequenceKind if kind in told], invitations_withdrawn=withdrawn["count"]
    )


async def _result(connection: Connection, transfer_id: UUID, column: str) -> str | None:
    found: str | None = (await one(connection, _SQL["results"], transfer_id))[column]
    return found


async def _inbox(connection: Connection, transfer: asyncpg.Record) -> m.InboxCounts | None:
    """Return what came along of mail and scans, and what waits; None when nothing is known of what came along."""
    told = await _result(connection, transfer["transfer_id"], "consequences")
    if told is None:
        return None
    consequences = m.ConsequencesApplied.model_validate_json(told).consequences
    came = {one.kind: one.open or 0 for one in consequences}
    mails, scans = await count_waiting(connection, transfer["environment_id"])
    return m.InboxCounts(
        mails_open=came.get(ConsequenceKind.MAILBOX_MESSAGES_CARRIED, 0),
        scans_open=came.get(ConsequenceKind.SCANBOX_DOCUMENTS_CARRIED, 0),
        mails_held=mails,
        scans_held=scans,
    )


async def _sides(connection: Connection, transfer_id: UUID) -> asyncpg.Record:
    row = await connection.fetchrow(_SQL["sides"], transfer_id)
    if row is None:
        raise WrongMoment
    return row


def _new(sides: asyncpg.Record) -> Place:
    return Place(sides["new_schema"], sides["new_cell"])
