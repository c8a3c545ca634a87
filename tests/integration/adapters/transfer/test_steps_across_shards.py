"""A whole move between databases, step by step, with home missing what the cell has committed at every one of them."""

import base64
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import asyncpg
import pytest
from pydantic import SecretStr

from adapters.clone import PostgresCloneEngine
from adapters.crypto.certificate_signer import CertificateSigner
from adapters.inbox.delivering import HeldItemDelivery
from adapters.mail.messages import read_facts
from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.shards import Shards
from adapters.reconcile.inspection import PostgresInspector
from adapters.reconcile.repairs import PostgresRepairer
from adapters.transfer.freeze_release import PostgresEnvironmentAccess
from adapters.transfer.scheduling import PostgresEveningPlanner
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.transfer.uploads import PostgresReservations
from adapters.verify.certification import PostgresCertifier
from adapters.verify.verifier import PostgresVerifier
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.errors import AlreadyInTransfer
from domain.facts import WorkflowFacts
from domain.reconciliation import Inspect, Repair
from domain.violations import Violation, ViolationKind
from domain.vocabulary import HOME, ConsequenceKind, MailKind
from tests.integration.across_shards import WEST
from tests.integration.services import BASE_DOMAIN, NEW_FIRM, OLD_FIRM, WINDOW, Move, Services

SIGNER = CertificateSigner([SecretStr(base64.b64encode(os.urandom(32)).decode())])
_Answer = TypeVar("_Answer")
_MISSING = """
create function public.miss() returns trigger language plpgsql as $$ begin raise exception 'home is gone'; end $$;
create constraint trigger miss after insert on control.transfer_event deferrable initially deferred
    for each row execute function public.miss();
alter table control.transfer_event disable trigger miss;
create constraint trigger miss after update on control.delivery deferrable initially deferred
    for each row execute function public.miss();
alter table control.delivery disable trigger miss"""


class Runs:
    """Knows that every transfer's workflow runs, or that none does."""

    any = True

    async def running(self, workflow_ids: Collection[str]) -> set[str]:
        return set(workflow_ids) if self.any else set()

    async def open(self) -> tuple[WorkflowFacts, ...]:
        return ()

    async def look_at(self, workflow_id: str, run_id: str) -> WorkflowFacts | None:
        raise AssertionError((workflow_id, run_id))

    async def end(self, workflow_id: str, run_id: str, why: str) -> None:
        raise AssertionError((workflow_id, run_id, why))


