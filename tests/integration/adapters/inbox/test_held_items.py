"""Mail and scans that come in while an environment moves: where each goes, and that each goes there once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from adapters.inbox import held_items
from adapters.inbox.delivering import HeldItemDelivery
from adapters.postgres.migrations import migrate_environment
from adapters.postgres.shards import Shards
from adapters.transfer.queries import PostgresTransferQueries
from domain import messages as m
from tests.integration.services import Move, Services

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
OLD_ADDRESS = "enyoi@noord.mailbox.sb.example"
NEW_ADDRESS = "enyoi-nieuw@zuid.mailbox.sb.example"
MAIL = (
    b"From: =?utf-8?q?Caf=C3=A9_Zuid?= <info@cafe.example>\r\nSubject: Factuur =?ISO-8859-1?B?6Q==?=\r\n"
    b" =?utf-8?Q?_12?=\r\nMessage-ID: <%s>\r\n\r\nSubject: not this one\r\n"
)


@pytest.fixture
async def app(app_dsn: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """The bookkeeping application's connections."""
    async with asyncpg.create_pool(app_dsn, min_size=0, max_size=8) as pool:
        yield pool


async def mail(app: Any, key: str, address: str = OLD_ADDRESS, raw: bytes | None = None) -> str:
    return str(
        await app.fetchval(
            "select control.deliver_mail($1, $2, $3, $4)", address, key, MAIL % key.encode() if raw is None else raw, AT
        )
    )


async def scan(app: Any, key: str, address: str = OLD_ADDRESS, content: bytes = b"%PDF-1.7 x") -> str:
    return str(
        await app.fetchval("select control.deliver_scan($1, $2, $3, $4, $5)", address, key, "b.pdf", content, AT)
    )


async def raws(services: Services, schema: str, table: str = "mailbox_message") -> list[bytes]:
    return [row[0] for row in await services.pool.fetch(f"select raw from {schema}.{table} order by id")]


async def waiting(services: Services) -> int:
    return int(await services.pool.fetchval("select count(*) from control.held_item"))


async def test_what_waits_is_shown_in_its_order_and_never_its_contents(services: Services, app: Any) -> None:
    """Tells the sender and the subject in words, a scan's name, and how many there are in all, part by part."""
    move = await services.move()
    await services.ticket(move)
    assert [await mail(app, "1"), await scan(app, "2"), await mail(app, "3")] == ["held"] * 3
    queries = PostgresTransferQueries(services.pool)
    first, second = await queries.held_items(move.transfer_id, after=0, limit=2)
    assert (first.sender, first.subject) == ("Café Zuid <info@cafe.example>", "Factuur é 12")
    assert (first.kind, first.address, first.received_at) == ("mail", OLD_ADDRESS, AT)
    assert (second.kind, second.sender, second.subject, second.bytes) == ("scan", "", "b.pdf", 10)
    assert {(one.mails, one.scans) for one in (first, second)} == {(2, 1)}
    (third,) = await queries.held_items(move.transfer_id, after=second.item_id, limit=2)
    assert third.item_id > second.item_id
    assert await queries.held_items(uuid.uuid4(), after=0, limit=2) == []
    anywhere = await queries.all_held_items(after=0, limit=10)
    assert [one.item_id for one in anywhere] == [first.item_id, second.item_id, third.item_id]
    assert {(one.transfer_id, one.mails, one.scans) for one in anywhere} == {(move.transfer_id, 2, 1)}
    assert await queries.all_held_items(after=third.item_id, limit=10) == []


async def test_what_comes_for_an_environment_that_does_not_move_is_there_at_once(services: Services, app: Any) -> None:
    """Puts a mail and a scan into the environment that the address leads to, readable, and each once."""
    move = await services.move()
    assert [await mail(app, "1"), await mail(app, "1"), await mail(app, "1", OLD_ADDRESS.upper())] == [
        "delivered",
        "duplicate",
        "duplicate",
    ]
    assert [await scan(app, "1"), await scan(app, "1")] == ["delivered", "duplicate"]
    assert [await mail(app, "", raw=b"no id"), await mail(app, " ", raw=b"no id")] == ["delivered", "duplicate"]
    assert await mail(app, "1", "nobody@noord.mailbox.sb.example") == "unknown"
    row = await services.row(f"select * from {move.schema}.mailbox_message where id = 1")
    assert (row["sender"], row["subject"], row["status"]) == ("info@cafe.example", "Factuur é 12", "open")
    assert (row["recipient"], row["received_at"], row["raw"]) == (OLD_ADDRESS, AT, MAIL % b"1")
    row = await services.row(f"select * from {move.schema}.scanbox_document")
    assert (row["file_name"], row["media_type"], row["raw"]) == ("b.pdf", "application/pdf", b"%PDF-1.7 x")
    assert await waiting(services) == 0


