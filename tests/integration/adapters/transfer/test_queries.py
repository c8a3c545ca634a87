"""The register: which transfer or environment somebody means, and all that is known about it."""

import json
import uuid
from datetime import UTC, datetime

import pytest

from domain import messages as m
from domain.errors import (
    EnvironmentAmbiguous,
    EnvironmentUnknown,
    TransferUnknown,
)
from domain.naming import workflow_id_of
from domain.vocabulary import CheckKind, EnvironmentStatus, MailKind, Scenario, TransferState
from tests.integration.services import NEW_FIRM, OLD_FIRM, Move, Services


async def test_an_environment_is_found_by_id_and_by_name(services: Services) -> None:
    """Finds an environment by id and by name."""
    environment_id = await services.environment("Enyoi")
    for which in (str(environment_id), environment_id.hex, "Enyoi", " enyoi "):
        found = await services.register.find_environment(which)
        assert found.environment_id == environment_id
    assert (found.licence_number, found.status, found.url_part) == (OLD_FIRM, EnvironmentStatus.ACTIVE, "enyoi")
    assert [environment.name for environment in await services.register.environments()] == ["Enyoi"]
    for which in ("", "nobody", str(uuid.uuid4()), "a\x00"):
        with pytest.raises(EnvironmentUnknown):
            await services.register.find_environment(which)


async def test_a_name_under_two_licences_is_asked_about(services: Services) -> None:
    """Refuses a name that two licences have."""
    await services.environment("Enyoi", OLD_FIRM)
    other = await services.environment("Enyoi", NEW_FIRM)
    with pytest.raises(EnvironmentAmbiguous):
        await services.register.find_environment("Enyoi")
    await services.pool.execute("update control.environment set status = 'read_only' where environment_id = $1", other)
    assert (await services.register.find_environment("Enyoi")).licence_number == OLD_FIRM


async def test_a_transfer_is_found_by_whatever_people_have(services: Services) -> None:
    """Finds a transfer by workflow, transfer, environment or name."""
    move = await services.move()
    await services.accept(move, await services.ticket(move))
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
        found = await services.register.find_transfer(which)
        assert found.transfer_id == move.transfer_id
    assert (found.state, found.scenario) == (TransferState.SCHEDULED, Scenario.SWITCH)
    assert (found.source_licence, found.target_licence) == (OLD_FIRM, NEW_FIRM)
    for which in ("", "nobody", f"{NEW_FIRM}/Enyoi", str(uuid.uuid4())):
        with pytest.raises(TransferUnknown):
            await services.register.find_transfer(which)


async def test_of_several_transfers_the_live_one_is_meant(services: Services) -> None:
    """Means the live one of several transfers."""
    move = await services.move()
    await services.freeze(move)
    await services.begin_undo(move)
    await services.unfreeze(move)
    await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    again = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    await services.freeze(again)
    # A refused third one has the newest row, and is no live one.
    await services.begin_undo(Move(move.environment_id, uuid.uuid4(), uuid.uuid4()))
    for which in ("Enyoi", str(move.environment_id), workflow_id_of(move.environment_id)):
        assert (await services.register.find_transfer(which)).transfer_id == again.transfer_id
    assert len(await services.register.transfers_of_environment(move.environment_id)) == 3


async def test_a_name_that_fits_two_live_transfers_is_asked_about(services: Services) -> None:
    """Refuses a name that two live transfers have."""
    moves = [await services.move("Enyoi", licence) for licence in (OLD_FIRM, NEW_FIRM)]
    for move in moves:
        await services.freeze(move)
    with pytest.raises(EnvironmentAmbiguous):
        await services.register.find_transfer("Enyoi")
    assert (await services.register.find_transfer(f"{NEW_FIRM}/Enyoi")).transfer_id == moves[1].transfer_id
    await services.begin_undo(moves[1])
    await services.unfreeze(moves[1])
    await services.log.finish_undo(m.FinishUndo(transfer_id=moves[1].transfer_id))
    assert (await services.register.find_transfer("Enyoi")).transfer_id == moves[0].transfer_id


async def test_the_list_is_new_to_old_and_by_state(services: Services) -> None:
    """Lists transfers from new to old, by state."""
    moves = [await services.move(f"Klant {n}") for n in range(3)]
    for move in moves:
        await services.freeze(move)
    await services.begin_undo(moves[1])
    listed = [transfer.transfer_id for transfer in await services.register.transfers()]
    assert listed == [move.transfer_id for move in reversed(moves)]
    undoing = await services.register.transfers(states=[TransferState.UNDOING])
    assert [transfer.transfer_id for transfer in undoing] == [moves[1].transfer_id]
    assert len(await services.register.transfers(limit=2)) == 2


async def test_what_the_steps_left_behind_is_read_back(services: Services) -> None:
    """Reads back what the steps wrote."""
    move = await services.move()
    await services.freeze(move)
    empty = await services.register.results(move.transfer_id)
    assert (empty.report, empty.verification, empty.new_environment) == (None, None, None)
    await services.issue(move)
    _, file = await services.office.download(move.transfer_id)
    await services.accept(move, file)
    at = datetime(2026, 5, 12, tzinfo=UTC)
    check = m.Check(
        administration_id=uuid.uuid4(),
        administration="Enyoi BV",
        check=CheckKind.BANK_BALANCE,
        old=m.Figures(rows=1),
        new=m.Figures(rows=1),
        equal=True,
    )
    report = m.ComparisonReport(made_at=at, checks=[check])
    verification = m.Verification(tables=3, rows=4, seconds=0.5)
    await services.pool.execute(
        "update control.transfer set report = $2, verification = $3, clone_result = $4 where transfer_id = $1",
        move.transfer_id,
        report.model_dump_json(),
        verification.model_dump_json(),
        json.dumps({"tables": 3, "rows": 4, "bytes": 5, "seconds": 0.1}),
    )
    await services.pool.execute(
        "insert into control.sent_mail (transfer_id, kind, recipient, message_id, language, subject, status, problem) "
        "values ($1, 'ready', 'bo@zuid.example', '<1@x>', 'nl', 'Klaar', 'failed', 'no such user')",
        move.transfer_id,
    )
    assert await services.register.report(move.transfer_id) == report
    assert await services.register.verification(move.transfer_id) == verification
    results = await services.register.results(move.transfer_id)
    assert results.clone_result == m.CloneFinished(tables=3, rows=4, bytes=5, seconds=0.1)
    assert results.new_environment is not None
    assert results.new_environment.name == "Enyoi Nieuw"
    assert results.ticket_file_name == "enyoi-overdracht-ticket.avr"
    mails = await services.register.mails(move.transfer_id)
    assert [(mail.kind, mail.problem) for mail in mails] == [(MailKind.READY, "no such user")]
    with pytest.raises(TransferUnknown):
        await services.register.results(uuid.uuid4())
    assert await services.register.transfer(uuid.uuid4()) is None
