"""From the freeze to the release on real tables: what changed behind everybody's back is named, and nothing else is."""

import base64
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.clone import PostgresCloneEngine
from adapters.crypto.certificate_signer import CertificateSigner
from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.shards import Shards
from adapters.transfer.event_log import PostgresTransferEventLog
from adapters.transfer.queries import PostgresTransferQueries
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.verify.certification import PostgresCertifier
from adapters.verify.verifier import PostgresVerifier
from devstack.postgres import EmbeddedPostgres
from domain import messages as m
from domain.certificate import Certificate
from domain.errors import CertificateUnknown, CloneDiffers, Superseded
from domain.messages import CloneProgress
from starter.client.comparison import Comparer
from tests.integration.services import Move, Services

SIGNER = CertificateSigner([SecretStr(base64.b64encode(os.urandom(32)).decode())])


def ignore(_: CloneProgress) -> None:
    """Take a report that nobody reads."""


@dataclass(frozen=True)
class Bench:
    """A move on a database of its own, and who proves it."""

    services: Services
    move: Move
    certifier: PostgresCertifier
    verifier: PostgresVerifier
    superuser: Pool

    async def hash_frozen(self) -> m.FrozenHashed:
        order = m.HashFrozen(transfer_id=self.move.transfer_id, schema_name=self.move.schema)
        return await self.certifier.hash_frozen(order, ignore)

    async def verify(self) -> m.Verification:
        sides = {"source_schema": self.move.schema, "target_schema": self.move.new_schema}
        return await self.verifier.verify(m.VerifyClone(transfer_id=self.move.transfer_id, **sides), ignore)

    async def clone(self) -> None:
        order = m.CloneAdministrations(
            transfer_id=self.move.transfer_id, source_schema=self.move.schema, target_schema=self.move.new_schema
        )
        await PostgresCloneEngine(self.services.pool, parallelism=2).clone(order, ignore)

    async def change_on_purpose(self) -> None:
        successor = PostgresTargetSetup(self.services.pool)
        await successor.reconnect_banks(m.ReconnectBanks(transfer_id=self.move.transfer_id))
        await successor.apply_consequences(m.ApplyConsequences(transfer_id=self.move.transfer_id))
        await successor.compare(m.CompareEnvironments(transfer_id=self.move.transfer_id))

    async def open(self) -> None:
        await self.services.gate.open_for_inspection(m.OpenForInspection(transfer_id=self.move.transfer_id))

    async def certify(self) -> m.CertificateIssued:
        order = m.IssueCertificate(
            transfer_id=self.move.transfer_id, source_schema=self.move.schema, target_schema=self.move.new_schema
        )
        return await self.certifier.certify(order, ignore)

    async def check(self) -> m.UnchangedChecked:
        order = m.CheckUnchanged(
            transfer_id=self.move.transfer_id,
            source_schema=self.move.schema,
            target_schema=self.move.new_schema,
            requested_by="bo@zuid.example",
            event_key=uuid.uuid4(),
        )
        return await self.certifier.check(order, ignore)

    async def to_inspection(self) -> None:
        await self.clone()
        assert (await self.verify()).equal
        await self.change_on_purpose()
        await self.open()
        await self.certify()

    async def behind_our_back(self, statement: str) -> None:
        """Do something as a superuser who has switched the fence off."""
        schema = self.move.new_schema if "NEW." in statement else self.move.schema
        async with self.superuser.acquire() as connection, connection.transaction():
            for (table,) in await connection.fetch(
                "select c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid "
                "where t.tgname = 'sb_transfer_fence' and c.relnamespace = $1::text::regnamespace",
                schema,
            ):
                await connection.execute(f"alter table {schema}.{table} disable trigger sb_transfer_fence")
            await connection.execute(statement.replace("OLD.", f"{schema}.").replace("NEW.", f"{schema}."))
            for (table,) in await connection.fetch(
                "select c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid "
                "where t.tgname = 'sb_transfer_fence' and c.relnamespace = $1::text::regnamespace",
                schema,
            ):
                await connection.execute(f"alter table {schema}.{table} enable always trigger sb_transfer_fence")

    async def certificate(self) -> tuple[bytes, Certificate]:
        file = await PostgresTransferQueries(self.services.pool).certificate(self.move.transfer_id)
        return file, SIGNER.reader.read(file)


@asynccontextmanager
async def bench_of(postgres: EmbeddedPostgres, dsn: str, database_name: str, *also: str) -> AsyncIterator[Bench]:
    """Freeze and hash an environment in which something more was run, and take its upload."""
    superuser = await connect_pool(postgres.dsn("postgres", database_name), application_name="somebody at night")
    async with Services(dsn) as services:
        move = await services.move()
        async with services.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"set local search_path to {move.schema}, pg_catalog")
            for script in also:
                await connection.execute(script)
        verifier = PostgresVerifier(services.pool, parallelism=2)
        made = Bench(services, move, PostgresCertifier(services.pool, verifier, SIGNER), verifier, superuser)
        await services.accept(move, await services.ticket(move))
        await made.hash_frozen()
        yield made
    await superuser.close()


