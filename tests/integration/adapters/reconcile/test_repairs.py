"""What is left behind is put right where that is provably safe, once, and written down; the rest is a person's."""

import uuid
from collections.abc import AsyncIterator

import pytest

from adapters.reconcile.repairs import PostgresRepairer
from domain import messages as m
from domain.reconciliation import Healing, Inspect, ReadStanding, Repair
from domain.violations import REMEDY, Violation, ViolationKind
from domain.vocabulary import MailKind, TransferState
from tests.integration.adapters.reconcile.test_inspection import Scene, at, go
from tests.integration.services import Services

OPERATOR = "operator"


class Ward(Scene):
    """A scene with somebody who heals."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.repairer = PostgresRepairer(
            services.pool,
            gate=services.gate,
            reservations=services.reservations,
            engine=self.engine,
            workflows=self.running,
        )

    async def heal(self) -> list[Healing]:
        """Repair everything that is found, twice: an activity may run again."""
        findings = await self.inspector.inspect(Inspect())
        orders = [
            Repair(violation=violation, requested_by=OPERATOR, event_key=uuid.uuid4())
            for violation in findings.violations
        ]
        healings = [await self.repairer.repair(order) for order in orders]
        for order, healing in zip(orders, healings, strict=True):
            if healing.done:
                await self.repairer.repair(order)
        return healings

    async def left_alone(self, kind: ViolationKind) -> None:
        """Make sure that a person is told what to do, and that nothing was changed."""
        (healing,) = [one for one in await self.heal() if one.violation.kind is kind]
        assert not healing.done
        assert healing.what.endswith(REMEDY[kind])
        assert kind in {one for one, _ in await self.found()}


@pytest.fixture
async def ward(dsn: str) -> AsyncIterator[Ward]:
    async with Services(dsn) as services:
        yield Ward(services)


async def test_what_an_undone_move_left_is_put_right(ward: Ward) -> None:
    """Puts flags, tickets and fences of an undone move right."""
    await at(ward, "undone")
    transfer_id = ward.move.transfer_id
    new_schema = ward.move.new_schema

    await ward.execute("update control.ticket set revoked_at = null, used_at = null")
    assert [one.done for one in await ward.heal()] == [True]
    await ward.execute(
        "create trigger sb_transfer_fence before insert on {old}.quote for each statement "
        "execute function control.refuse_write('transferred'); "
        "alter table {old}.quote disable trigger sb_transfer_fence"
    )
    assert [one.done for one in await ward.heal()] == [True]
    await ward.execute("update {old}.administration set read_only = true")
    await ward.execute("update control.fence set lifted_at = lifted_at")
    assert [one.done for one in await ward.heal()] == [True]
    writable = await ward.services.row(
        f"select array_agg(name) as names from {ward.move.schema}.administration where not read_only"
    )
    assert sorted(writable["names"]) == ["Enyoi BV", "Enyoi Holding"]  # and not the one that was closed before
    await ward.execute("create schema {new}; create table {new}.quote (id int)")
    assert [one.done for one in await ward.heal()] == [True]
    assert await ward.services.pool.fetchval("select to_regnamespace($1)", new_schema) is None
    assert await ward.found() == []

    repairs = await ward.services.pool.fetch(
        "select actor, detail ->> 'violation' as violation from control.transfer_event "
        "where kind = 'repaired' and transfer_id = $1 order by event_id",
        transfer_id,
    )
    assert [row["violation"] for row in repairs] == ["ticket_left", "fence_remains", "flags_left", "orphan_schema"]
    assert {row["actor"] for row in repairs} == {OPERATOR}


async def test_a_freeze_that_an_undo_forgot_is_lifted(ward: Ward) -> None:
    """Lifts the freeze of an undone move."""
    await go(ward, "begin", "freeze", "issue", "begin_undo", "revoke")
    ward.running.ids = set()
    await ward.execute("update control.transfer set state = 'undone' where transfer_id = $1", ward.move.transfer_id)
    await ward.heal()
    assert await ward.services.status_of(ward.move.environment_id) == "active"
    kinds = {kind for kind, _ in await ward.found()}
    assert kinds == {ViolationKind.STORY_INCOMPLETE}  # the end of the undo was never told, and nobody makes it up


async def test_a_reservation_that_an_undo_forgot_is_let_go(ward: Ward) -> None:
    """Frees name and url of an undone move."""
    await go(ward, "begin", "freeze", "issue", "accept", "clone", "begin_undo", "revoke", "unfreeze")
    ward.running.ids = set()
    await ward.execute("update control.transfer set state = 'undone' where transfer_id = $1", ward.move.transfer_id)
    await ward.heal()
    assert {kind for kind, _ in await ward.found()} == {ViolationKind.STORY_INCOMPLETE}
    assert await ward.services.pool.fetchval("select count(*) from control.environment") == 1


async def test_an_old_environment_that_lost_a_fence_is_shut_again(ward: Ward) -> None:
    """Fences an old environment again after its release."""
    await at(ward, "end")
    await ward.execute("create table {old}.extra (id int)")
    await ward.execute("revoke all on schema {old} from sb_app; grant usage on schema {old} to sb_app")
    healings = await ward.heal()
    assert {(one.violation.kind, one.done) for one in healings} == {
        (ViolationKind.WRITABLE_UNASKED, True),
        (ViolationKind.TWO_WRITABLE, False),
    }
    assert await ward.found() == []


async def test_nobody_is_let_into_what_is_being_built(ward: Ward) -> None:
    """Takes the application's way into a building environment away."""
    await at(ward, "clone")
    await ward.execute("alter schema {new} owner to sb_owner; grant usage on schema {new} to sb_app, public")
    outcome = await ward.heal()
    assert (ViolationKind.GRANT_TOO_EARLY, True) in {(one.violation.kind, one.done) for one in outcome}
    assert await ward.found() == []