async def test_a_release_takes_along_what_was_held_and_forwards_for_thirty_days(services: Services, app: Any) -> None:
    """Holds what comes during the move, and has it in the new environment, in order, before anybody may write there."""
    move = await services.move()
    assert await mail(app, "before") == "delivered"
    await services.freeze(move)
    assert [await mail(app, "before"), await mail(app, "a"), await scan(app, "s"), await mail(app, "a")] == [
        "duplicate",
        "held",
        "held",
        "duplicate",
    ]
    await services.issue(move)
    await services.accept(move, (await services.office.download(move.transfer_id))[1])
    await clone_by_hand(services, move)
    assert await mail(app, "b") == "held"
    assert await mail(app, "b", NEW_ADDRESS) == "unknown"
    assert await raws(services, move.new_schema) == []
    await services.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id))
    assert await mail(app, "c") == "held"
    assert await waiting(services) == 4
    await services.gate.release(services.release_order(move))
    assert await raws(services, move.new_schema) == [MAIL % key for key in (b"a", b"b", b"c")]
    assert await raws(services, move.new_schema, "scanbox_document") == [b"%PDF-1.7 x"]
    assert await waiting(services) == 0
    assert (await services.row("select detail from control.transfer_event where kind = 'held_items_delivered'"))[0] == (
        '{"left": 0, "mails": 3, "scans": 1, "set_aside": 0}'
    )
    # What was known before the move is known after it, by either address.
    assert [await mail(app, "before"), await mail(app, "a", NEW_ADDRESS), await mail(app, "b")] == ["duplicate"] * 3
    assert [await mail(app, "d"), await mail(app, "e", NEW_ADDRESS)] == ["delivered"] * 2
    assert len(await raws(services, move.new_schema)) == 5
    assert await raws(services, move.schema) == [MAIL % b"before"]
    await services.pool.execute("update control.mailbox_route set valid_until = now() where address = $1", OLD_ADDRESS)
    await services.gate.close_forwarding(
        m.CloseMailboxForwarding(transfer_id=move.transfer_id, old_mailbox_address=OLD_ADDRESS)
    )
    assert [await mail(app, "f"), await mail(app, "f", NEW_ADDRESS)] == ["closed", "delivered"]


async def clone_by_hand(services: Services, move: Move) -> None:
    """Make what a clone makes, as far as a release looks at it."""
    async with services.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"create schema {move.new_schema}")
        await migrate_environment(connection, move.new_schema)
        await connection.execute(f"revoke usage on schema {move.new_schema} from sb_app")
        await connection.execute(
            f"insert into {move.new_schema}.administration select * from {move.schema}.administration"
        )


async def test_an_address_is_closed_when_its_days_are_over(services: Services, app: Any) -> None:
    """Answers `closed` from the hour on that was promised, whether or not somebody has closed the address."""
    move = await services.move()
    await services.inspectable(move)
    await services.gate.release(services.release_order(move, datetime.now(UTC) - timedelta(days=31)))
    assert await mail(app, "late") == "closed"


async def test_an_undo_gives_the_old_environment_what_was_held(services: Services, app: Any) -> None:
    """Has everything in the old environment when it is writable again, after what was there."""
    move = await services.move()
    await services.ticket(move)
    many = (
        "select control.deliver_mail($1, n::text, convert_to('mail ' || n, 'UTF8'), $2) from generate_series(0, 449) n"
    )
    assert {row[0] for row in await app.fetch(many, OLD_ADDRESS, AT)} == {"held"}
    await services.begin_undo(move)
    assert await mail(app, "late") == "held"
    await services.undo_steps(move)
    assert await raws(services, move.schema) == [*(b"mail %d" % n for n in range(450)), MAIL % b"late"]
    assert await mail(app, "after") == "delivered"
    assert [await mail(app, key) for key in ("7", "late", "after")] == ["duplicate"] * 3


_ROWS_PAST_THE_SEQUENCE = """insert into {env}.mailbox_message (id, received_at, sender, recipient, raw)
select n, now(), '', '', '' from generate_series(1, 40) n"""
_TRIGGER = "create trigger t before insert on {env}.mailbox_message for each row execute function {env}.%s()"
_ALWAYS = f"{_TRIGGER}; alter table {{env}}.mailbox_message enable always trigger t"
TAKEN = (
    "alter table {env}.mailbox_message drop column subject",
    "alter table {env}.mailbox_message add column message_id text unique",
    "alter table {env}.mailbox_message add check ({env}.own())",
    _ROWS_PAST_THE_SEQUENCE,
    _TRIGGER % "nothing",
)
REFUSED = (
    "drop table {env}.mailbox_message",
    "alter table {env}.mailbox_message add column needed text not null",
    "alter table {env}.mailbox_message add check (subject <> '' and {env}.slow())",
    _ALWAYS % "nothing",
    _ALWAYS % "no",
)


