"""Uploads: what is checked, what is refused, and that of many at once exactly one wins."""

import asyncio
import json
import uuid
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from domain import messages as m
from domain.errors import (
    AlreadyReleased,
    LicenceUnknown,
    LoginEmailInvalid,
    LoginEmailMissing,
    NameInvalid,
    NameTaken,
    SameLicence,
    ScenarioNotOffered,
    Superseded,
    TicketExpired,
    TicketNotGenuine,
    TicketRevoked,
    TicketUsed,
    UploadRefused,
    UrlInvalid,
    UrlReserved,
    UrlTaken,
    WrongMoment,
)
from domain.vocabulary import Scenario
from tests.integration.services import (
    AMSTERDAM,
    ENTREPRENEUR,
    NEW_FIRM,
    OLD_FIRM,
    OTHER_ENTREPRENEUR,
    Move,
    Services,
)


async def _environments(services: Services) -> int:
    return int(await services.pool.fetchval("select count(*) from control.environment"))


async def test_an_upload_reserves_name_and_url_and_plans_the_evening(services: Services) -> None:
    """Reserves name and url and plans the evening that it answers."""
    move = await services.move()
    file = await services.ticket(move)
    at = datetime(2099, 3, 28, 22, 30, tzinfo=AMSTERDAM)
    await services.pool.execute("update control.ticket set expires_at = '2100-01-01'")
    made = await services.accept(move, file, accepted_at=at, name="  Café  Enyoi ")
    assert made.accepted.scenario is Scenario.SWITCH
    assert made.accepted.name == "Café Enyoi"
    assert made.accepted.url == "https://zuid.sb.example/cafe-enyoi"
    assert made.accepted.starts_at == datetime(2099, 3, 29, 22, 0, tzinfo=AMSTERDAM)
    assert made.accepted.starts_at.isoformat() == "2099-03-29T22:00:00+02:00"
    environment = await services.row(
        "select * from control.environment where environment_id = $1", move.new_environment_id
    )
    assert environment["status"] == "building"
    assert environment["licence_number"] == NEW_FIRM
    assert environment["mailbox_address"] == made.new.mailbox_address == "cafe-enyoi@zuid.mailbox.sb.example"
    assert environment["schema_name"] == made.new.schema_name == move.new_schema
    old_version = await services.pool.fetchval(
        "select schema_version from control.environment where environment_id = $1", move.environment_id
    )
    assert environment["schema_version"] == old_version > 0
    transfer = await services.transfer_row(move)
    assert (transfer["state"], transfer["target_licence"], transfer["uploaded_by"]) == (
        "scheduled",
        NEW_FIRM,
        "bo@zuid.example",
    )
    assert transfer["starts_at"] == made.accepted.starts_at
    assert await services.kinds(move) == ["environment_frozen", "ticket_issued", "ticket_downloaded", "upload_accepted"]


def _correction(move: Move, **changes: Any) -> m.CorrectReservation:
    asked = m.CorrectUpload(requested_by="bo@zuid.example", reason="a slip of the pen", **changes)
    return m.CorrectReservation(transfer_id=move.transfer_id, evening=1, correction=asked, event_key=uuid.uuid4())


