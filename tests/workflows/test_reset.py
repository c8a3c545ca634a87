"""An operator resets a workflow in Temporal's pages: the database is further on than what runs."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.invariant import violations
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.vocabulary import MailKind, TransferState
from tests.workflows.stage import Stage
from tests.workflows.story import Transfer, reach, to_inspection
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
        await asyncio.wait_for(self.stage.world.until(lambda: kind in move.answered), 15)

    async def reset(self, after: str = "") -> None:
        """Go back to the first workflow task that was completed after this activity was begun."""
        begun = not after
        async for event in self.transfer.fetch_history_events():
            begun = begun or event.activity_task_scheduled_event_attributes.activity_type.name == after
            if begun and event.HasField("workflow_task_completed_event_attributes"):
                return await self.stage.reset(self.transfer.id, event.event_id)
        raise AssertionError(f"{after} was never begun")

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
    stage = Stage(skipping)
    await stage.open()
    moved = Moved(stage)
    await moved.to_inspection()
    yield moved
    await stage.close()


async def test_a_reset_to_the_beginning_undoes_what_had_been_moved(moved: Moved) -> None:
    """The run would wait a month for an upload that was made long ago, with the customer frozen."""
    await moved.reset()
    result = await asyncio.wait_for(moved.transfer.result(), 30)
    assert result.state is TransferState.UNDONE
    assert moved.wrong() == []
    assert moved.database.write(moved.environment_id, "row after")
    assert moved.new_id not in moved.database.books


async def test_a_cancel_after_a_reset_leaves_nothing_of_steps_that_the_run_does_not_know(moved: Moved) -> None:
    """The clone would stay behind: the run that undoes was reset to before there was one."""
    await moved.reset(after="issue_ticket")
    await reach(moved.transfer, TransferState.AWAITING_UPLOAD)
    await moved.transfer.cancel()
    result = await asyncio.wait_for(moved.transfer.result(), 30)
    assert result.state is TransferState.UNDONE
    assert moved.wrong() == []
    assert moved.database.told(moved.transfer_id, "clone_dropped")


@pytest.mark.parametrize("after", ["", "check_unchanged"])
async def test_a_reset_after_the_release_changes_nothing(moved: Moved, after: str) -> None:
    """A run that undoes for ever what cannot be undone would keep calling for an operator."""
    await moved.transfer.signal(TransferWorkflow.release, RELEASE)
    assert (await moved.transfer.result()).state is TransferState.RELEASED
    await moved.reset(after)
    result = await asyncio.wait_for(moved.transfer.result(), 30)
    assert result.state is TransferState.RELEASED
    assert moved.wrong() == []
    assert moved.database.write(moved.new_id, "row after")
    assert not moved.database.write(moved.environment_id, "row after")