@pytest.fixture
async def bench(postgres: EmbeddedPostgres, dsn: str, database_name: str) -> AsyncIterator[Bench]:
    """A move whose environment is frozen and hashed, and whose upload is accepted."""
    async with bench_of(postgres, dsn, database_name) as made:
        yield made


async def test_a_move_in_which_nothing_happens_passes_and_is_certified(bench: Bench) -> None:
    """Certifies an unchanged move with its figures."""
    await bench.to_inspection()
    checked = await bench.check()
    assert (checked.old_changes, checked.new_changes, checked.drift) == ([], [], "")
    _, certificate = await bench.certificate()
    assert (certificate.old.environment_id, certificate.new.environment_id) == (
        bench.move.environment_id,
        bench.move.new_environment_id,
    )
    changed = {table.table for table in certificate.tables if table.opened}
    assert changed == {"administration", "bank_connection", "quote", "app_connection", "app_user"}
    rows = {table.table: table.rows for table in certificate.tables}
    assert (rows["administration"], rows["app_user"], rows["journal_line"]) == (3, 2, 0)
    assert certificate.totals.rows == sum(rows.values())
    moments = certificate.moments
    assert moments.frozen_at < moments.hashed_when_frozen_at < moments.verified_at < moments.compared_at
    assert moments.compared_at < moments.opened_at < moments.hashed_when_opened_at <= certificate.issued_at
    assert certificate.comparison.unequal == 0
    kinds = await bench.services.kinds(bench.move)
    assert [kind for kind in kinds if kind in ("environment_hashed", "certificate_issued", "release_checked")] == [
        "environment_hashed",
        "certificate_issued",
        "release_checked",
    ]


async def test_the_points_that_people_ticked_stand_in_the_certificate(bench: Bench) -> None:
    """Signs who had ticked what at the last look before the release: not what was cleared, nor what comes later."""
    await bench.to_inspection()
    log = PostgresTransferEventLog(bench.services.pool)
    for kind, item, actor in (
        ("check_ticked", "trial_balance", "An (10002)"),
        ("check_ticked", "bank_connections", "Bo (10002)"),
        ("check_ticked", "bank_transactions", "Bo (10002)"),
        ("check_cleared", "bank_transactions", "Bo (10002)"),
        ("check_ticked", "becon_number", "Bo (10002)"),
    ):
        tick = m.RecordEvent(
            event_key=uuid.uuid4(), transfer_id=bench.move.transfer_id, actor=actor, kind=kind, item=item
        )
        await log.record(tick)
    before, certificate = await bench.certificate()
    assert certificate.checklist == []
    await bench.check()
    file, certificate = await bench.certificate()
    assert [(point.item, point.ticked_by) for point in certificate.checklist] == [
        ("bank_connections", "Bo (10002)"),
        ("trial_balance", "An (10002)"),
    ]
    assert certificate.model_copy(update={"checklist": []}) == SIGNER.reader.read(before)
    await bench.check()
    assert (await bench.certificate())[0] == file


CELL_OLD = "update OLD.administration set name = 'Enyoi B.V.' where name = 'Enyoi BV'"
BACK_OLD = "update OLD.administration set name = 'Enyoi BV' where name = 'Enyoi B.V.'"
CELL_NEW = "update NEW.quote set amount = 100.01"
BACK_NEW = "update NEW.quote set amount = 100.00"


HARMS = (
    (CELL_OLD, BACK_OLD, "old", "administration"),
    (CELL_NEW, BACK_NEW, "new", "quote"),
    (
        "insert into NEW.app_connection (id, name, status) overriding system value values (9, 'Extra', 'active')",
        "delete from NEW.app_connection where id = 9",
        "new",
        "app_connection",
    ),
    (
        "alter table OLD.relation alter column name set default 'x'",
        "alter table OLD.relation alter column name drop default",
        "old",
        "relation",
    ),
    (
        "create table NEW.shadow (id integer); grant select on NEW.shadow to sb_owner",
        "drop table NEW.shadow",
        "new",
        "shadow",
    ),
    (
        "select setval(pg_get_serial_sequence('OLD.app_user', 'id'), 77)",
        "select setval(pg_get_serial_sequence('OLD.app_user', 'id'), 2)",
        "old",
        "sequence app_user_id_seq",
    ),
)


async def test_drift_is_named_and_its_repair_is_seen(bench: Bench) -> None:
    """Names a change before the release, and passes once it is repaired."""
    await bench.to_inspection()
    for harm, repair, side, table in HARMS:
        await bench.behind_our_back(harm)
        found = await bench.check()
        changes = {"old": found.old_changes, "new": found.new_changes}
        assert [change.table for change in changes.pop(side)] == [table], harm
        assert list(changes.values()) == [[]]
        assert f"{table} in the {side} environment: " in found.drift
        story = await bench.services.row(
            "select reason, actor from control.transfer_event where kind = 'release_checked' and transfer_id = $1 "
            "order by event_id desc limit 1",
            bench.move.transfer_id,
        )
        assert (story["reason"], story["actor"]) == (found.drift, "bo@zuid.example")
        await bench.behind_our_back(repair)
        assert (await bench.check()).drift == "", repair


