"""What a move changes in the new environment, exactly that, and once."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.transfer.target_setup import PostgresTargetSetup
from domain import messages as m
from domain.consequences import CHANGED_ON_PURPOSE
from domain.errors import Superseded, TransferUnknown, WrongMoment
from domain.vocabulary import CheckKind, ConsequenceKind
from tests.integration.conftest import CopiedEnvironment


class Successor:
    """Target setup at work on one copied environment."""

    def __init__(self, copy: CopiedEnvironment) -> None:
        self.pool = copy.pool
        self.setup = PostgresTargetSetup(copy.pool)
        self.transfer_id = copy.transfer_id
        self.old_schema = copy.old_schema
        self.new_schema = copy.new_schema

    async def rows(self, schema: str, table: str) -> list[dict[str, Any]]:
        """Return a table's rows in the order of their keys."""
        found = await self.pool.fetch(f"select * from {schema}.{table} order by 1, 2")
        return [dict(row) for row in found]

    async def banks(self) -> m.BanksReconnected:
        return await self.setup.reconnect_banks(m.ReconnectBanks(transfer_id=self.transfer_id))

    async def consequences(self) -> m.ConsequencesApplied:
        return await self.setup.apply_consequences(m.ApplyConsequences(transfer_id=self.transfer_id))

    async def compare(self) -> m.ComparisonSummary:
        return await self.setup.compare(m.CompareEnvironments(transfer_id=self.transfer_id))

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the transfer's story."""
        found = await self.pool.fetch(
            "select kind, detail from control.transfer_event where transfer_id = $1 order by event_id", self.transfer_id
        )
        return [(row["kind"], json.loads(row["detail"])) for row in found]


@pytest.fixture
def successor(switch: CopiedEnvironment) -> Successor:
    """Target setup at work on `enyoi`, which goes to another firm."""
    return Successor(switch)


async def test_rabobank_comes_along_and_the_other_banks_wait(successor: Successor) -> None:
    """Activates Rabobank and flags the other banks."""
    before = await successor.rows(successor.old_schema, "bank_connection")
    outcome = await successor.banks()
    assert [(bank.bank, bank.old, bank.new, bank.count) for bank in outcome.banks] == [
        ("rabobank", "active", "active", 3),
        ("abn_amro", "active", "needs_reactivation", 1),
        ("bunq", "active", "needs_reactivation", 1),
        ("ing", "active", "needs_reactivation", 1),
        ("knab", "active", "needs_reactivation", 3),
    ]
    after = await successor.rows(successor.new_schema, "bank_connection")
    assert [row["consent_reference"] for row in after] == [row["consent_reference"] for row in before]
    assert {row["status"] for row in after if row["bank"] == "rabobank"} == {"active"}
    assert await successor.rows(successor.old_schema, "bank_connection") == before
    assert [kind for kind, _ in await successor.events()] == ["bank_active"] + ["bank_needs_reactivation"] * 4 + [
        "banks_reconnected"
    ]


async def test_a_rabobank_connection_needs_a_consent_and_to_have_been_active(successor: Successor) -> None:
    """Makes none active that was not, and none whose consent is missing or blank."""
    for schema in (successor.old_schema, successor.new_schema):
        await successor.pool.execute(
            f"update {schema}.bank_connection c set status = case n when 1 then 'needs_reactivation' else status end, "
            "consent_reference = case n when 1 then consent_reference when 2 then null else '  ' end "
            f"from (select administration_id, id, row_number() over (order by administration_id, id) as n "
            f"from {schema}.bank_connection where bank = 'rabobank') r "
            "where c.administration_id = r.administration_id and c.id = r.id"
        )
    outcome = await successor.banks()
    told = [(bank.old, bank.new, bank.count) for bank in outcome.banks if bank.bank == "rabobank"]
    assert told == [("active", "needs_reactivation", 2), ("needs_reactivation", "needs_reactivation", 1)]


async def test_the_consequences_are_the_manuals_and_are_told(successor: Successor) -> None:
    """Applies the manual's consequences and writes each."""
    applied = await successor.consequences()
    counts = {one.kind: one.count for one in applied.consequences}
    assert counts == {
        ConsequenceKind.QUOTES_EXPIRED: 12,
        ConsequenceKind.APP_CONNECTIONS_DEACTIVATED: 4,
        ConsequenceKind.MOBILE_LINKS_UNLINKED: 4,
        ConsequenceKind.MAILBOX_ADDRESS_CHANGED: 1,
        ConsequenceKind.MAILBOX_MESSAGES_CARRIED: 8,
        ConsequenceKind.SCANBOX_DOCUMENTS_CARRIED: 7,
        ConsequenceKind.BECON_NUMBERS_TO_REVIEW: 3,
        ConsequenceKind.TAX_CONTACT_KINDS_TO_REVIEW: 3,
    }
    quotes = await successor.rows(successor.new_schema, "quote")
    assert not [quote for quote in quotes if quote["status"] == "open" or quote["portal_token"] is not None]
    administrations = await successor.rows(successor.new_schema, "administration")
    assert all(row["becon_number_needs_review"] and row["becon_number"] for row in administrations)
    assert all(row["tax_contact_kind_needs_review"] for row in administrations)
    users = await successor.rows(successor.new_schema, "app_user")
    assert {(row["mobile_link_status"], row["invitation_status"]) for row in users} == {("needs_relink", "not_invited")}
    told = dict(await successor.events())
    assert {kind: detail["count"] for kind, detail in told.items() if kind in counts} == counts
    assert told["invitations_withdrawn"] == {"count": 4}
    assert len(told["quotes_expired"]["numbers"]) == 12
    assert told["mailbox_address_changed"]["new"] == "nieuw@x.mailbox.sb.example"


