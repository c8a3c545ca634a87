"""Asks Temporal which workflows run: by id, because its lists are a moment behind."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Unavailable

_AT_ONCE = 32
_RPC_TIMEOUT = timedelta(seconds=10)


class TemporalLiveness:
    """Plays `adapters.inspection.Liveness`."""

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

    async def _runs(self, workflow_id: str) -> bool:
        try:
            description = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise Unavailable(f"Temporal does not say whether {workflow_id} runs: {error.message}") from error
        return description.status is WorkflowExecutionStatus.RUNNING