async def test_what_is_not_provably_ours_is_left_to_a_person(ward: Ward) -> None:
    """Repairs nothing that is not provably this service's."""
    await at(ward, "open")
    await ward.execute("create schema env_0123456789abcdef0123456789abcdef")
    await ward.left_alone(ViolationKind.ORPHAN_SCHEMA)
    await ward.execute("alter table {old}.quote disable trigger sb_transfer_fence")
    await ward.left_alone(ViolationKind.WRITABLE_UNASKED)


async def test_a_status_that_somebody_set_by_hand_is_left_to_a_person(ward: Ward) -> None:
    """Leaves a status that somebody set by hand."""
    await at(ward, "begin")
    await ward.execute("update control.environment set status = 'read_only'")
    await ward.left_alone(ViolationKind.FROZEN_FOR_NOTHING)
    await ward.execute("update control.environment set status = 'building'")
    await ward.left_alone(ViolationKind.RESERVED_FOR_NOTHING)


async def test_a_finding_that_is_out_of_date_harms_nobody(ward: Ward) -> None:
    """Changes nothing when the next move has begun since the look."""
    await at(ward, "accept")
    environment, transfer = f"environment {ward.move.environment_id}", f"transfer {ward.move.transfer_id}"
    stale = [
        (ViolationKind.TICKET_LEFT, transfer),
        (ViolationKind.FROZEN_FOR_NOTHING, environment),
        (ViolationKind.WRITABLE_UNASKED, environment),
        (ViolationKind.FLAGS_LEFT, environment),
        (ViolationKind.GRANT_TOO_EARLY, environment),
        (ViolationKind.RESERVED_FOR_NOTHING, f"environment {ward.move.new_environment_id}"),
        (ViolationKind.ORPHAN_SCHEMA, f"schema {ward.move.schema}"),
        (ViolationKind.SHUT_OUT, f"environment {uuid.uuid4()}"),
        (ViolationKind.FENCE_REMAINS, f"environment {uuid.uuid4()}"),
    ]
    for kind, subject in stale:
        violation = Violation(kind=kind, subject=subject, what="seen long ago", remedy=REMEDY[kind])
        order = Repair(violation=violation, requested_by=OPERATOR, event_key=uuid.uuid4())
        assert not (await ward.repairer.repair(order)).done, kind
    assert await ward.found() == []


async def test_the_standing_of_a_transfer(ward: Ward) -> None:
    """Reads what a recovery needs: who was mailed, which address is open until when."""
    await at(ward, "end")
    await ward.execute("update control.sent_mail set status = 'pending' where kind = 'invitation'")
    standing = await ward.repairer.standing(ReadStanding(transfer_id=ward.move.transfer_id))
    assert standing.state is TransferState.RELEASED
    assert standing.mails_answered == [MailKind.RELEASED]
    assert standing.old_mailbox_address == "enyoi@noord.mailbox.sb.example"
    assert standing.forwards_until is not None
    assert standing.new is not None
    assert standing.new.environment_id == ward.move.new_environment_id
    close = m.CloseMailboxForwarding(
        transfer_id=ward.move.transfer_id, old_mailbox_address=standing.old_mailbox_address
    )
    await ward.execute("update control.mailbox_route set valid_until = now() where valid_until is not null")
    await ward.services.gate.close_forwarding(close)
    assert (await ward.repairer.standing(ReadStanding(transfer_id=ward.move.transfer_id))).forwards_until is None
