"""What the roles of the API and of the codec server may do in the database, and what they may not."""

import uuid

import asyncpg
import pytest

from devstack.postgres import EmbeddedPostgres
from domain.authority import OPENED
from domain.vocabulary import TransferState
from tests.integration.services import Services

READ_BY_API = {
    *("migration", "licence", "environment", "transfer", "transfer_record", "transfer_event", "transfer_sight"),
    *("ticket", "sent_mail", "certificate", "compared_rows", "auditfile", "payload_key", "api_request", "api_attempt"),
    *("published_event", "webhook", "webhook_delivery", "portfolio", "portfolio_item"),
    *("retirement", "bank_consent", "cancelled_licence"),
}
ENTRANCE = {"control.deliver_mail", "control.deliver_scan", "control.portal_opens"}
# It moves lines of the log on to those who read the feed, and registers what can be moved.
REGISTERS = {"control.register_licence", "control.register_environment", "control.cancel_licence"}
HELD = {"control.held_items", "control.all_held_items"}
OPEN = {"sb_api": {*ENTRANCE, *REGISTERS, *HELD, "control.publish_events"}, "sb_app": ENTRANCE}
ADDED_TO = {"history_reading", "portfolio", "portfolio_item"}
WRITTEN = {
    "sb_api": {"api_request", "api_attempt", "webhook", "portfolio", "portfolio_item"},
    "sb_codec": {"history_reading"},
}
REFUSED_TO_API = (
    "update control.transfer set state = 'released'",
    "update control.transfer set released_by = 'me'",
    "update control.ticket set used_at = now()",
    "update control.ticket set revoked_at = null",
    "update control.ticket set expires_at = now() + interval '1 year'",
    "update control.ticket set for_licence = '10002'",
    "insert into control.ticket select * from control.ticket",
    "delete from control.transfer_event",
    "update control.environment set status = 'active'",
    "update control.licence set contact_email = 'me@evil.example'",
    "insert into control.payload_key (key_id) values ('0123456789abcdef')",
    "select control.lift_fence('env', '{}')",
    "create table control.mine (a int)",
    "insert into control.published_event (event_id) values (1)",
    "delete from control.event_outbox",
    "delete from control.webhook_delivery",
    "set role sb_owner",
    "set role sb_app",
    "set session_replication_role = replica",
)


async def connected(postgres: EmbeddedPostgres, database: str, role: str) -> asyncpg.Connection:
    return await asyncpg.connect(postgres.dsn(role, database))


@pytest.mark.parametrize("role", ["sb_api", "sb_codec"])
async def test_each_table_is_open_to_those_who_need_it(
    postgres: EmbeddedPostgres, database_name: str, role: str
) -> None:
    """A table that somebody adds is closed to both until a grant says otherwise."""
    connection = await connected(postgres, database_name, role)
    rows = await connection.fetch(
        "select c.relname, has_table_privilege(c.oid, 'select') as reads, "
        "has_table_privilege(c.oid, 'insert') as inserts, "
        "has_table_privilege(c.oid, 'update, delete, truncate') as more "
        "from pg_class c where c.relnamespace = 'control'::regnamespace and c.relkind in ('r', 'v', 'p', 'm')"
    )
    await connection.close()
    assert {row["relname"] for row in rows if row["reads"]} == (READ_BY_API if role == "sb_api" else {"payload_key"})
    assert {row["relname"] for row in rows if row["inserts"]} == WRITTEN[role]
    assert {row["relname"] for row in rows if row["more"]} == WRITTEN[role] - ADDED_TO


@pytest.mark.parametrize("role", ["sb_api", "sb_codec", "sb_app"])
async def test_no_function_of_ours_is_open_to_them(postgres: EmbeddedPostgres, database_name: str, role: str) -> None:
    """PostgreSQL lets everybody run a new function: that is taken back of all in `control`, but for the entrance."""
    connection = await connected(postgres, database_name, role)
    found = await connection.fetch(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'control'::regnamespace "
        "and has_function_privilege(oid, 'execute')"
    )
    await connection.close()
    assert {row[0].partition("(")[0] for row in found} == OPEN.get(role, set())


@pytest.mark.parametrize("role", ["sb_api", "sb_codec"])
async def test_the_books_are_closed_to_both(
    postgres: EmbeddedPostgres, database_name: str, services: Services, role: str
) -> None:
    """Who takes over the API, or the codec server, reads no customer's books by it."""
    environment_id = await services.environment()
    schema = await services.pool.fetchval(
        "select schema_name from control.environment where environment_id = $1", environment_id
    )
    connection = await connected(postgres, database_name, role)
    for table in ("administration", "journal_line", "app_user", "mailbox_message"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"select from {schema}.{table}")
    await connection.close()


@pytest.mark.parametrize("statement", REFUSED_TO_API)
async def test_the_api_cannot_do_a_workers_work(postgres: EmbeddedPostgres, database_name: str, statement: str) -> None:
    """Who takes over the API releases nothing, opens no fence, makes no ticket good and no story true."""
    connection = await connected(postgres, database_name, "sb_api")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("kind", ["ticket_issued", "environment_released", "certificate_issued", "supportive", ""])
async def test_the_api_tells_only_what_people_do_through_it(
    postgres: EmbeddedPostgres, database_name: str, kind: str
) -> None:
    """Status is read from the story: an event that a step writes must come from a step."""
    connection = await connected(postgres, database_name, "sb_api")
    write = "insert into control.transfer_event (transfer_id, actor, kind) values ($1, 'somebody', $2)"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(write, uuid.uuid4(), kind)
    for allowed in ("support_cancel", "ticket_downloaded"):
        await connection.execute(write, uuid.uuid4(), allowed)
    assert await connection.fetchval("select count(*) from control.transfer_event") == 2
    await connection.close()


@pytest.mark.parametrize("state", TransferState)
async def test_the_api_reads_books_only_while_they_are_open(
    postgres: EmbeddedPostgres, database_name: str, services: Services, state: TransferState
) -> None:
    """Shows who has taken the API over no row of a comparison, and no auditfile, in a state in which nobody may."""
    move = await services.move()
    await services.pool.execute(
        "insert into control.transfer (transfer_id, workflow_id, environment_id, state, undo_reason) "
        "values ($1, 'transfer-x', $2, $3, case when $3 in ('undoing', 'undone') then 'failed' end)",
        *(move.transfer_id, move.environment_id, state.value),
    )
    await services.pool.execute(
        "insert into control.compared_rows values ($1, $1, 'trial_balance', true, 0, '[]')", move.transfer_id
    )
    await services.pool.execute("insert into control.auditfile values ($1, true, $1, 2026, 0, '')", move.transfer_id)
    connection = await connected(postgres, database_name, "sb_api")
    found = [
        await connection.fetchval(f"select count(*) from control.{name}") for name in ("compared_rows", "auditfile")
    ]
    await connection.close()
    assert found == [int(state in OPENED)] * 2
    assert await services.pool.fetchval("select count(*) from control.compared_rows") == 1