async def test_what_was_uploaded_is_corrected_and_told_once(services: Services) -> None:
    """Changes what is asked for and nothing beside it, in the environment and the transfer, and says from what."""
    move = await services.move()
    made = await services.accept(move, await services.ticket(move))
    order = _correction(move, name="Enyoi BV")
    corrected = await services.reservations.correct(order)
    assert corrected == await services.reservations.correct(order)  # its answer was lost
    assert corrected.accepted.url == made.accepted.url
    corrected = await services.reservations.correct(_correction(move, url_part="enyoi-bv"))
    assert (corrected.accepted.name, corrected.accepted.url) == ("Enyoi BV", "https://zuid.sb.example/enyoi-bv")
    assert (corrected.closes_at, corrected.accepted.starts_at) == (made.closes_at, made.accepted.starts_at)
    sql = "select * from control.environment where environment_id = $1"
    row = await services.row(sql, move.new_environment_id)
    assert (row["name"], row["url"], row["mailbox_address"], row["status"]) == (
        *("Enyoi BV", corrected.accepted.url, "enyoi-bv@zuid.mailbox.sb.example"),
        "building",
    )
    found = await services.reservations.read(m.ReadReservation(transfer_id=move.transfer_id))
    assert found is not None
    assert found.new == corrected.new
    assert (await services.kinds(move)).count("upload_corrected") == 2
    told = await services.pool.fetchval(
        "select detail from control.transfer_event where event_key = $1", order.event_key
    )
    assert json.loads(told) == {"name": "Enyoi BV", "name_was": "Enyoi Nieuw"}


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"name": "ANDER "}, NameTaken),
        ({"url_part": "ander"}, UrlTaken),
        ({"url_part": "admin"}, UrlReserved),
        ({"url_part": "a b"}, UrlInvalid),
        ({"name": " "}, NameInvalid),
    ],
)
async def test_a_correction_is_refused_as_an_upload_is(
    services: Services, changes: dict[str, str], refusal: type[UploadRefused]
) -> None:
    """Keeps everything as it is, and the log says who was refused what."""
    other = await services.move("Eerder")
    await services.accept(other, await services.ticket(other), name="Ander")
    move = await services.move()
    made = await services.accept(move, await services.ticket(move))
    with pytest.raises(refusal):
        await services.reservations.correct(_correction(move, **changes))
    found = await services.reservations.read(m.ReadReservation(transfer_id=move.transfer_id))
    assert found is not None
    assert found.new == made.new
    assert (await services.kinds(move))[-1] == "upload_refused"


async def test_a_login_is_corrected_where_there_is_one_and_nothing_once_the_evening_has_begun(
    services: Services,
) -> None:
    """Takes another address for a customer who goes on alone, and refuses one that is none, or comes too late."""
    move = await services.move()
    file = await services.ticket(move)
    await services.accept(move, file, licence_number=ENTREPRENEUR, login_email="an@an.example")
    corrected = await services.reservations.correct(_correction(move, login_email=" jo@an.example"))
    sql = "select login_email from control.environment where environment_id = $1"
    assert await services.pool.fetchval(sql, corrected.new.environment_id) == "jo@an.example"
    for given, refusal in ((" ", LoginEmailMissing), ("jo", LoginEmailInvalid)):
        with pytest.raises(refusal):
            await services.reservations.correct(_correction(move, login_email=given))
    await services.pool.execute(
        "update control.transfer set state = 'cloning' where transfer_id = $1", move.transfer_id
    )
    with pytest.raises(WrongMoment):
        await services.reservations.correct(_correction(move, name="Te laat"))


