"""An operator resets a workflow in Temporal's pages: the database is further on than what runs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.invariant import violations
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.vocabulary import MailKind, TransferState
from tests.workflows.modelled import Moment
from tests.workflows.stage import Stage, open_stage
from tests.workflows.story import Transfer, ended, reach, skip, to_inspection
from workflows import task_queues as queues
from workflows.transfer import TransferWorkflow

RELEASE = m.Release(released_by="new side")


class Moved:
    """A transfer that was brought to where the new side compares."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.database = stage.world.database
        self.transfer_id = uuid4()
        self.environment_id = self.database.open_environment()
        self.transfer: Transfer = stage.skipping.client.get_workflow_handle_for(
            TransferWorkflow.run, workflow_id_of(self.environment_id)
        )

    async def to_inspection(self) -> None:
        with self.stage.skipping.with_time_skipping_disabled():
            await self.stage.skipping.client.start_workflow(
                TransferWorkflow.run,
                m.TransferInput(environment_id=self.environment_id, transfer_id=self.transfer_id),
                id=self.transfer.id,
                task_queue=queues.TRANSFERS,
            )
        await to_inspection(self.transfer)
        await self.told(MailKind.READY)

    async def told(self, kind: MailKind) -> None:
        """Wait until everybody has a mail: what is still being sent is not what these tests are about."""
        move = self.database.moves[self.transfer_id]
        await asyncio.wait_for(self.stage.world.until(lambda: kind in move.answered), 60)

    async def reset(self, after: str = "", *, again: bool = True) -> None:
        """Go back to the first workflow task that was completed after this activity was done.

        Not after it was begun: mail is sent beside it, so that a task may or may not lie in between.
        """
        done, scheduled = not after, 0
        async for event in self.transfer.fetch_history_events():
            if event.activity_task_scheduled_event_attributes.activity_type.name == after:
                scheduled = event.event_id
            completed = event.activity_task_completed_event_attributes
            done = done or (scheduled > 0 and completed.scheduled_event_id == scheduled)
            if done and event.HasField("workflow_task_completed_event_attributes"):
                return await self.stage.reset(self.transfer.id, event.event_id, again=again)
        raise AssertionError(f"{after} was never done")

    async def reset_to_before_the_upload(self) -> None:
        """Go back to where it waits for the upload, and for nothing else."""
        last = 0
        async for event in self.transfer.fetch_history_events():
            if event.HasField("workflow_execution_update_accepted_event_attributes"):
                return await self.stage.reset(self.transfer.id, last, again=False)
            if event.HasField("workflow_task_completed_event_attributes"):
                last = event.event_id
        raise AssertionError("nothing was uploaded")

    async def tasks(self) -> list[int]:
        """Return the events to which the transfer can be reset."""
        history = await self.transfer.fetch_history()
        return [one.event_id for one in history.events if one.HasField("workflow_task_completed_event_attributes")]

    async def released(self) -> m.TransferResult:
        """Release it as the new side does, and return how it ended."""
        await reach(self.transfer, TransferState.AWAITING_RELEASE)
        await self.transfer.signal(TransferWorkflow.release, RELEASE)
        return await asyncio.wait_for(self.transfer.result(), 60)

    def wrong(self) -> list[str]:
        """Return what the checker says now that the transfer has ended; its mailbox workflow sleeps."""
        facts = self.database.facts({mailbox_workflow_id_of(self.transfer_id)}, self.transfer_id)
        wrong = [f"{one.kind}: {one.what}" for one in violations(facts)]
        mails = self.database.moves[self.transfer_id].mails
        return [*wrong, *(f"{mail} came {times} times" for mail, times in mails.items() if times > 1)]

    @property
    def new_id(self) -> UUID:
        new_id = self.database.moves[self.transfer_id].new_id
        assert new_id is not None
        return new_id


@pytest.fixture
async def moved(skipping: WorkflowEnvironment) -> AsyncIterator[Moved]:
    async with open_stage(skipping) as stage:
        moved = Moved(stage)
        await moved.to_inspection()
        yield moved


@pytest.mark.parametrize("again", [True, False], ids=["signals again", "no signals"])
async def test_a_reset_to_the_beginning_goes_on_where_it_was(moved: Moved, *, again: bool) -> None:
    """The run would wait a month for an upload that was made, or undo what people are comparing."""
    asked = moved.stage.world.asked[moved.transfer_id]
    await moved.reset(again=again)
    result = await moved.released()
    assert result.state is TransferState.RELEASED
    assert moved.wrong() == []
    assert "begin_undo" not in asked
    assert moved.database.write(moved.new_id, "row after")


