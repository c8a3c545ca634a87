"""The end of an old environment: when it may be removed, what is left of it, and that its name is free again."""

import base64
import json
import os
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from pydantic import SecretStr

from adapters.crypto.certificate_signer import CertificateSigner
from adapters.transfer.queries import PostgresTransferQueries
from adapters.transfer.retirement import PostgresRetirements
from domain import messages as m
from domain.errors import (
    AlreadyRetired,
    EnvironmentUnknown,
    NotMovedAway,
    StillForwarded,
    StillInTransfer,
    UrlTaken,
    WrongMoment,
)
from tests.integration.services import ENTREPRENEUR, NEW_FIRM, OLD_FIRM, Move, Services

SIGNER = CertificateSigner([SecretStr(base64.b64encode(os.urandom(32)).decode())])


async def moved_away(services: Services, *, days_ago: int = 31) -> Move:
    """Move an environment to another firm so long ago."""
    move = await services.move()
    await services.inspectable(move)
    await services.gate.release(services.release_order(move, datetime.now(UTC) - timedelta(days=days_ago)))
    return move


def retirements(services: Services, wait: timedelta = timedelta(0)) -> PostgresRetirements:
    return PostgresRetirements(services.pool, SIGNER, wait=wait)


def planned(move: Move) -> m.RetirementInput:
    return m.RetirementInput(environment_id=move.environment_id, requested_by="an@noord.example", started_by="jwt an")


def due(move: Move) -> m.EndRetirement:
    return m.EndRetirement(environment_id=move.environment_id, requested_by="bo", reason="still needed")


async def test_an_old_environment_is_removed_and_what_was_in_it_is_on_record(services: Services) -> None:
    """Leaves no schema, a row that is retired, a signed statement and two lines in the log; asked again, the same."""
    move = await moved_away(services)
    old = retirements(services)
    states = PostgresTransferQueries(services.pool).retirement
    assert (await states(move.environment_id)).state == "none"
    plan = await old.plan(planned(move))
    assert await states(move.environment_id) == m.RetirementStanding(
        state=m.RetirementState.PLANNED, due_at=plan.due_at
    )
    assert (plan.transfer_id, plan.name) == (move.transfer_id, "Enyoi")
    assert await old.plan(planned(move)) == plan
    told = await services.row("select detail from control.transfer_event where kind = 'retirement_planned'")
    assert json.loads(told[0])["started_by"] == "jwt an"
    result = await old.retire(due(move))
    assert (result.outcome, result.tables) == (m.RetirementOutcome.RETIRED, 19)
    assert result.rows == 11
    assert await old.retire(due(move)) == result
    assert await services.status_of(move.environment_id) == "retired"
    assert (await states(move.environment_id)).state == "removed"
    assert not await services.pool.fetchval("select exists (select from pg_namespace where nspname = $1)", move.schema)
    assert await services.pool.fetchval(f"select count(*) from {move.new_schema}.app_user") == 2
    assert (await services.kinds(move))[-2:] == ["retirement_planned", "environment_retired"]
    file = json.loads((await services.row("select certificate from control.retirement"))[0])
    statement = next(part for part in file.values() if isinstance(part, dict))
    assert statement["rows_by_table"]["administration"] == 3
    assert statement["url"] == "https://noord.sb.example/enyoi"
    with pytest.raises(AlreadyRetired):
        await old.plan(planned(move))


async def test_what_is_still_needed_is_not_removed(services: Services) -> None:
    """Refuses before the release, while mail is forwarded, while its books move, and what there is not."""
    old = retirements(services)
    with pytest.raises(EnvironmentUnknown):
        await old.plan(m.RetirementInput(environment_id=uuid.uuid4(), requested_by="x"))
    move = await services.move()
    with pytest.raises(NotMovedAway):
        await old.plan(planned(move))
    await services.inspectable(move)
    with pytest.raises(NotMovedAway):
        await old.plan(planned(move))
    await services.gate.release(services.release_order(move))
    with pytest.raises(StillForwarded):
        await old.plan(planned(move))
    await services.pool.execute("update control.mailbox_route set valid_until = now() where valid_until is not null")
    await services.gate.close_forwarding(
        m.CloseMailboxForwarding(transfer_id=move.transfer_id, old_mailbox_address="enyoi@noord.mailbox.sb.example")
    )
    await old.plan(planned(move))
    await services.freeze(Move(move.new_environment_id, uuid.uuid4(), uuid.uuid4()))
    with pytest.raises(StillInTransfer):
        await old.retire(due(move))
    assert await services.status_of(move.environment_id) == "read_only"


