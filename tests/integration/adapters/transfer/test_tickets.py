"""Tickets: issued once, handed out as often as asked, good for one upload of the newest file."""

import asyncio
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
from tests.integration.services import TTL, Services


async def test_a_ticket_is_issued_once(services: Services) -> None:
    """Issues one ticket however often it is asked."""
    move = await services.move()
    await services.freeze(move)
    at = datetime(2026, 5, 12, 9, tzinfo=UTC)
    answers = await asyncio.gather(*(services.issue(move, at) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].file_name == "enyoi-overdracht-ticket.avr"
    assert answers[0].expires_at == at + TTL
    assert (await services.transfer_row(move))["state"] == "awaiting_upload"
    assert await services.kinds(move) == ["environment_frozen", "ticket_issued"]


async def test_only_the_digest_of_the_file_is_kept(services: Services) -> None:
    """Keeps the digest of the file, not the file."""
    move = await services.move()
    file = await services.ticket(move)
    row = await services.row("select * from control.ticket where transfer_id = $1", move.transfer_id)
    assert row["digest"] == digest_of(file)
    assert row["sealed_at"] is not None
    for table in ("ticket", "transfer", "transfer_event"):
        dump = await services.pool.fetchval(f"select string_agg(t::text, '') from control.{table} t")
        assert file.decode() not in dump
    claims = services.seal.open(file)
    assert (claims.transfer_id, claims.environment_id) == (move.transfer_id, move.environment_id)
    assert claims.expires_at == row["expires_at"]


async def test_a_second_download_replaces_the_first(services: Services) -> None:
    """Makes the first file worthless by a second download."""
    move = await services.move()
    first = await services.ticket(move)
    name, second = await services.office.download(move.transfer_id, actor="an@noord.example")
    assert name == "enyoi-overdracht-ticket.avr"
    with pytest.raises(TicketRevoked):
        await services.accept(move, first)
    assert (await services.accept(move, second)).new.name == "Enyoi Nieuw"
    assert (await services.kinds(move)).count("ticket_downloaded") == 2


async def test_there_is_nothing_to_download_at_the_wrong_moment(services: Services) -> None:
    """Refuses a download outside the wait for the upload."""
    move = await services.move()
    with pytest.raises(TransferUnknown):
        await services.office.download(move.transfer_id)
    await services.freeze(move)
    with pytest.raises(WrongMoment):
        await services.office.download(move.transfer_id)
    expired = await services.move("Verlopen")
    await services.freeze(expired)
    await services.issue(expired, datetime.now(UTC) - TTL - timedelta(seconds=1))
    with pytest.raises(TicketExpired):
        await services.office.download(expired.transfer_id)
    used = await services.move("Gebruikt")
    await services.accept(used, await services.ticket(used))
    with pytest.raises(TicketUsed):
        await services.office.download(used.transfer_id)


async def test_an_undo_revokes_the_ticket(services: Services) -> None:
    """Revokes the ticket."""
    move = await services.move()
    file = await services.ticket(move)
    order = m.RevokeTicket(transfer_id=move.transfer_id)
    with pytest.raises(WrongMoment):
        await services.office.revoke(order)
    await services.begin_undo(move)
    await services.office.revoke(order)
    await services.office.revoke(order)
    assert (await services.kinds(move)).count("ticket_revoked") == 1
    with pytest.raises(TicketRevoked):
        await services.office.download(move.transfer_id)
    with pytest.raises(Superseded):
        await services.accept(move, file)
    with pytest.raises(Superseded):
        await services.issue(move)


async def test_revoking_what_was_never_issued_is_nothing(services: Services) -> None:
    """Does nothing when no ticket was issued."""
    move = await services.move()
    order = m.RevokeTicket(transfer_id=move.transfer_id)
    await services.office.revoke(order)
    await services.begin_undo(move)
    await services.office.revoke(order)
    assert await services.kinds(move) == ["undo_begun"]