async def test_a_reset_to_any_event_undoes_nothing(moved: Moved) -> None:
    """The cure of a bad deploy would cancel the moves of customers who wait for nothing but a release."""
    for task in reversed(await moved.tasks()):
        await moved.stage.reset(moved.transfer.id, task)
        await reach(moved.transfer, TransferState.AWAITING_RELEASE)
        assert moved.database.moves[moved.transfer_id].state is TransferState.AWAITING_RELEASE
    assert (await moved.released()).state is TransferState.RELEASED
    assert moved.wrong() == []
    assert "begin_undo" not in moved.stage.world.asked[moved.transfer_id]


async def test_a_ticket_does_not_expire_that_was_uploaded_before_a_reset(moved: Moved) -> None:
    """A month later the service would undo a transfer that the new side compares, for a ticket that was used."""
    await moved.reset_to_before_the_upload()
    await reach(moved.transfer, TransferState.AWAITING_UPLOAD)
    await skip(moved.stage.skipping, moved.transfer, timedelta(days=31))
    assert (await moved.released()).state is TransferState.RELEASED
    assert moved.wrong() == []


async def test_a_release_of_what_is_released_recovers(moved: Moved) -> None:
    """The run that was reset would find all books changed since, and tell the new side to reject what it works in."""
    await moved.transfer.signal(TransferWorkflow.release, RELEASE)
    await moved.transfer.result()
    await moved.reset("issue_certificate", again=False)
    result = await moved.released()
    assert result.state is TransferState.RELEASED
    assert not moved.database.told(moved.transfer_id, "release_refused")
    assert moved.wrong() == []


async def test_many_who_decide_what_is_released_do_not_cut_off_the_recovery(moved: Moved) -> None:
    """Each finds out for itself that it is released; the run would end in the middle, with nobody to look after it."""
    await moved.transfer.signal(TransferWorkflow.release, RELEASE)
    await moved.transfer.result()
    looks, all_look = 0, asyncio.Event()

    async def slowly(order: Any, moment: Moment) -> None:
        nonlocal looks
        if isinstance(order, m.HashFrozen | m.SendMail):  # finds out as well
            await all_look.wait()
        if isinstance(order, m.ReadReservation) and moment is Moment.BEFORE:
            looks += 1
            if looks > 1:
                all_look.set()
            await asyncio.sleep(0.1)
        if isinstance(order, m.RecordEvent):
            await asyncio.sleep(0.5)

    moved.stage.world.seams[moved.transfer_id] = slowly
    await moved.reset_to_before_the_upload()
    await reach(moved.transfer, TransferState.AWAITING_UPLOAD)
    for reject in (True, False) * 3:
        if reject:
            await moved.transfer.signal("reject", m.Reject(rejected_by="new side", reason="looks wrong"))
        else:
            await moved.transfer.signal("release", RELEASE)
    assert (await asyncio.wait_for(moved.transfer.result(), 60)).state is TransferState.RELEASED
    assert looks > 1
    assert moved.wrong() == []
    told = moved.database.told(moved.transfer_id, "recovery_started")
    assert len(told) == 1


async def test_a_cancel_after_a_reset_leaves_nothing_of_steps_that_the_run_does_not_know(moved: Moved) -> None:
    """The clone would stay behind: the run that undoes was reset to before there was one."""
    await moved.reset_to_before_the_upload()
    await reach(moved.transfer, TransferState.AWAITING_UPLOAD)
    await moved.transfer.cancel()
    result = await ended(moved.transfer)
    assert result.state is TransferState.UNDONE
    assert moved.wrong() == []
    assert moved.database.told(moved.transfer_id, "clone_dropped")


@pytest.mark.parametrize("after", ["", "check_unchanged"])
async def test_a_reset_after_the_release_changes_nothing(moved: Moved, after: str) -> None:
    """A run that undoes for ever what cannot be undone would keep calling for an operator."""
    await moved.transfer.signal(TransferWorkflow.release, RELEASE)
    assert (await moved.transfer.result()).state is TransferState.RELEASED
    await moved.reset(after)
    result = await asyncio.wait_for(moved.transfer.result(), 60)
    assert result.state is TransferState.RELEASED
    assert moved.wrong() == []
    assert moved.database.write(moved.new_id, "row after")
    assert not moved.database.write(moved.environment_id, "row after")