async def test_a_retried_upload_gets_the_same_answer(services: Services) -> None:
    """Gives a retried upload the first answer."""
    move = await services.move()
    order = services.upload(move, await services.ticket(move))
    answers = await asyncio.gather(*(services.reservations.accept(order) for _ in range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert (await services.kinds(move)).count("upload_accepted") == 1


async def test_of_twenty_uploads_of_one_ticket_one_wins(services: Services) -> None:
    """Accepts one of twenty uploads of a ticket at once."""
    move = await services.move()
    file = await services.ticket(move)
    before = await _environments(services)
    answers = await asyncio.gather(
        *(services.accept(move, file, name=f"Klant {n}", new_environment_id=uuid.uuid4()) for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, m.ReservationMade) for answer in answers) == 1
    assert sum(isinstance(answer, TicketUsed) for answer in answers) == 19
    assert await _environments(services) == before + 1
    assert (await services.kinds(move)).count("upload_refused") == 19


@pytest.mark.parametrize(
    ("same", "loses"),
    [({"name": "Enyoi"}, NameTaken), ({"name": "ENYOI "}, NameTaken), ({"url_part": "enyoi"}, UrlTaken)],
    ids=["name", "name and url", "url"],
)
async def test_of_twenty_transfers_that_want_one_thing_one_gets_it(
    services: Services, same: dict[str, str], loses: type[UploadRefused]
) -> None:
    """Gives a name or url to one of twenty transfers at once."""
    moves = [await services.move(f"Klant {n}") for n in range(20)]
    files = [await services.ticket(move) for move in moves]
    # In the second case everybody also asks for the same url: the name is what has to be changed.
    others = [
        {"Enyoi": {"url_part": f"deel-{n}"}, "ENYOI ": {}}.get(same.get("name", ""), {"name": f"N {n}"})
        for n in range(20)
    ]
    answers = await asyncio.gather(
        *(
            services.accept(move, file, **(same | other))
            for move, file, other in zip(moves, files, others, strict=True)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, m.ReservationMade) for answer in answers) == 1
    assert sum(isinstance(answer, loses) for answer in answers) == 19
    states = await services.pool.fetch("select state, count(*) from control.transfer group by 1 order by 1")
    assert [tuple(row) for row in states] == [("awaiting_upload", 19), ("scheduled", 1)]
    loser = next(move for move, answer in zip(moves, answers, strict=True) if isinstance(answer, loses))
    assert (
        await services.pool.fetchval("select used_at from control.ticket where transfer_id = $1", loser.transfer_id)
        is None
    )


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"licence_number": "99999"}, LicenceUnknown),
        ({"licence_number": "1\x00"}, LicenceUnknown),
        ({"licence_number": OLD_FIRM}, SameLicence),
        ({"name": " "}, NameInvalid),
        ({"name": "a\x00"}, NameInvalid),
        ({"name": "Bestaat"}, NameTaken),
        ({"name": "BESTAAT", "url_part": "anders"}, NameTaken),
        ({"url_part": "bestaat"}, UrlTaken),
        ({"url_part": "-"}, UrlInvalid),
        ({"url_part": "admin"}, UrlReserved),
        ({"licence_number": ENTREPRENEUR}, LoginEmailMissing),
        ({"licence_number": ENTREPRENEUR, "login_email": " "}, LoginEmailMissing),
        ({"licence_number": ENTREPRENEUR, "login_email": "nobody"}, LoginEmailInvalid),
    ],
)
async def test_a_refusal_says_why_and_leaves_the_transfer_waiting(
    services: Services, changes: dict[str, Any], refusal: type[UploadRefused]
) -> None:
    """Refuses with the reason, writes it, and goes on waiting."""
    await services.environment("Bestaat", NEW_FIRM)
    move = await services.move()
    file = await services.ticket(move)
    before = await _environments(services)
    order = services.upload(move, file, **changes)
    for _ in range(2):  # the second is a retry whose first result was lost
        with pytest.raises(refusal):
            await services.reservations.accept(order)
    assert await _environments(services) == before
    assert (await services.transfer_row(move))["state"] == "awaiting_upload"
    events = [event for event in await services.register.events(move.transfer_id) if event.kind == "upload_refused"]
    assert [event.detail["code"] for event in events] == [refusal.code()]
    assert events[0].actor == "bo@zuid.example"
    assert file.decode() not in events[0].model_dump_json()
    assert order.upload.sealed_ticket not in events[0].model_dump_json()
    await services.accept(move, file)


async def test_self_managed_to_self_managed_is_refused(services: Services) -> None:
    """Refuses a move between two self-managed licences."""
    move = await services.move("Winkel", ENTREPRENEUR)
    file = await services.ticket(move)
    with pytest.raises(ScenarioNotOffered):
        await services.accept(move, file, licence_number=OTHER_ENTREPRENEUR, login_email="a@b.example")
    made = await services.accept(move, file, login_email="ignored, whatever it says")
    assert made.accepted.scenario is Scenario.OUTSOURCE


async def test_insource_keeps_the_login_address(services: Services) -> None:
    """Keeps the login address of a move to self-managed."""
    move = await services.move()
    made = await services.accept(
        move, await services.ticket(move), licence_number=f" {ENTREPRENEUR} ", login_email=" baas@enyoi.example "
    )
    assert made.accepted.scenario is Scenario.INSOURCE
    record = await services.register.environment(move.new_environment_id)
    assert record is not None
    assert record.login_email == "baas@enyoi.example"


async def test_tickets_that_do_not_count(services: Services) -> None:
    """Refuses forged, foreign, old, expired and future-dated tickets."""
    move = await services.move()
    file = await services.ticket(move)
    other = await services.move("Ander")
    other_file = await services.ticket(other)
    with pytest.raises(TicketNotGenuine):
        await services.accept(move, b"forged")
    with pytest.raises(TicketNotGenuine):
        await services.accept(move, other_file)
    unsealed = m.Upload(sealed_ticket=file.decode(), licence_number=NEW_FIRM, name="x")
    order = services.upload(move, file).model_copy(update={"upload": unsealed})
    with pytest.raises(TicketNotGenuine):
        await services.reservations.accept(order)
    row = await services.row("select expires_at from control.ticket where transfer_id = $1", move.transfer_id)
    issued_at = services.seal.open(file).issued_at
    with pytest.raises(TicketNotGenuine):  # of the future: made by another clock
        await services.accept(move, file, accepted_at=issued_at - timedelta(minutes=3))
    with pytest.raises(TicketExpired):
        await services.accept(move, file, accepted_at=row["expires_at"])
    assert (await services.transfer_row(move))["state"] == "awaiting_upload"
    await services.accept(move, file, accepted_at=row["expires_at"] - timedelta(microseconds=1))


