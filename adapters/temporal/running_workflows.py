"""Asks Temporal which workflows run: by id, because its lists are a moment behind."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Unavailable
from domain.facts import WorkflowFacts
from domain.naming import environment_id_in
from domain.vocabulary import TransferState

_AT_ONCE = 32
TRANSFER_WORKFLOW = "TransferWorkflow"
_STATE = SearchAttributeKey.for_keyword("TransferState")
_RPC_TIMEOUT = timedelta(seconds=10)


class TemporalWorkflows:
    """Plays `adapters.reconcile.inspection.Liveness`."""

    def __init__(self, client: Client) -> None:
        """Take a client of the namespace that the transfers run in."""
        self._client = client

    async def running(self, workflow_ids: Collection[str]) -> set[str]:
        """Return those of these ids whose newest run is running.

        Raises:
            Unavailable: Temporal does not answer.
        """
        turn = asyncio.Semaphore(_AT_ONCE)

        async def ask(workflow_id: str) -> bool:
            async with turn:
                return await self._runs(workflow_id)

        ids = sorted(workflow_ids)
        answers = await asyncio.gather(*map(ask, ids))
        return {workflow_id for workflow_id, runs in zip(ids, answers, strict=True) if runs}

    async def transfers(self) -> tuple[WorkflowFacts, ...]:
        """Return the workflows of transfers that run; what has changed in the last second may be missing.

        Raises:
            Unavailable: Temporal does not answer.
        """
        query = f"WorkflowType = '{TRANSFER_WORKFLOW}' AND ExecutionStatus = 'Running'"
        found = []
        try:
            async for one in self._client.list_workflows(query, rpc_timeout=_RPC_TIMEOUT):
                state = one.typed_search_attributes.get(_STATE)
                environment_id = environment_id_in(one.id)
                if state in set(TransferState) and environment_id is not None:
                    started_at, state = one.start_time, TransferState(state)
                    found.append(WorkflowFacts(environment_id=environment_id, started_at=started_at, state=state))
        except RPCError as error:
            raise Unavailable(f"Temporal does not list the transfers that run: {error.message}") from error
        return tuple(found)

    async def _runs(self, workflow_id: str) -> bool:
        try:
            description = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise Unavailable(f"Temporal does not say whether {workflow_id} runs: {error.message}") from error
        return description.status is WorkflowExecutionStatus.RUNNING