async def test_what_got_past_the_fence_before_the_clone_is_found_by_it(bench: Bench) -> None:
    """Finds a change that stands on both sides by the hash of the freeze."""
    await bench.behind_our_back(CELL_OLD)
    await bench.clone()
    found = await bench.verify()
    assert [difference.table for difference in found.differences] == ["administration"]
    assert "changed since the freeze" in found.differences[0].problem


@pytest.mark.parametrize(
    ("harm", "table"),
    [
        ("update NEW.relation set name = 'Slager'", "relation"),
        # In a table that a move changes, but in a column that it does not.
        ("update NEW.quote set amount = 99", "quote"),
    ],
)
async def test_more_than_what_is_changed_on_purpose_is_never_opened(bench: Bench, harm: str, table: str) -> None:
    """Refuses to certify more changes than a move makes."""
    await bench.clone()
    assert (await bench.verify()).equal
    await bench.change_on_purpose()
    await bench.superuser.execute(harm.replace("NEW.", f"{bench.move.new_schema}."))
    await bench.open()
    with pytest.raises(CloneDiffers, match=f"{table}: the content of its rows has changed"):
        await bench.certify()
    with pytest.raises(CertificateUnknown):
        await bench.certificate()


async def test_an_attempt_that_comes_again_reads_nothing_twice(bench: Bench) -> None:
    """Returns the kept certificate without reading again."""
    before = await bench.hash_frozen()
    await bench.to_inspection()
    assert await bench.hash_frozen() == before
    issued, file = await bench.certify(), await bench.certificate()
    assert await bench.certify() == issued
    assert await bench.certificate() == file
    kinds = await bench.services.kinds(bench.move)
    assert (kinds.count("environment_hashed"), kinds.count("certificate_issued")) == (1, 1)


async def test_nothing_is_proved_of_a_transfer_that_is_undone(bench: Bench) -> None:
    """Writes nothing once the undo has begun."""
    await bench.to_inspection()
    await bench.services.begin_undo(bench.move)
    for look in (bench.hash_frozen, bench.certify, bench.check):
        with pytest.raises(Superseded):
            await look()
    with pytest.raises(CertificateUnknown):
        await bench.certificate()


async def test_a_certificate_is_held_against_the_databases(bench: Bench) -> None:
    """Holds a certificate against both environments at any time."""
    await bench.to_inspection()
    _, certificate = await bench.certificate()
    register = PostgresTransferQueries(bench.services.pool)
    comparer = Comparer(Shards(bench.services.pool), bench.verifier)

    async def held() -> list[Any]:
        old, new = [
            await register.find_environment(str(side.environment_id)) for side in (certificate.old, certificate.new)
        ]
        return (await comparer.hold_against(certificate, old, new)).sides

    assert [(side.checked, side.changes) for side in await held()] == [(True, []), (True, [])]
    await bench.behind_our_back(CELL_NEW)
    old, new = await held()
    assert (old.changes, [change.table for change in new.changes]) == ([], ["quote"])
    await bench.behind_our_back(BACK_NEW)
    await bench.services.gate.release(bench.services.release_order(bench.move))
    old, new = await held()
    assert (old.checked, old.changes, new.checked) == (True, [], False)
    await bench.behind_our_back(CELL_OLD)
    old, _ = await held()
    assert [change.table for change in old.changes] == ["administration"]


async def test_a_fingerprint_does_not_depend_on_ids_of_types_or_the_order_of_columns(bench: Bench) -> None:
    """Hashes equal content equally, whatever ids and order of columns."""
    pool = bench.superuser
    for schema, columns in (("one", "feeling, home, feelings"), ("two", "feelings, home, feeling")):
        types = {"feeling": "mood", "home": "address", "feelings": "mood[]"}
        listed = ", ".join(f"{name} {schema}_types.{types[name]}" for name in columns.split(", "))
        await pool.execute(
            f"create schema {schema}; create schema {schema}_types; grant usage on schema {schema}, {schema}_types to "
            f"sb_owner; create type {schema}_types.mood as enum ('glad', 'sad'); "
            f"create type {schema}_types.address as (street text, mood {schema}_types.mood); "
            f"create table {schema}.thing ({listed}); grant select on {schema}.thing to sb_owner; "
            f"insert into {schema}.thing (feeling, home, feelings) values ('sad', ('a', 'glad'), '{{glad,NULL}}')"
        )
    one, two = [await bench.verifier.hashes(schema) for schema in ("one", "two")]
    assert one.tables[0].content == two.tables[0].content
    await pool.execute("update two.thing set home = ('a', 'sad')")
    assert (await bench.verifier.hashes("two")).tables[0].content != one.tables[0].content
