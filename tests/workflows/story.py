"""Moves that many tests make."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.naming import workflow_id_of
from domain.vocabulary import TransferState
from tests.workflows.world import Gate
from workflows import task_queues as queues
from workflows.outcome import result_in
from workflows.transfer import TransferWorkflow

Transfer = WorkflowHandle[TransferWorkflow, m.TransferResult]
UPLOAD = m.Upload(sealed_ticket="sealed", licence_number="10002", name="Enyoi", uploaded_by="new side")


async def started(
    environment: WorkflowEnvironment,
    world: Gate,
    client: Client | None = None,
    *,
    task_timeout: timedelta | None = None,
) -> Transfer:
    """Start a transfer of the world's environment; a client of one's own reads and writes under its own keys."""
    with environment.with_time_skipping_disabled():
        return await (client or environment.client).start_workflow(
            TransferWorkflow.run,
            m.TransferInput(environment_id=world.old_id, requested_by="old side"),
            id=workflow_id_of(world.old_id),
            task_queue=queues.TRANSFERS,
            task_timeout=task_timeout,
        )


async def reach(transfer: Transfer, state: TransferState, *, patience_seconds: float = 45.0) -> m.TransferStatus:
    """Wait until the transfer is in a state, and return its status."""
    deadline = asyncio.get_running_loop().time() + patience_seconds
    while True:
        try:
            status = await transfer.query(TransferWorkflow.status)
        except RPCError:
            status = None
        if status is not None and status.state is state:
            return status
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not {state.value} but {status.state.value if status else 'no answer'}")
        await asyncio.sleep(0.02)


async def upload(transfer: Transfer, order: m.Upload = UPLOAD) -> m.UploadAccepted:
    """Upload once the transfer waits for it."""
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    accepted: m.UploadAccepted = await transfer.execute_update("upload", order, result_type=m.UploadAccepted)
    return accepted


async def to_inspection(transfer: Transfer) -> m.TransferStatus:
    """Bring a fresh transfer to where the new side compares."""
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))
    return await reach(transfer, TransferState.AWAITING_RELEASE)


async def ended(transfer: WorkflowHandle[Any, m.TransferResult], *, patience_seconds: float = 60.0) -> m.TransferResult:
    """Return how a transfer, or its recovery, ended: that of one that failed is in the failure of its workflow."""
    try:
        return await asyncio.wait_for(transfer.result(), patience_seconds)
    except WorkflowFailureError as error:
        if (result := result_in(error.cause)) is None:
            raise
        return result


async def skip(environment: WorkflowEnvironment, transfer: Transfer, duration: timedelta) -> None:
    """Let a waiting workflow's own clock jump; it may well end on the way."""
    await environment.fast_forward(transfer, duration)
