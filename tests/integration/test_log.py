"""The log: told once, and the bar that an undo puts before every step forward."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from domain import messages as m
from domain.errors import SomethingLeft, Superseded, TransferUnknown, WrongMoment
from domain.naming import workflow_id_of
from domain.steps import StepName
from domain.vocabulary import UndoReason
from tests.integration.desk import Desk, Move


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Desk]:
    """The adapters on a database of the test's own."""
    async with Desk(dsn) as made:
        yield made


async def test_an_event_is_told_once_for_each_key(desk: Desk) -> None:
    """A retry would tell the story twice, or an event of a transfer without a row would be lost."""
    transfer_id = uuid.uuid4()
    order = m.RecordEvent(
        event_key=uuid.uuid4(), transfer_id=transfer_id, actor="an", kind="release_refused", reason="not yet\x00"
    )
    await asyncio.gather(*(desk.log.record(order) for _ in range(5)))
    await desk.log.record(order.model_copy(update={"event_key": uuid.uuid4()}))
    events = await desk.register.events(transfer_id)
    assert [(event.actor, event.kind, event.reason) for event in events] == [("an", "release_refused", "not yet")] * 2
    assert [event.event_id for event in await desk.register.events(transfer_id, after=events[0].event_id)] == [
        events[1].event_id
    ]


async def test_how_far_a_step_is_shows_while_it_runs(desk: Desk) -> None:
    """Whoever looks at night would see a clone that stands still, or one of an evening that was put off."""
    move = await desk.move()
    await desk.moved(move)
    far = m.StepSeen(step=StepName.CLONE, progress=m.CloneProgress(phase="rows", rows_done=10, rows_total=40))
    await desk.log.show(move.transfer_id, far)
    further = far.model_copy(update={"progress": m.CloneProgress(phase="rows", rows_done=30, rows_total=40)})
    await desk.log.show(move.transfer_id, further)
    standing = await desk.register.standing(move.transfer_id)
    assert (standing.seen_step, standing.seen) == (StepName.CLONE, further.progress)
    assert standing.new
    await desk.log.show(uuid.uuid4(), far)  # of a transfer that there is not: nothing to show, and nothing breaks


async def test_the_log_is_append_only(desk: Desk) -> None:
    """Somebody could change what an auditor reads."""
    move = await desk.move()
    await desk.freeze(move)
    for statement in ("update control.transfer_event set actor = 'x'", "delete from control.transfer_event"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await desk.pool.execute(statement)


async def test_an_undo_bars_every_step_forward(desk: Desk) -> None:
    """An attempt left over from a lost worker would redo what the undo has undone."""
    move = await desk.move()
    file = await desk.ticket(move)
    await desk.accept(move, file)
    await desk.begin_undo(move, UndoReason.FAILED)
    await desk.begin_undo(move, UndoReason.CANCELLED)
    row = await desk.transfer_row(move)
    assert (row["state"], row["undo_reason"], row["undo_detail"]) == ("undoing", "failed", "because")
    for step in (
        desk.freeze(move),
        desk.issue(move),
        desk.accept(move, file),
        desk.gate.open_for_inspection(m.OpenForInspection(transfer_id=move.transfer_id)),
        desk.gate.release(desk.release_order(move)),
    ):
        with pytest.raises(Superseded):
            await step
    await desk.undo_steps(move)
    await desk.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    await desk.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    row = await desk.transfer_row(move)
    assert row["state"] == "undone"
    assert row["ended_at"] is not None
    kinds = await desk.kinds(move)
    assert (kinds.count("undo_begun"), kinds.count("undo_finished")) == (1, 1)
    with pytest.raises(Superseded):
        await desk.freeze(move)


async def test_an_undo_ends_when_nothing_is_left(desk: Desk) -> None:
    """A workflow that was reset does not know of every step: what it left would stay for ever."""
    move = await desk.move()
    await desk.moved(move)
    await desk.begin_undo(move)
    finish = m.FinishUndo(transfer_id=move.transfer_id)
    with pytest.raises(SomethingLeft, match="Left: the freeze, the ticket, the reservation, the clone"):
        await desk.log.finish_undo(finish)
    await desk.unfreeze(move)
    await desk.office.revoke(m.RevokeTicket(transfer_id=move.transfer_id))  # used, and still to be revoked
    await desk.reservations.release(m.ReleaseReservation(transfer_id=move.transfer_id))
    with pytest.raises(SomethingLeft, match="Left: the clone"):
        await desk.log.finish_undo(finish)
    assert (await desk.transfer_row(move))["state"] == "undoing"
    await desk.pool.execute(f"drop schema {move.new_schema} cascade")
    await desk.log.finish_undo(finish)
    assert (await desk.transfer_row(move))["state"] == "undone"


async def test_a_transfer_without_a_row_gets_a_tombstone(desk: Desk) -> None:
    """A freeze still on its way would shut an environment after its transfer was called off."""
    move = Move(uuid.uuid4(), uuid.uuid4(), uuid.uuid4())
    await desk.begin_undo(move)
    await desk.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    row = await desk.transfer_row(move)
    assert (row["state"], row["workflow_id"]) == ("undone", workflow_id_of(move.environment_id))
    record = await desk.register.transfer(move.transfer_id)
    assert record is not None
    assert record.environment_name == ""


async def test_a_freeze_and_an_undo_at_once(desk: Desk) -> None:
    """An environment would stay shut with nobody to open it."""
    for index in range(25):
        move = await desk.move(f"Klant {index}")
        frozen, undone = await asyncio.gather(desk.freeze(move), desk.begin_undo(move), return_exceptions=True)
        assert undone is None
        assert isinstance(frozen, m.EnvironmentFrozen | Superseded)
        await desk.unfreeze(move)
        assert await desk.status_of(move.environment_id) == "active"
        assert await desk.fences(move.schema) == {}
        with pytest.raises(Superseded):
            await desk.freeze(move)


async def test_the_undo_of_a_second_transfer_leaves_the_first_alone(desk: Desk) -> None:
    """A second transfer that was refused could not end, or would end the one that is under way."""
    move = await desk.move()
    await desk.freeze(move)
    second = Move(move.environment_id, uuid.uuid4(), uuid.uuid4())
    await desk.begin_undo(second)
    await desk.begin_undo(second)
    await desk.log.finish_undo(m.FinishUndo(transfer_id=second.transfer_id))
    assert (await desk.transfer_row(second))["state"] == "undone"
    assert (await desk.transfer_row(second))["ended_at"] is not None
    assert (await desk.transfer_row(move))["state"] == "preparing"


async def test_only_an_undo_that_began_can_finish(desk: Desk) -> None:
    """A transfer under way would be written off."""
    move = await desk.move()
    with pytest.raises(TransferUnknown):
        await desk.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
    await desk.freeze(move)
    with pytest.raises(WrongMoment):
        await desk.log.finish_undo(m.FinishUndo(transfer_id=move.transfer_id))