async def test_a_ticket_of_an_undone_move_of_the_same_environment_is_old(services: Services) -> None:
    """Calls the ticket of an earlier move revoked, not forged."""
    move = await services.move()
    file = await services.ticket(move)
    await services.begin_undo(move)
    await services.undo_steps(move)
    await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    again = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    await services.ticket(again)
    with pytest.raises(TicketRevoked):
        await services.accept(again, file)


async def test_an_upload_at_the_wrong_moment(services: Services) -> None:
    """Refuses an upload before the ticket and after the undo."""
    move = await services.move()
    file = await services.ticket(move)
    await services.pool.execute("update control.transfer set state = 'preparing'")
    with pytest.raises(WrongMoment):
        await services.accept(move, file)
    await services.begin_undo(move)
    with pytest.raises(Superseded):
        await services.accept(move, file)


async def test_an_address_that_was_somebodys_is_never_given_again(services: Services) -> None:
    """Refuses a url whose address was somebody's."""
    move = await services.move()
    await services.pool.execute(
        "insert into control.mailbox_route (address, closed_at) values ('weg@zuid.mailbox.sb.example', now())"
    )
    with pytest.raises(UrlTaken):
        await services.accept(move, await services.ticket(move), url_part="weg")


async def test_a_released_reservation_frees_name_and_url(services: Services) -> None:
    """Frees name and url."""
    move = await services.move()
    await services.accept(move, await services.ticket(move))
    order = m.ReleaseReservation(transfer_id=move.transfer_id)
    with pytest.raises(WrongMoment):
        await services.reservations.release(order)
    await services.begin_undo(move)
    await services.reservations.release(order)
    await services.reservations.release(order)
    assert (await services.kinds(move)).count("reservation_released") == 1
    assert await services.register.environment(move.new_environment_id) is None
    kept = json.loads((await services.transfer_row(move))["new_environment"])
    assert kept["name"] == "Enyoi Nieuw"
    other = await services.move("Ander")
    await services.accept(other, await services.ticket(other))


async def test_releasing_what_was_never_reserved_is_nothing(services: Services) -> None:
    """Does nothing when nothing was reserved."""
    move = await services.move()
    order = m.ReleaseReservation(transfer_id=move.transfer_id)
    await services.reservations.release(order)
    await services.begin_undo(move)
    await services.reservations.release(order)
    assert await services.kinds(move) == ["undo_begun"]


async def test_a_released_environment_is_not_let_go(services: Services) -> None:
    """Refuses to delete a released environment."""
    move = await services.move()
    await services.inspectable(move)
    await services.gate.release(services.release_order(move))
    with pytest.raises(AlreadyReleased):
        await services.reservations.release(m.ReleaseReservation(transfer_id=move.transfer_id))
    assert await services.status_of(move.new_environment_id) == "active"


async def test_an_undo_and_an_upload_at_once_leave_no_reservation_behind(services: Services) -> None:
    """Leaves no reservation when an upload and an undo come together."""
    for index in range(8):
        move = await services.move(f"Klant {index}")
        order = services.upload(move, await services.ticket(move), name=f"Nieuw {index}")
        accepted, undone = await asyncio.gather(
            services.reservations.accept(order), services.begin_undo(move), return_exceptions=True
        )
        assert undone is None
        assert isinstance(accepted, m.ReservationMade | Superseded)
        await services.reservations.release(m.ReleaseReservation(transfer_id=move.transfer_id))
        assert await services.register.environment(move.new_environment_id) is None
        with pytest.raises(Superseded):
            await services.reservations.accept(order)


async def test_a_broken_constraint_of_another_kind_is_not_called_a_refusal(services: Services) -> None:
    """Raises any other broken constraint as a fault."""
    move = await services.move()
    file = await services.ticket(move)
    with pytest.raises(asyncpg.UniqueViolationError):
        await services.accept(move, file, new_environment_id=move.environment_id)