async def test_a_removal_can_be_called_back_until_it_begins(services: Services) -> None:
    """Keeps what is called back, lets it be planned anew, and says no when it is gone."""
    move = await moved_away(services)
    later, now = retirements(services, timedelta(days=14)), retirements(services)
    with pytest.raises(WrongMoment):
        await later.retire(due(move))
    plan = await later.plan(planned(move))
    assert plan.due_at > datetime.now(UTC) + timedelta(days=13)
    with pytest.raises(WrongMoment):
        await later.retire(due(move))
    assert await later.call_back(due(move))
    assert await later.call_back(due(move))
    with pytest.raises(WrongMoment):
        await now.retire(due(move))
    await now.plan(planned(move))
    await now.retire(due(move))
    assert not await now.call_back(due(move))
    assert (await services.kinds(move))[-4:] == [
        "retirement_planned",
        "retirement_called_back",
        "retirement_planned",
        "environment_retired",
    ]


async def test_a_removal_that_was_broken_off_goes_on(services: Services) -> None:
    """Finds the plan again once books are being dropped, and comes to the end: a new run has to begin with it."""
    move = await moved_away(services)
    old = retirements(services)
    plan = await old.plan(planned(move))
    await services.pool.execute(
        "update control.environment set status = 'retired' where environment_id = $1", move.environment_id
    )
    await services.pool.execute("update control.retirement set retired_at = now(), removed = '{\"quote\": 1}'")
    assert await old.plan(planned(move)) == plan
    assert (await old.retire(due(move))).rows == 1
    with pytest.raises(AlreadyRetired):
        await old.plan(planned(move))


async def test_moving_back_under_the_old_name_works_once_the_old_one_is_removed(services: Services) -> None:
    """Frees name, url and address for the customer whose they were, and the address for nobody else."""
    away = await moved_away(services)
    await services.gate.close_forwarding(
        m.CloseMailboxForwarding(transfer_id=away.transfer_id, old_mailbox_address="enyoi@noord.mailbox.sb.example")
    )
    old = retirements(services)
    await old.plan(planned(away))
    await old.retire(due(away))
    other = await services.move("Ander", ENTREPRENEUR)
    with pytest.raises(UrlTaken):
        await services.accept(other, await services.ticket(other), licence_number=OLD_FIRM, name="Enyoi")
    back = Move(away.new_environment_id, uuid.uuid4(), uuid.uuid4())
    await services.ticket(back)
    wanted = {"name": "Enyoi", "url_part": "enyoi", "base_domain": "sb.example"}
    for move, taken in ((back, False), (other, True)):  # whoever types is told what the upload would be told
        state = await PostgresTransferQueries(services.pool).name_state(
            OLD_FIRM, **wanted, transfer_id=move.transfer_id
        )
        assert state is not None
        assert (state.name_taken, state.url_taken) == (False, taken)
    made = await services.moved(back, licence_number=OLD_FIRM, name="Enyoi")
    assert (made.accepted.name, made.accepted.url) == ("Enyoi", "https://noord.sb.example/enyoi")
    await services.gate.open_for_inspection(m.OpenForInspection(transfer_id=back.transfer_id))
    await services.gate.release(services.release_order(back))
    address = "enyoi@noord.mailbox.sb.example"
    assert await services.pool.fetchval("select control.deliver_mail($1, 'a', 'a', now())", address) == "delivered"
    assert NEW_FIRM != OLD_FIRM


async def test_the_books_of_others_are_never_dropped(services: Services) -> None:
    """Refuses to drop an environment in use, whoever asks the database."""
    move = await moved_away(services)
    for schema in (move.schema, move.new_schema):
        with pytest.raises(asyncpg.ObjectInUseError):
            await services.pool.execute("select control.drop_clone_schema($1, $2)", uuid.UUID(int=0), schema)
