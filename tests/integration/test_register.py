"""The register: which transfer or environment somebody means, and all that is known about it."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from domain import messages as m
from domain.errors import (
    AlreadyInTransfer,
    EnvironmentAmbiguous,
    EnvironmentNotActive,
    EnvironmentUnknown,
    TransferUnknown,
)
from domain.naming import workflow_id_of
from domain.vocabulary import CheckKind, EnvironmentStatus, MailKind, Scenario, TransferState
from tests.integration.desk import NEW_FIRM, OLD_FIRM, Desk, Move


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Desk]:
    """The adapters on a database of the test's own."""
    async with Desk(dsn) as made:
        yield made


async def test_an_environment_is_found_by_id_and_by_name(desk: Desk) -> None:
    """People would have to know ids by heart."""
    environment_id = await desk.environment("Enyoi")
    for which in (str(environment_id), environment_id.hex, "Enyoi", " enyoi "):
        found = await desk.register.find_environment(which)
        assert found.environment_id == environment_id
    assert (found.licence_number, found.status, found.url_part) == (OLD_FIRM, EnvironmentStatus.ACTIVE, "enyoi")
    assert [environment.name for environment in await desk.register.environments()] == ["Enyoi"]
    for which in ("", "nobody", str(uuid.uuid4()), "a\x00"):
        with pytest.raises(EnvironmentUnknown):
            await desk.register.find_environment(which)


async def test_a_name_under_two_licences_is_asked_about(desk: Desk) -> None:
    """The wrong customer would be moved."""
    await desk.environment("Enyoi", OLD_FIRM)
    other = await desk.environment("Enyoi", NEW_FIRM)
    with pytest.raises(EnvironmentAmbiguous):
        await desk.register.find_environment("Enyoi")
    await desk.pool.execute("update control.environment set status = 'read_only' where environment_id = $1", other)
    assert (await desk.register.find_environment("Enyoi")).licence_number == OLD_FIRM


async def test_what_cannot_be_moved_is_refused_beforehand(desk: Desk) -> None:
    """A workflow would be started only to say no."""
    move = await desk.move()
    await desk.register.require_movable(move.environment_id)
    await desk.freeze(move)
    with pytest.raises(AlreadyInTransfer):
        await desk.register.require_movable(move.environment_id)
    with pytest.raises(EnvironmentUnknown):
        await desk.register.require_movable(uuid.uuid4())
    sleeping = await desk.environment("Slaper")
    await desk.pool.execute("update control.environment set status = 'building' where environment_id = $1", sleeping)
    with pytest.raises(EnvironmentNotActive):
        await desk.register.require_movable(sleeping)


async def test_a_transfer_is_found_by_whatever_people_have(desk: Desk) -> None:
    """An operator with a name in hand could not find the transfer."""
    move = await desk.move()
    await desk.accept(move, await desk.ticket(move))
    for which in (
        workflow_id_of(move.environment_id),
        str(move.transfer_id),
        str(move.environment_id),
        str(move.new_environment_id),
        "enyoi",
        "Enyoi NIEUW",
        f"{OLD_FIRM}/enyoi",
        f"{NEW_FIRM}/Enyoi Nieuw",
    ):
        found = await desk.register.find_transfer(which)
        assert found.transfer_id == move.transfer_id
    assert (found.state, found.scenario) == (TransferState.SCHEDULED, Scenario.SWITCH)
    assert (found.source_licence, found.target_licence) == (OLD_FIRM, NEW_FIRM)
    for which in ("", "nobody", f"{NEW_FIRM}/Enyoi", str(uuid.uuid4())):
        with pytest.raises(TransferUnknown):
            await desk.register.find_transfer(which)


async def test_of_several_transfers_the_live_one_is_meant(desk: Desk) -> None:
    """A cancel by name would reach a transfer that ended long ago."""
    move = await desk.move()
    await desk.freeze(move)
    await desk.begin_undo(move)
    await desk.unfreeze(move)
    await desk.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    again = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    await desk.freeze(again)
    # A refused third one has the newest row, and is no live one.
    await desk.begin_undo(Move(move.environment_id, uuid.uuid4(), uuid.uuid4()))
    for which in ("Enyoi", str(move.environment_id), workflow_id_of(move.environment_id)):
        assert (await desk.register.find_transfer(which)).transfer_id == again.transfer_id
    assert len(await desk.register.transfers_of_environment(move.environment_id)) == 3


