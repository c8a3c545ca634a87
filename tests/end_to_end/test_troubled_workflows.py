"""Workflows that are paused, or that are none of ours, on the real stack: what people are told, and what helps."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState, ResetReapplyExcludeType
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    PauseWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
    UnpauseActivityRequest,
    UnpauseWorkflowExecutionRequest,
)

from domain.errors import WrongMoment
from domain.events import EventKind
from domain.naming import workflow_id_of
from domain.steps import ActivityName
from domain.violations import ViolationKind
from domain.vocabulary import TransferState
from starter.client.errors import NotATransfer, WorkflowPaused
from starter.client.models import PreparedTransfer
from tests.end_to_end.night import COMMAND, Night, movable, night

__all__ = ["night"]


async def until(met: Callable[[], Any]) -> None:
    """Wait until something is so; the server has no event for it."""
    async with asyncio.timeout(60):
        while not await met():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.1)


async def pause(night: Night, move: PreparedTransfer) -> None:
    """Do what `temporal workflow pause` does."""
    await night.temporal.workflow_service.pause_workflow_execution(
        PauseWorkflowExecutionRequest(
            namespace=night.temporal.namespace, workflow_id=move.workflow_id, reason="to look at it"
        )
    )


async def unpause(night: Night, move: PreparedTransfer) -> None:
    await night.temporal.workflow_service.unpause_workflow_execution(
        UnpauseWorkflowExecutionRequest(
            namespace=night.temporal.namespace, workflow_id=move.workflow_id, reason="it looks well"
        )
    )


async def test_a_paused_transfer_says_so_and_goes_on_when_it_is_unpaused(night: Night) -> None:
    """Tells the state of a paused transfer, and refuses its release until it goes on."""
    move = await night.way_to((await movable(night))[0], TransferState.AWAITING_RELEASE)
    await pause(night, move)
    code, output = await night.run(COMMAND, "status", move.workflow_id, "--json")
    assert code == 0, output
    assert TransferState.AWAITING_RELEASE.value in output
    assert await night.look() == ()
    with pytest.raises(WorkflowPaused):
        await night.client.release(move.workflow_id, by="new side")
    await unpause(night, move)
    await night.client.release(move.workflow_id, by="new side")

    async def released() -> bool:
        return bool((await night.client.status(str(move.transfer_id))).status.state is TransferState.RELEASED)

    await until(released)


async def test_a_paused_activity_is_not_tried_until_it_is_unpaused(night: Night) -> None:
    """An operator who holds a step back would see it go on, or the transfer never end once it is let go."""
    name = (await movable(night))[0]
    environment = await night.client.environment(name)
    namespace, kind = night.temporal.namespace, ActivityName.FREEZE_ENVIRONMENT
    async with night.owner.transaction():
        # Somebody is at work in the books, so the freeze is tried again and again.
        await night.owner.execute(f"lock table {environment.schema_name}.relation in row exclusive mode")
        order = await night.client.start(name, requested_by="old side")
        execution = WorkflowExecution(workflow_id=workflow_id_of(order.environment_id))
        await attempts(night, execution, at_least=2)
        await night.temporal.workflow_service.pause_activity(
            PauseActivityRequest(namespace=namespace, execution=execution, type=kind)
        )
        await until(lambda: is_paused(night, execution))
    tried = (await pending_activity(night, execution)).attempt
    await asyncio.sleep(3)
    held = await pending_activity(night, execution)
    assert (held.attempt, held.paused) == (tried, True)
    assert (await night.client.status(execution.workflow_id)).status.state is TransferState.PREPARING
    assert await night.look() == ()
    await night.temporal.workflow_service.unpause_activity(
        UnpauseActivityRequest(namespace=namespace, execution=execution, type=kind)
    )

    async def awaits_its_upload() -> bool:
        status = (await night.client.status(execution.workflow_id)).status
        return status.state is TransferState.AWAITING_UPLOAD

    await until(awaits_its_upload)
    await night.client.cancel(execution.workflow_id, by="support", reason="test")


async def test_a_released_transfer_that_is_reset_to_before_its_release_tells_the_truth(night: Night) -> None:
    """The new side would be mailed that it can compare what it works in, or be told that it is not released."""
    move = await night.way_to((await movable(night))[0], TransferState.AWAITING_RELEASE)
    which = str(move.transfer_id)
    handle = night.temporal.get_workflow_handle(move.workflow_id)
    events = (await handle.fetch_history()).events
    before = [one.event_id for one in events if one.HasField("workflow_task_completed_event_attributes")][-1]
    await night.client.release(move.workflow_id, by="new side")
    assert (await night.client.result(which)).state is TransferState.RELEASED
    told = await mails_of(night, move)
    await night.temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=night.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=move.workflow_id),
            reason="a bad deploy",
            workflow_task_finish_event_id=before,
            request_id=str(uuid4()),
            reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL],
        )
    )

    async def is_behind() -> bool:
        return [one.kind for one in await night.look()] == [ViolationKind.WORKFLOW_BEHIND]

    await until(is_behind)
    status = (await night.client.status(which)).status
    assert status.state is TransferState.RELEASED
    assert await mails_of(night, move) == told
    # Whoever releases it once more is told the truth, and the run learns it.
    with pytest.raises(WrongMoment):
        await night.client.release(move.workflow_id, by="new side")
    await until(lambda: nothing_is_wrong(night))
    assert (await night.client.status(which)).status.state is TransferState.RELEASED
    assert await mails_of(night, move) == told


async def nothing_is_wrong(night: Night) -> bool:
    return await night.look() == ()


async def mails_of(night: Night, move: PreparedTransfer) -> list[tuple[str, str]]:
    """Return every mail of a transfer that was sent, as (kind, recipient)."""
    rows = await night.owner.fetch(
        "select kind, recipient from control.sent_mail where transfer_id = $1 order by 1, 2", move.transfer_id
    )
    return [(row["kind"], row["recipient"]) for row in rows]


async def pending_activity(night: Night, execution: WorkflowExecution) -> PendingActivityInfo:
    described = await night.temporal.get_workflow_handle(execution.workflow_id).describe()
    (pending,) = described.raw_description.pending_activities
    return pending


async def attempts(night: Night, execution: WorkflowExecution, *, at_least: int) -> None:
    """Wait until an activity has been tried so often."""

    async def tried() -> bool:
        pending = (await night.temporal.get_workflow_handle(execution.workflow_id).describe()).raw_description
        return any(one.attempt >= at_least for one in pending.pending_activities)

    await until(tried)


async def is_paused(night: Night, execution: WorkflowExecution) -> bool:
    pending = await pending_activity(night, execution)
    return bool(pending.paused and pending.state != PendingActivityState.PENDING_ACTIVITY_STATE_STARTED)


async def test_support_hurries_a_transfer_by_the_command_line(night: Night) -> None:
    """Takes `hurry` of a transfer that waits, writes it, and refuses it once the transfer is undone."""
    move = await night.way_to((await movable(night))[0], TransferState.SCHEDULED)
    code, output = await night.run(COMMAND, "hurry", move.workflow_id, "--reason", "year-end", "--by", "support")
    assert code == 0, output
    told = [one for one in await night.client.events(str(move.transfer_id)) if one.kind == EventKind.HURRIED]
    assert [(one.actor, one.reason) for one in told] == [("support", "year-end")]
    await night.client.cancel(move.workflow_id, by="support", reason="test")
    code, output = await night.run(COMMAND, "hurry", move.workflow_id, "--reason", "too late", "--by", "support")
    assert code == 2, output


async def test_what_is_no_transfer_is_named_and_ended(night: Night) -> None:
    """Names what runs under a transfer's id, and ends it."""
    name = (await movable(night))[0]
    environment = await night.client.environment(name)
    foreign = await night.temporal.start_workflow(
        "Nonsense", id=workflow_id_of(environment.environment_id), task_queue="nobody-works-here"
    )
    with pytest.raises(NotATransfer, match="Nonsense"):
        await night.client.prepare(name, requested_by="old side")

    # Beside it may be lifted fences of the tests before: they are left while somebody reads their tables.
    async def is_named() -> bool:
        return ("foreign_workflow", f"workflow {foreign.id}") in [(one.kind, one.subject) for one in await night.look()]

    await until(is_named)  # what began in the last second may be missing
    outcome = await night.heal()
    assert ("foreign_workflow", True) in [(one.violation.kind, one.done) for one in outcome.healings]
    assert outcome.left.wrong == 0
    await night.way_to(name, TransferState.AWAITING_UPLOAD)