@pytest.mark.parametrize("oddity", TAKEN + REFUSED)
async def test_no_environment_keeps_its_own_undo_from_ending(
    services: Services, app: Any, monkeypatch: pytest.MonkeyPatch, oddity: str
) -> None:
    """Ends the move whatever the environment makes of the mail, and keeps what it refuses; the scan passes it."""
    if "slow" in oddity:
        monkeypatch.setattr(held_items, "_STATEMENT_TIME", timedelta(seconds=2))
    move = await services.move()
    await services.pool.execute(
        """create function {env}.nothing() returns trigger language plpgsql as 'begin return null; end';
        create function {env}.no() returns trigger language plpgsql as 'begin raise exception ''no''; end';
        create function {env}.own() returns boolean language sql immutable as 'select true';
        create function {env}.slow() returns boolean language plpgsql as 'begin perform pg_sleep(30); return true; end';
        """.replace("{env}", move.schema)
    )
    await services.pool.execute(oddity.replace("{env}", move.schema))
    await services.ticket(move)
    assert [await mail(app, "a"), await scan(app, "b")] == ["held", "held"]
    await services.begin_undo(move)
    await services.undo_steps(move)
    assert await services.status_of(move.environment_id) == "active"
    goes_in = oddity in TAKEN
    left = await services.pool.fetch("select kind, problem from control.held_item where problem <> ''")
    assert [row["kind"] for row in left] == ([] if goes_in else ["mail"])
    assert await waiting(services) == len(left)
    assert len(await raws(services, move.schema, "scanbox_document")) == 1
    # What it refuses keeps nothing else waiting.
    assert await scan(app, "c") == "delivered"
    if goes_in:
        assert MAIL % b"a" in await raws(services, move.schema)
    elif "slow" not in oddity:
        assert await mail(app, "d") == "held"


async def test_what_was_refused_is_tried_again(services: Services, app: Any) -> None:
    """Delivers it when its environment takes it after all, without anybody's doing."""
    move = await services.move()
    await services.pool.execute(f"alter table {move.schema}.mailbox_message add column needed text not null")
    assert await mail(app, "a") == "held"
    delivery = HeldItemDelivery(Shards(services.pool))
    await services.pool.execute(f"alter table {move.schema}.mailbox_message drop column needed")
    assert not (await delivery.deliver()).happened
    await services.pool.execute("update control.held_item set tried_at = now() - interval '1 hour'")
    assert (await delivery.deliver()).mails == 1
    assert await raws(services, move.schema) == [MAIL % b"a"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("select control.deliver_mail(null, 'a', 'a', now())", "22004"),
        ("select control.deliver_mail('a', 'a', null, now())", "22004"),
        ("select control.deliver_mail('a', 'a', convert_to(repeat('x', 26214401), 'UTF8'), now())", "54000"),
        ("select control.deliver('mail', 'a', 'a', '', 'a', now())", "42501"),
        ("select * from control.held_item", "42501"),
        ("select * from control.delivery", "42501"),
        ("select control.lift_fence('env', '{}')", "42501"),
    ],
)
async def test_the_application_may_deliver_and_nothing_more(app: Any, statement: str, code: str) -> None:
    """Refuses what is no item, what is larger than 25 MiB, and every other way in."""
    with pytest.raises(asyncpg.PostgresError) as refused:
        await app.execute(statement)
    assert refused.value.sqlstate == code


async def test_a_delivery_that_meets_a_freeze_a_release_or_an_undo_comes_before_or_after(
    services: Services, app: Any
) -> None:
    """Loses nothing, doubles nothing and keeps each sender's order, whenever an item comes."""
    move = await services.move()
    stop = asyncio.Event()
    sent: list[list[bytes]] = [[] for _ in range(4)]

    async def supplier(number: int) -> None:
        count = 0
        while not stop.is_set():
            key = f"{number}-{count:05d}"
            outcome = await mail(app, key)
            assert outcome in {"delivered", "held"}, outcome
            sent[number].append(MAIL % key.encode())
            count += 1
            if not count % 7:
                assert await mail(app, key) == "duplicate"

    async def more() -> None:
        """Wait until each has sent some more."""
        enough = [len(one) + 3 for one in sent]
        while any(len(one) < least for one, least in zip(sent, enough, strict=True)):
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(supplier(number)) for number in range(len(sent))]
    for _ in range(3):
        await more()
        await services.ticket(move)
        await more()
        await services.begin_undo(move)
        await services.undo_steps(move)
        await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
        move = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    before = await raws(services, move.schema)
    await services.inspectable(move)
    await more()
    await services.gate.release(services.release_order(move))
    await more()
    stop.set()
    await asyncio.gather(*tasks)
    old, new = await raws(services, move.schema), await raws(services, move.new_schema)
    assert old[: len(before)] == before
    for number, items in enumerate(sent):
        mine = [raw for raw in (*old, *new) if b"<%d-" % number in raw]
        assert mine == items
    assert await waiting(services) == 0
