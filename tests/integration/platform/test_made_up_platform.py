"""A platform whose tables differ: what docs/integration.md says is run, and a customer moves on it."""

import re

import asyncpg
import pytest

from adapters.webhooks.events import PostgresEventFeed
from domain.errors import NameTaken
from tests.integration.services import NEW_FIRM, Services
from tests.tools.paths import DOCS


@pytest.fixture
async def platform(dsn: str) -> str:
    """The address of a database in which the three shared tables are views over the platform's own."""
    [script] = re.findall(r"^```sql\n(.*?)^```", (DOCS / "integration.md").read_text(), re.DOTALL | re.MULTILINE)
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