async def test_a_name_that_fits_two_live_transfers_is_asked_about(desk: Desk) -> None:
    """Somebody else's transfer would be released."""
    moves = [await desk.move("Enyoi", licence) for licence in (OLD_FIRM, NEW_FIRM)]
    for move in moves:
        await desk.freeze(move)
    with pytest.raises(EnvironmentAmbiguous):
        await desk.register.find_transfer("Enyoi")
    assert (await desk.register.find_transfer(f"{NEW_FIRM}/Enyoi")).transfer_id == moves[1].transfer_id
    await desk.begin_undo(moves[1])
    await desk.unfreeze(moves[1])
    await desk.log.finish_undo(m.FinishUndo(transfer_id=moves[1].transfer_id))
    assert (await desk.register.find_transfer("Enyoi")).transfer_id == moves[0].transfer_id


async def test_the_list_is_new_to_old_and_by_state(desk: Desk) -> None:
    """An operator would miss the transfers that wait for something."""
    moves = [await desk.move(f"Klant {n}") for n in range(3)]
    for move in moves:
        await desk.freeze(move)
    await desk.begin_undo(moves[1])
    listed = [transfer.transfer_id for transfer in await desk.register.transfers()]
    assert listed == [move.transfer_id for move in reversed(moves)]
    undoing = await desk.register.transfers(states=[TransferState.UNDOING])
    assert [transfer.transfer_id for transfer in undoing] == [moves[1].transfer_id]
    assert len(await desk.register.transfers(limit=2)) == 2


async def test_what_the_steps_left_behind_is_read_back(desk: Desk) -> None:
    """The comparison that people must look at, and the mails that did not arrive, would not be shown."""
    move = await desk.move()
    await desk.freeze(move)
    empty = await desk.register.results(move.transfer_id)
    assert (empty.report, empty.verification, empty.new_environment) == (None, None, None)
    await desk.issue(move)
    _, file = await desk.office.download(move.transfer_id)
    await desk.accept(move, file)
    at = datetime(2026, 5, 12, tzinfo=UTC)
    check = m.Check(
        administration_id=uuid.uuid4(),
        administration="Enyoi BV",
        check=CheckKind.BANK_BALANCE,
        old="1,00",
        new="1,00",
        equal=True,
    )
    report = m.ComparisonReport(made_at=at, checks=[check])
    verification = m.Verification(tables=3, rows=4, seconds=0.5)
    await desk.pool.execute(
        "update control.transfer set report = $2, verification = $3, clone_result = $4 where transfer_id = $1",
        move.transfer_id,
        report.model_dump_json(),
        verification.model_dump_json(),
        json.dumps({"tables": 3, "rows": 4, "bytes": 5, "seconds": 0.1}),
    )
    await desk.pool.execute(
        "insert into control.sent_mail (transfer_id, kind, recipient, message_id, language, subject, status, problem) "
        "values ($1, 'ready', 'bo@zuid.example', '<1@x>', 'nl', 'Klaar', 'failed', 'no such user')",
        move.transfer_id,
    )
    assert await desk.register.report(move.transfer_id) == report
    assert await desk.register.verification(move.transfer_id) == verification
    results = await desk.register.results(move.transfer_id)
    assert results.clone_result == m.CloneFinished(tables=3, rows=4, bytes=5, seconds=0.1)
    assert results.new_environment is not None
    assert results.new_environment.name == "Enyoi Nieuw"
    assert results.ticket_file_name == "enyoi-overdracht-ticket.avr"
    mails = await desk.register.mails(move.transfer_id)
    assert [(mail.kind, mail.problem) for mail in mails] == [(MailKind.READY, "no such user")]
    with pytest.raises(TransferUnknown):
        await desk.register.results(uuid.uuid4())
    assert await desk.register.transfer(uuid.uuid4()) is None
