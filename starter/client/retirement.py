"""Asking for the end of an old environment, and calling it back."""

import asyncio
from datetime import timedelta
from uuid import UUID

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain import messages as m
from domain.errors import WrongMoment
from domain.naming import retirement_workflow_id_of
from starter.client.errors import NoWorker, as_domain_error, domain_errors
from workflows.retirement import RetirementWorkflow
from workflows.task_queues import TRANSFERS

_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.1
_RPC_TIMEOUT = timedelta(seconds=10)
_Handle = WorkflowHandle[RetirementWorkflow, m.RetirementResult]


async def plan_retirement(client: Client, order: m.RetirementInput) -> m.RetirementPlanned:
    """Have an old environment removed after a while; asked again, tell what is planned.

    Raises:
        NotMovedAway, StillForwarded, StillInTransfer, AlreadyRetired, EnvironmentUnknown: Nothing has changed.
        NoWorker: Nobody took it; it is planned when a worker is there.
    """
    with domain_errors():
        handle = await client.start_workflow(
            RetirementWorkflow.run,
            order,
            id=retirement_workflow_id_of(order.environment_id),
            task_queue=TRANSFERS,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary="the end of an old environment",
            rpc_timeout=_RPC_TIMEOUT,
        )
        until = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < until:
            planned = await _planned(handle)
            if planned is not None:
                return planned
            await asyncio.sleep(_PAUSE_SECONDS)
    raise NoWorker


async def _planned(handle: _Handle) -> m.RetirementPlanned | None:
    """Return what is planned, None when nobody has planned it yet; raise the refusal when there is one."""
    description = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
    if description.status is WorkflowExecutionStatus.FAILED:
        try:
            await handle.result()
        except WorkflowFailureError as error:
            raise as_domain_error(error.cause) from error
    return await handle.query(RetirementWorkflow.planned, rpc_timeout=_RPC_TIMEOUT)


async def call_back_retirement(client: Client, environment_id: UUID, order: m.CallBack) -> m.RetirementResult:
    """Keep an environment whose removal is planned.

    Raises:
        WrongMoment: Nothing is planned, or it is being removed already.
    """
    with domain_errors():
        handle: _Handle = client.get_workflow_handle_for(
            RetirementWorkflow.run, retirement_workflow_id_of(environment_id)
        )
        try:
            await handle.signal(RetirementWorkflow.call_back, order, rpc_timeout=_RPC_TIMEOUT)
            async with asyncio.timeout(_PATIENCE_SECONDS):
                result = await handle.result()
        except TimeoutError:
            raise NoWorker from None
    if result.outcome is not m.RetirementOutcome.CALLED_BACK:
        raise WrongMoment
    return result