@dataclass
class Firm:
    """The adapters of a service with two databases, at home on PostgreSQL 18 and in the west on 15."""

    services: Services
    shards: Shards
    runs: Runs

    def __post_init__(self) -> None:
        pool, shards = self.services.pool, self.shards
        self.verifier = PostgresVerifier(pool, parallelism=2, shards=shards)
        self.engine = PostgresCloneEngine(pool, parallelism=2, shards=shards)
        self.certifier = PostgresCertifier(pool, self.verifier, SIGNER, shards=shards)
        self.successor = PostgresTargetSetup(pool, shards=shards)
        self.planner = PostgresEveningPlanner(pool, WINDOW, shards=shards)
        self.services.gate = PostgresEnvironmentAccess(pool, shards=shards)
        self.services.reservations = PostgresReservations(pool, self.services.seal, BASE_DOMAIN, WINDOW, shards=shards)
        inspector = PostgresInspector(pool, self.runs, self.verifier, look_again_after=timedelta(0), shards=shards)
        self.inspect = inspector.inspect
        self.repairer = PostgresRepairer(
            pool,
            gate=self.services.gate,
            reservations=self.services.reservations,
            engine=self.engine,
            workflows=self.runs,
            shards=shards,
        )

    async def wrong(self, *, live: bool = True) -> list[Violation]:
        self.runs.any = live
        return [
            one
            for one in (await self.inspect(Inspect())).violations
            # This test sends no mail and closes no mailbox.
            if one.kind not in (ViolationKind.NOBODY_TOLD, ViolationKind.FORWARDING_UNATTENDED)
        ]

    async def missed(self, step: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Run a step twice: the first time home loses its commit, when the cell's is already there."""
        await self.services.pool.execute("alter table control.transfer_event enable always trigger miss")
        with pytest.raises(asyncpg.RaiseError, match="home is gone"):
            await step()
        assert await self.wrong() == []
        await self.services.pool.execute("alter table control.transfer_event disable trigger miss")
        return await step()

    async def move(self, move: Move, licence: str, cells: tuple[str, str]) -> m.BanksReconnected:
        """Go from the freeze to the release."""
        place = {"source_schema": move.schema, "target_schema": move.new_schema}
        place |= {"source_cell": cells[0], "target_cell": cells[1]}
        one = {"transfer_id": move.transfer_id}
        frozen = await self.missed(lambda: self.services.freeze(move))
        assert (frozen.environment.cell, frozen.administrations) == (cells[0], 3)
        await self.certifier.hash_frozen(m.HashFrozen(**one, schema_name=move.schema, cell=cells[0]), lambda _: None)
        assert await self.deliver(move, f"held {cells[0]}") == "held"
        await self.services.issue(move)
        file = (await self.services.office.download(move.transfer_id))[1]
        made = await self.services.accept(move, file, licence_number=licence, name=f"Naar {cells[1]}")
        assert made.new.cell == cells[1]
        await self.missed(lambda: self.engine.clone(m.CloneAdministrations(**one, **place), lambda _: None))
        assert (await self.verifier.verify(m.VerifyClone(**one, **place), lambda _: None)).differences == []
        banks = await self.missed(lambda: self.successor.reconnect_banks(m.ReconnectBanks(**one)))
        applied = await self.missed(lambda: self.successor.apply_consequences(m.ApplyConsequences(**one)))
        assert {done.kind: done.count for done in applied.consequences}[
            ConsequenceKind.TAX_CONTACT_KINDS_TO_REVIEW
        ] == 3
        before = await self.mailbox(cells[1], move.new_schema)
        compared = await self.successor.compare(m.CompareEnvironments(**one))
        assert (compared.unequal, compared.administrations) == (0, 3)
        await self.missed(lambda: self.services.gate.open_for_inspection(m.OpenForInspection(**one)))
        await self.certifier.certify(m.IssueCertificate(**one, **place), lambda _: None)
        checked = await self.certifier.check(
            m.CheckUnchanged(**one, **place, requested_by="bo", event_key=uuid.uuid4()), lambda _: None
        )
        assert checked.drift == ""
        released = await self.missed(lambda: self.services.gate.release(self.services.release_order(move)))
        assert released.users_invited == 2
        consent = await self.services.row(
            "select * from control.bank_consent where environment_id = $1", move.environment_id
        )
        assert (consent["iban"], consent["belongs_to"]) == ("NL44RABO0123456789", move.new_environment_id)
        assert await self.mailbox(cells[1], move.new_schema) == [*before, f"held {cells[0]}"]
        assert await self.wrong() == []
        async with self.services.pool.acquire() as connection, connection.transaction():
            facts = await read_facts(connection, move.transfer_id, MailKind.INVITATION, shards=self.shards)
        assert len(facts.contents.users) == 2
        return banks

    async def deliver(self, move: Move, mail: str) -> str:
        """Send a mail to the address of the environment that moves."""
        return str(
            await self.services.pool.fetchval(
                "select control.deliver_mail(mailbox_address, $2, convert_to($2, 'UTF8'), now()) "
                "from control.environment where environment_id = $1",
                move.environment_id,
                mail,
            )
        )

    async def mailbox(self, cell: str, schema: str) -> list[str]:
        rows = await self.shards.pool(cell).fetch(f"select raw from {schema}.mailbox_message order by id")
        return [row["raw"].decode() for row in rows]


@pytest.fixture
async def firm(dsn: str, elder: EmbeddedPostgres) -> AsyncIterator[Firm]:
    west = await connect_pool(elder.dsn(), max_size=8, application_name="test")
    async with Services(dsn) as services:
        await services.pool.execute(_MISSING)
        await services.pool.execute("insert into control.cell values ($1, $1)", WEST)
        await services.pool.execute("update control.licence set cell = $1 where licence_number = $2", WEST, NEW_FIRM)
        yield Firm(services, Shards(services.pool, {WEST: west}), Runs())
    await _clear(west)
    await west.close()


async def _clear(west: Pool) -> None:
    """Leave nothing of a test in the database that the tests share."""
    for (schema,) in await west.fetch("select nspname from pg_namespace where nspname like 'env\\_%'"):
        await west.execute(f"drop schema {schema} cascade")
    await west.execute("truncate control.guest, control.transfer, control.drained_item cascade")


async def writable(pool: Pool, schema: str) -> bool:
    """Tell whether the application can write and draw numbers."""
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("set local role sb_app")
            await connection.execute(f"insert into {schema}.app_connection (name, status) values ('x', 'active')")
    except (asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError):
        return False
    await pool.execute(f"delete from {schema}.app_connection where name = 'x'")
    return True


async def test_a_move_there_and_back_whatever_home_misses(firm: Firm) -> None:
    """Does each step once in two databases, whichever commit is lost."""
    there = await firm.services.move()
    await firm.move(there, NEW_FIRM, (HOME, WEST))
    west = firm.shards.pool(WEST)
    assert not await writable(firm.services.pool, there.schema)
    assert await writable(west, there.new_schema)
    await firm.services.pool.execute("update control.mailbox_route set valid_until = null where valid_until is null")
    back = Move(there.new_environment_id, uuid.uuid4(), uuid.uuid4())
    # Home takes in the mail of an environment elsewhere, and misses that it was delivered just before the next move.
    delivery = HeldItemDelivery(firm.shards)
    assert [await firm.deliver(back, "far"), await firm.deliver(back, "far")] == ["held", "duplicate"]
    assert (await delivery.deliver()).mails == 1
    assert await firm.deliver(back, "missed") == "held"
    await firm.services.pool.execute("alter table control.delivery enable always trigger miss")
    with pytest.raises(asyncpg.RaiseError, match="home is gone"):
        await delivery.deliver()
    await firm.services.pool.execute("alter table control.delivery disable trigger miss")
    assert await firm.mailbox(WEST, back.schema) == ["held home", "far", "missed"]
    banks = await firm.move(back, OLD_FIRM, (WEST, HOME))
    assert await firm.services.pool.fetchval("select count(*) from control.held_item") == 0
    assert [(bank.bank, bank.old, bank.new) for bank in banks.banks] == [
        ("rabobank", "active", "active"),
        ("knab", "needs_reactivation", "needs_reactivation"),
    ]
    assert not await writable(west, back.schema)
    assert await writable(firm.services.pool, back.new_schema)


async def test_an_undo_in_a_cell_gives_back_what_was_there(firm: Firm) -> None:
    """Gives flags and rights in another database back as they were."""
    there = await firm.services.move()
    await firm.move(there, NEW_FIRM, (HOME, WEST))
    west = firm.shards.pool(WEST)
    back = Move(there.new_environment_id, uuid.uuid4(), uuid.uuid4())
    await firm.services.pool.execute("alter table control.transfer_event enable always trigger miss")
    with pytest.raises(asyncpg.RaiseError):
        await firm.services.freeze(back)
    await firm.services.pool.execute("alter table control.transfer_event disable trigger miss")
    assert not await writable(west, back.schema)
    with pytest.raises(AlreadyInTransfer):
        await firm.services.freeze(Move(back.environment_id, uuid.uuid4(), uuid.uuid4()))
    # The freeze that home never heard of: its workflow ended, and nobody is at work on it any more.
    (stray,) = await firm.wrong(live=False)
    assert stray.kind is ViolationKind.ACTIVE_BUT_FENCED
    healed = await firm.repairer.repair(Repair(violation=stray, requested_by="night", event_key=uuid.uuid4()))
    assert healed.done, healed.what
    assert await writable(west, back.schema)
    assert await firm.wrong(live=False) == []
    again = Move(back.environment_id, uuid.uuid4(), uuid.uuid4())
    await firm.missed(lambda: firm.services.freeze(again))
    await firm.services.begin_undo(again)
    assert await firm.wrong() == []
    await firm.missed(lambda: firm.services.unfreeze(again))
    assert await writable(west, back.schema)
    assert await west.fetchval(f"select count(*) from {back.schema}.administration where read_only") == 1
    await firm.services.log.finish_undo(m.FinishUndo(transfer_id=again.transfer_id))
    assert await firm.wrong(live=False) == []


async def test_an_evening_is_put_off_and_an_undo_follows(firm: Firm) -> None:
    """Leaves nothing in another database after a postponement and an undo."""
    move = await firm.services.move()
    place = {"source_schema": move.schema, "target_schema": move.new_schema, "target_cell": WEST}
    one = {"transfer_id": move.transfer_id}
    made = await firm.services.accept(move, await firm.services.ticket(move))
    await firm.engine.clone(m.CloneAdministrations(**one, **place), lambda _: None)
    await firm.successor.reconnect_banks(m.ReconnectBanks(**one))
    order = m.PostponeStart(**one, evening=1, decided_at=made.closes_at, why="too short")
    planned = await firm.missed(lambda: firm.planner.postpone(order))
    west = firm.shards.pool(WEST)
    exists = "select exists (select from pg_namespace where nspname = $1)"
    assert (planned.evening, await west.fetchval(exists, move.new_schema)) == (2, False)
    await firm.engine.clone(m.CloneAdministrations(**one, **place, evening=2), lambda _: None)
    banks = await firm.successor.reconnect_banks(m.ReconnectBanks(**one, evening=2))
    assert [bank.old for bank in banks.banks] == ["active", "active"]
    await firm.services.begin_undo(move)
    await firm.missed(lambda: firm.engine.drop(m.DropClone(**one)))
    await firm.services.undo_steps(move)
    await firm.services.log.finish_undo(m.FinishUndo(**one))
    assert await west.fetchval(exists, move.new_schema) is False
    assert await firm.wrong(live=False) == []
    assert await writable(firm.services.pool, move.schema)
