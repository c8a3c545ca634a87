"""A platform whose tables differ: what docs/integration.md says is run, and a customer moves on it."""

import json
import re
from uuid import uuid4

import asyncpg
import pytest

from adapters.transfer.registration import PostgresRegistration, RegisteredLicence
from adapters.webhooks.events import PostgresEventFeed
from devstack.postgres import EmbeddedPostgres
from domain.errors import BooksMissing, NameTaken
from domain.naming import schema_name_of
from domain.vocabulary import Language, LicenceKind
from tests.integration.adapters.verify.test_certification import bench_of
from tests.integration.services import BASE_DOMAIN, NEW_FIRM, Services
from tests.tools.paths import DOCS

SCRIPTS = re.findall(r"^```sql\n(.*?)^```", (DOCS / "integration.md").read_text(), re.DOTALL | re.MULTILINE)
# Our tables become the platform's: other names, and quotes with words of their own.
THEIRS = """
alter table administration rename to boekhouding;
alter table boekhouding rename column name to naam;
alter table boekhouding rename column read_only to dicht;
alter table bank_connection rename to koppeling;
alter table koppeling rename column status to toestand;
alter table koppeling rename column consent_reference to toestemming;
alter table quote rename to offerte;
alter table offerte rename column status to stand;
alter table offerte rename column portal_token to sleutel;
alter table offerte drop constraint quote_status_check;
update offerte set stand = 'lopend', sleutel = 'geheim';
"""


@pytest.fixture
async def platform(dsn: str) -> str:
    """The address of a database in which the three shared tables are views over the platform's own."""
    script = SCRIPTS[0]
    connection = await asyncpg.connect(dsn)
    await connection.execute(script)
    await connection.close()
    return dsn


async def test_a_customer_moves_over_views(platform: str) -> None:
    """A platform would have to copy its customers into tables of ours, and keep both the same."""
    async with Services(platform) as services:
        move = await services.move()
        await services.inspectable(move)
        released = await services.gate.release(services.release_order(move))
        rows = await services.pool.fetch(
            "select d.label, d.phase, a.code from platform.dossier d join platform.account a on a.id = d.account_id "
            "order by d.made_at"
        )
        routes = await services.pool.fetch("select address, dossier_id, until from platform.post_route order by until")
        page = await PostgresEventFeed(services.pool).page(after=0, limit=50, licence=NEW_FIRM)
    assert [tuple(row) for row in rows] == [("Enyoi", "locked", "10001"), ("Enyoi Nieuw", "live", NEW_FIRM)]
    assert {row["address"] for row in routes} == {released.old_mailbox_address, released.new_mailbox_address}
    assert {row["dossier_id"] for row in routes} == {move.new_environment_id}
    assert [event.type.split(".")[3] for event in page.events] == ["scheduled", "released"]


async def test_a_customer_is_registered_over_views(platform: str) -> None:
    """The API would be for those only who have no tables of their own."""
    async with Services(platform) as services:
        registration = PostgresRegistration(services.pool, BASE_DOMAIN)
        licence = RegisteredLicence(
            licence_number="30001",
            holder_name="Kantoor Oost",
            kind=LicenceKind.FIRM,
            host="oost",
            contact_email="info@oost.example",
            language=Language.DUTCH,
        )
        made = [await registration.licence(licence) for _ in range(2)]
        await registration.licence(licence.model_copy(update={"holder_name": "Kantoor Noordoost"}))
        which = uuid4()
        words = {"licence": "30001", "name": "Bol"}
        with pytest.raises(BooksMissing):
            await registration.environment(which, **words)
        await services.pool.execute(f"create schema {schema_name_of(which)}")
        for name in ("Bol", "Bol", "Bol & zn"):
            made_there, _ = await registration.environment(which, **{**words, "name": name})
        [row] = await services.pool.fetch(
            "select d.label, d.phase, d.post, a.title, r.dossier_id from platform.dossier d join platform.account a "
            "on a.id = d.account_id join platform.post_route r on r.address = d.post"
        )
    assert [new for _, new in made] == [True, False]
    assert tuple(row) == ("Bol & zn", "live", made_there.mailbox_address, "Kantoor Noordoost", which)


async def test_what_is_undone_leaves_nothing_on_the_platform(platform: str) -> None:
    """A name would stay taken, and a customer locked, by a move that never came about."""
    async with Services(platform) as services:
        move = await services.move()
        await services.accept(move, await services.ticket(move))
        await services.begin_undo(move)
        await services.undo_steps(move)
        rows = await services.pool.fetch("select label, phase from platform.dossier")
    assert [tuple(row) for row in rows] == [("Enyoi", "live")]


async def test_a_name_that_is_taken_is_refused_by_the_platforms_own_index(platform: str) -> None:
    """Two customers would have one name, or the refusal would say nothing that a person understands."""
    async with Services(platform) as services:
        await services.environment("Enyoi Nieuw", NEW_FIRM)
        move = await services.move()
        with pytest.raises(NameTaken):
            await services.accept(move, await services.ticket(move), url_part="anders")


async def test_an_environments_own_tables_stand_behind_views(
    postgres: EmbeddedPostgres, dsn: str, database_name: str
) -> None:
    """A product whose books are called otherwise could not be moved, or its consequences would be written nowhere."""
    async with bench_of(postgres, dsn, database_name, THEIRS, SCRIPTS[1]) as bench:
        await bench.to_inspection()
        services, new = bench.services, bench.move.new_schema
        told = await services.pool.fetchval(
            "select detail from control.transfer_event where transfer_id = $1 and kind = 'quotes_expired'",
            bench.move.transfer_id,
        )
        assert json.loads(told)["count"] == 1
        assert [tuple(row) for row in await services.pool.fetch(f"select stand, sleutel from {new}.offerte")] == [
            ("verlopen", None)
        ]
        banks = await services.pool.fetch(f"select bank, toestand from {new}.koppeling order by bank")
        assert [tuple(row) for row in banks] == [("knab", "needs_reactivation"), ("rabobank", "active")]
        _, certificate = await bench.certificate()
        assert "offerte" in {one.table for one in certificate.changed_on_purpose}
        assert (await bench.check()).drift == ""
        route = await services.pool.fetchval(
            "select mailbox_address from control.environment where environment_id = $1", bench.move.environment_id
        )
        deliver = "select control.deliver_mail($1, '<1>', 'x', now())"
        assert await services.pool.fetchval(deliver, route) == "held"
        await services.gate.release(services.release_order(bench.move))
        rows = await services.pool.fetch(
            f"select naam, dicht, becon_number_needs_review from {new}.boekhouding order by naam"
        )
        assert [tuple(row) for row in rows] == [
            ("Afgesloten BV", True, True),
            ("Enyoi BV", False, True),
            ("Enyoi Holding", False, True),
        ]
        assert await services.pool.fetchval(f"select count(*) from {new}.mailbox_message") == 1
