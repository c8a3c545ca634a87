"""Workflows that are paused, or that are none of ours, on the real stack: what people are told, and what helps."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest

from domain.events import EventKind
from domain.naming import workflow_id_of
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
    found = await night.look()
    assert [(one.kind, one.subject) for one in found] == [("foreign_workflow", f"workflow {foreign.id}")]
    outcome = await night.heal()
    assert [(one.violation.kind, one.done) for one in outcome.healings] == [("foreign_workflow", True)]
    assert outcome.left.wrong == 0
    await night.way_to(name, TransferState.AWAITING_UPLOAD)
