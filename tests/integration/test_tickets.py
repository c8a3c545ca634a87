"""Tickets: issued once, handed out as often as asked, good for one upload of the newest file."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.transfer.tickets import digest_of
from domain import messages as m
from domain.errors import (
    Superseded,
    TicketExpired,
    TicketRevoked,
    TicketUsed,
    TransferUnknown,
    WrongMoment,
)
from tests.integration.desk import TTL, Desk


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Desk]:
    """The adapters on a database of the test's own."""
    async with Desk(dsn) as made:
        yield made


async def test_a_ticket_is_issued_once(desk: Desk) -> None:
    """A retry would make a second ticket, and the first file would stop working."""
    move = await desk.move()
    await desk.freeze(move)
    at = datetime(2026, 5, 12, 9, tzinfo=UTC)
    answers = await asyncio.gather(*(desk.issue(move, at) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].file_name == "enyoi-overdracht-ticket.avr"
    assert answers[0].expires_at == at + TTL
    assert (await desk.transfer_row(move))["state"] == "awaiting_upload"
    assert await desk.kinds(move) == ["environment_frozen", "ticket_issued"]


async def test_only_the_digest_of_the_file_is_kept(desk: Desk) -> None:
    """Who reads the database could upload the ticket."""
    move = await desk.move()
    file = await desk.ticket(move)
    row = await desk.row("select * from control.ticket where transfer_id = $1", move.transfer_id)
    assert row["digest"] == digest_of(file)
    assert row["sealed_at"] is not None
    for table in ("ticket", "transfer", "transfer_event"):
        dump = await desk.pool.fetchval(f"select string_agg(t::text, '') from control.{table} t")
        assert file.decode() not in dump
    claims = desk.seal.open(file)
    assert (claims.transfer_id, claims.environment_id) == (move.transfer_id, move.environment_id)
    assert claims.expires_at == row["expires_at"]


async def test_a_second_download_replaces_the_first(desk: Desk) -> None:
    """A file that was sent to the wrong person could not be made worthless."""
    move = await desk.move()
    first = await desk.ticket(move)
    name, second = await desk.office.download(move.transfer_id, actor="an@noord.example")
    assert name == "enyoi-overdracht-ticket.avr"
    with pytest.raises(TicketRevoked):
        await desk.accept(move, first)
    assert (await desk.accept(move, second)).new.name == "Enyoi Nieuw"
    assert (await desk.kinds(move)).count("ticket_downloaded") == 2


async def test_there_is_nothing_to_download_at_the_wrong_moment(desk: Desk) -> None:
    """Somebody would get a file that cannot be used, and find out at the other side."""
    move = await desk.move()
    with pytest.raises(TransferUnknown):
        await desk.office.download(move.transfer_id)
    await desk.freeze(move)
    with pytest.raises(WrongMoment):
        await desk.office.download(move.transfer_id)
    expired = await desk.move("Verlopen")
    await desk.freeze(expired)
    await desk.issue(expired, datetime.now(UTC) - TTL - timedelta(seconds=1))
    with pytest.raises(TicketExpired):
        await desk.office.download(expired.transfer_id)
    used = await desk.move("Gebruikt")
    await desk.accept(used, await desk.ticket(used))
    with pytest.raises(TicketUsed):
        await desk.office.download(used.transfer_id)


async def test_an_undo_revokes_the_ticket(desk: Desk) -> None:
    """Somebody could take over an environment whose move was called off."""
    move = await desk.move()
    file = await desk.ticket(move)
    order = m.RevokeTicket(transfer_id=move.transfer_id)
    with pytest.raises(WrongMoment):
        await desk.office.revoke(order)
    await desk.begin_undo(move)
    await desk.office.revoke(order)
    await desk.office.revoke(order)
    assert (await desk.kinds(move)).count("ticket_revoked") == 1
    with pytest.raises(TicketRevoked):
        await desk.office.download(move.transfer_id)
    with pytest.raises(Superseded):
        await desk.accept(move, file)
    with pytest.raises(Superseded):
        await desk.issue(move)


async def test_revoking_what_was_never_issued_is_nothing(desk: Desk) -> None:
    """An undo of a move that never got as far as a ticket would not end."""
    move = await desk.move()
    order = m.RevokeTicket(transfer_id=move.transfer_id)
    await desk.office.revoke(order)
    await desk.begin_undo(move)
    await desk.office.revoke(order)
    assert await desk.kinds(move) == ["undo_begun"]
