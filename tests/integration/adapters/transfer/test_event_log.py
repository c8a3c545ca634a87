"""The log: told once, and the bar that an undo puts before every step forward."""

import asyncio
import uuid

import asyncpg
import pytest

from domain import messages as m
from domain.errors import SomethingLeft, Superseded, TransferUnknown, WrongMoment
from domain.naming import workflow_id_of
from domain.steps import StepName
from domain.vocabulary import UndoReason
from tests.integration.services import Move, Services


async def test_an_event_is_told_once_for_each_key(services: Services) -> None:
    """Writes an event once for each key."""
    transfer_id = uuid.uuid4()
    order = m.RecordEvent(
        event_key=uuid.uuid4(), transfer_id=transfer_id, actor="an", kind="release_refused", reason="not yet\x00"
    )
    await asyncio.gather(*(services.log.record(order) for _ in range(5)))
    await services.log.record(order.model_copy(update={"event_key": uuid.uuid4()}))
    events = await services.register.events(transfer_id)
    assert [(event.actor, event.kind, event.reason) for event in events] == [("an", "release_refused", "not yet")] * 2
    assert [event.event_id for event in await services.register.events(transfer_id, after=events[0].event_id)] == [
        events[1].event_id
    ]


async def test_whose_transfer_it_is_is_known_from_its_freeze_on(services: Services) -> None:
    """Nobody's answer from before there was a row counts, and a server that is away does not matter to those known."""
    move = await services.move()
    assert await services.log.workflow_of(move.transfer_id) is None
    await services.freeze(move)
    assert await services.log.workflow_of(move.transfer_id) == workflow_id_of(move.environment_id)
    assert await services.log.workflow_of(uuid.uuid4()) is None
    await services.pool.close()
    assert await services.log.workflow_of(move.transfer_id) == workflow_id_of(move.environment_id)


async def test_how_far_a_step_is_shows_while_it_runs(services: Services) -> None:
    """Shows a running step's progress, and none of an evening that was put off."""
    move = await services.move()
    await services.moved(move)
    far = m.StepSeen(step=StepName.CLONE, progress=m.CloneProgress(phase="rows", rows_done=10, rows_total=40))
    await services.log.show(move.transfer_id, far)
    further = far.model_copy(update={"progress": m.CloneProgress(phase="rows", rows_done=30, rows_total=40)})
    await services.log.show(move.transfer_id, further)
    standing = await services.register.standing(move.transfer_id)
    assert (standing.seen_step, standing.seen) == (StepName.CLONE, further.progress)
    assert standing.new
    await services.log.show(uuid.uuid4(), far)  # of a transfer that there is not: nothing to show, and nothing breaks


async def test_the_log_is_append_only(services: Services) -> None:
    """Refuses changes and deletions of the log."""
    move = await services.move()
    await services.freeze(move)
    for statement in ("update control.transfer_event set actor = 'x'", "delete from control.transfer_event"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await services.pool.execute(statement)


async def test_an_undo_bars_every_step_forward(services: Services) -> None:
    """Refuses every forward step once the undo has begun."""
    move = await services.move()
    file = await services.ticket(move)
    await services.accept(move, file)
    await services.begin_undo(move, UndoReason.FAILED)
    await services.begin_undo(move, UndoReason.CANCELLED)
    row = await services.transfer_row(move)
    assert (row["state"], row["undo_reason"], row["undo_detail"]) == ("undoing", "failed", "because")
    for step in (
        services.freeze(move),
        services.issue(move),
        services.accept(move, file),
        services.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id)),
        services.gate.release(services.release_order(move)),
    ):
        with pytest.raises(Superseded):
            await step
    await services.undo_steps(move)
    await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    row = await services.transfer_row(move)
    assert row["state"] == "undone"
    assert row["ended_at"] is not None
    kinds = await services.kinds(move)
    assert (kinds.count("undo_begun"), kinds.count("undo_finished")) == (1, 1)
    with pytest.raises(Superseded):
        await services.freeze(move)


async def test_an_undo_ends_when_nothing_is_left(services: Services) -> None:
    """Ends an undo only when nothing of the transfer is left."""
    move = await services.move()
    await services.moved(move)
    await services.begin_undo(move)
    finish = m.FinishUndo(transfer_id=move.transfer_id)
    with pytest.raises(SomethingLeft, match="Left: the freeze, the ticket, the reservation, the clone"):
        await services.log.finish_undo(finish)
    await services.unfreeze(move)
    await services.office.revoke(m.RevokeTicket(transfer_id=move.transfer_id))  # used, and still to be revoked
    await services.reservations.release(m.ReleaseReservation(transfer_id=move.transfer_id))
    with pytest.raises(SomethingLeft, match="Left: the clone"):
        await services.log.finish_undo(finish)
    assert (await services.transfer_row(move))["state"] == "undoing"
    await services.pool.execute(f"drop schema {move.new_schema} cascade")
    await services.log.finish_undo(finish)
    assert (await services.transfer_row(move))["state"] == "undone"


async def test_a_transfer_without_a_row_gets_a_tombstone(services: Services) -> None:
    """Bars a late freeze by a row for a transfer that never had one."""
    move = Move(uuid.uuid4(), uuid.uuid4(), uuid.uuid4())
    await services.begin_undo(move)
    await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    row = await services.transfer_row(move)
    assert (row["state"], row["workflow_id"]) == ("undone", workflow_id_of(move.environment_id))
    record = await services.register.transfer(move.transfer_id)
    assert record is not None
    assert record.environment_name == ""


async def test_a_freeze_and_an_undo_at_once(services: Services) -> None:
    """Leaves the environment active when a freeze and its undo come together."""
    for index in range(25):
        move = await services.move(f"Klant {index}")
        frozen, undone = await asyncio.gather(services.freeze(move), services.begin_undo(move), return_exceptions=True)
        assert undone is None
        assert isinstance(frozen, m.EnvironmentFrozen | Superseded)
        await services.unfreeze(move)
        assert await services.status_of(move.environment_id) == "active"
        assert await services.fences(move.schema) == {}
        with pytest.raises(Superseded):
            await services.freeze(move)


async def test_the_undo_of_a_second_transfer_leaves_the_first_alone(services: Services) -> None:
    """Ends a refused second transfer without touching the first."""
    move = await services.move()
    await services.freeze(move)
    second = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    await services.begin_undo(second)
    await services.begin_undo(second)
    await services.log.finish_undo(m.FinishUndo(transfer_id=second.transfer_id))
    assert (await services.transfer_row(second))["state"] == "undone"
    assert (await services.transfer_row(second))["ended_at"] is not None
    assert (await services.transfer_row(move))["state"] == "preparing"


async def test_only_an_undo_that_began_can_finish(services: Services) -> None:
    """Refuses to finish an undo that has not begun."""
    move = await services.move()
    with pytest.raises(TransferUnknown):
        await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    await services.freeze(move)
    with pytest.raises(WrongMoment):
        await services.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