async def test_going_independent_clears_the_becon_number(insource: CopiedEnvironment) -> None:
    """Clears becon number and contact kind on a move to self-managed."""
    successor = Successor(insource)
    applied = await successor.consequences()
    counts = {one.kind: one.count for one in applied.consequences}
    assert counts[ConsequenceKind.BECON_NUMBERS_CLEARED] == 2
    assert ConsequenceKind.BECON_NUMBERS_TO_REVIEW not in counts
    administrations = await successor.rows(successor.new_schema, "administration")
    assert {(row["becon_number"], row["becon_number_needs_review"]) for row in administrations} == {(None, False)}


async def test_nothing_else_changes(successor: Successor) -> None:
    """Changes no other row."""
    before = {table: await successor.rows(successor.old_schema, table) for table in await _tables(successor)}
    await successor.banks()
    await successor.consequences()
    changed: dict[str, set[str]] = {}
    for table, old_rows in before.items():
        assert await successor.rows(successor.old_schema, table) == old_rows
        new_rows = await successor.rows(successor.new_schema, table)
        for old, new in zip(old_rows, new_rows, strict=True):
            changed.setdefault(table, set()).update(column for column in old if old[column] != new[column])
    expected = {table: set(columns) - {"read_only", "becon_number"} for table, columns in CHANGED_ON_PURPOSE.items()}
    assert {table: columns for table, columns in changed.items() if columns} == expected


async def test_a_customers_own_trigger_does_not_react(successor: Successor) -> None:
    """Wakes no trigger of the customer."""
    await successor.pool.execute(
        f"""
        create table {successor.new_schema}.audit (what text);
        create function {successor.new_schema}.note() returns trigger language plpgsql as
            'begin execute format(''insert into %I.audit values (%L)'', tg_table_schema, tg_op); return new; end';
        create trigger note after update on {successor.new_schema}.quote
            for each row execute function {successor.new_schema}.note();
        """
    )
    await successor.consequences()
    assert await successor.pool.fetchval(f"select count(*) from {successor.new_schema}.audit") == 0


async def test_a_second_attempt_returns_the_first_ones_results(successor: Successor) -> None:
    """Returns the first attempt's result to the second."""
    first = (await successor.banks(), await successor.consequences(), await successor.compare())
    told = await successor.events()
    await successor.pool.execute(f"update {successor.new_schema}.sales_product set unit_price = unit_price + 1")
    assert (await successor.banks(), await successor.consequences(), await successor.compare()) == first
    assert await successor.events() == told


@pytest.mark.parametrize("step", ["banks", "consequences", "compare"])
@pytest.mark.parametrize("state", ["undoing", "undone"])
async def test_an_attempt_left_over_from_before_an_undo_does_nothing(
    successor: Successor, step: str, state: str
) -> None:
    """Does nothing once the undo has begun."""
    await successor.pool.execute("update control.transfer set state = $1, undo_reason = 'cancelled'", state)
    with pytest.raises(Superseded):
        await getattr(successor, step)()
    assert await successor.events() == []
    assert {row["status"] for row in await successor.rows(successor.new_schema, "bank_connection")} == {"active"}


async def test_a_step_before_its_time_is_refused(successor: Successor) -> None:
    """Refuses a step before its time."""
    with pytest.raises(TransferUnknown):
        await successor.setup.compare(m.CompareEnvironments(transfer_id=uuid.uuid4()))
    await successor.pool.execute("update control.transfer set new_environment_id = null")
    with pytest.raises(WrongMoment):
        await successor.banks()


async def test_a_finished_move_compares_equal_and_the_report_is_kept(successor: Successor) -> None:
    """Compares a finished move as equal and keeps the report."""
    await successor.banks()
    await successor.consequences()
    started = datetime.now(UTC)
    summary = await successor.compare()
    assert summary == m.ComparisonSummary(checks=3 * len(CheckKind), unequal=0, administrations=3)
    kept = await successor.pool.fetchval("select report from control.transfer")
    report = m.ComparisonReport.model_validate_json(kept)
    assert len(report.checks) == summary.checks
    assert started <= report.made_at <= datetime.now(UTC)
    # Of 8 mails and 7 scans these are open.
    counts = {"mails_open": 6, "scans_open": 5, "mails_held": 0, "scans_held": 0}
    assert report.inbox == m.InboxCounts(**counts)
    assert (await successor.events())[-1] == ("environments_compared", {**summary.model_dump(), **counts})


async def _tables(successor: Successor) -> list[str]:
    rows = await successor.pool.fetch(
        "select relname from pg_class where relnamespace = $1::text::regnamespace and relkind = 'r'",
        successor.new_schema,
    )
    return [row["relname"] for row in rows]
