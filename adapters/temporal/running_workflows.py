"""Asks Temporal what runs under the ids of this service, and how it fares.

Speaks to the server in its own messages: the SDK fails at a status that is newer than itself, such as `paused`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    PendingWorkflowTaskState,
    WorkflowExecutionStatus,
    WorkflowTaskFailedCause,
)
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryReverseRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.converter import decode_typed_search_attributes
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Unavailable
from domain.facts import WorkflowFacts
from domain.naming import MAILBOX_PREFIX, TRANSFER_PREFIX
from domain.running import OPEN_PAYLOAD, STUCK_AT_ATTEMPT
from domain.vocabulary import TransferState

_AT_ONCE = 32
_PAGE = 500
_STATE = SearchAttributeKey.for_keyword("TransferState")
_RPC_TIMEOUT = timedelta(seconds=10)
# Everything that is open, whatever its status is called.
_OPEN = (
    f"(WorkflowId STARTS_WITH '{TRANSFER_PREFIX}' OR WorkflowId STARTS_WITH '{MAILBOX_PREFIX}') AND CloseTime IS NULL"
)
_ALIVE = frozenset(
    {
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
    }
)
_TASK_ENDS = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    }
)
# A task fails for these in the best of health: somebody has reset the workflow, or something came while it was at work.
_HARMLESS = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
    }
)
_LOOKED_AT = 100  # events, from the newest back: signals may have come since a task has failed
_SEEN_FAILING_AT = 2  # attempts; below it a history need not be read
_ONE = TypeVar("_ONE")
_ANSWER = TypeVar("_ANSWER")


class TemporalWorkflows:
    """Plays `adapters.reconcile.inspection.RunningWorkflows`, and ends a run for `adapters.reconcile.repairs`."""

    def __init__(self, client: Client, task_queue: str, at_once: int = _AT_ONCE) -> None:
        """Take a client of the namespace of the transfers, their queue, and how many questions to ask at once."""
        self._client = client
        self._task_queue = task_queue
        self._at_once = at_once

    async def running(self, workflow_ids: Collection[str]) -> set[str]:
        """Return those of these ids whose newest run is running, or paused.

        Raises:
            Unavailable: Temporal does not answer.
        """

        async def runs(workflow_id: str) -> bool:
            described = await self._described(workflow_id)
            return described is not None and described.workflow_execution_info.status in _ALIVE

        ids = sorted(workflow_ids)
        answers = await self._each(ids, runs)
        return {workflow_id for workflow_id, answer in zip(ids, answers, strict=True) if answer}

    async def open(self) -> tuple[WorkflowFacts, ...]:
        """Return what is open under the ids of transfers and mailboxes; what began in the last second may be missing.

        Raises:
            Unavailable: Temporal does not answer.
        """
        found = [one async for one in self._listed()]
        facts = await self._each(found, self._facts)
        return tuple(one for one in facts if one is not None)

    async def look_at(self, workflow_id: str, run_id: str) -> WorkflowFacts | None:
        """Return how one run fares; None when it is not open any more.

        Raises:
            Unavailable: Temporal does not answer.
        """
        described = await self._described(workflow_id, run_id)
        return None if described is None else await self._told(described)

    async def end(self, workflow_id: str, run_id: str, why: str) -> None:
        """Terminate one run; nothing happens when it has ended.

        Raises:
            Unavailable: Temporal does not answer.
        """
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            await handle.terminate(reason=why, rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise Unavailable(f"Temporal does not end {workflow_id}: {error.message}") from error

    async def _each(self, some: Iterable[_ONE], ask: Callable[[_ONE], Awaitable[_ANSWER]]) -> list[_ANSWER]:
        turn = asyncio.Semaphore(self._at_once)

        async def in_turn(one: _ONE) -> _ANSWER:
            async with turn:
                return await ask(one)

        return await asyncio.gather(*map(in_turn, some))

    async def _listed(self) -> AsyncIterator[WorkflowExecutionInfo]:
        request = ListWorkflowExecutionsRequest(namespace=self._client.namespace, query=_OPEN, page_size=_PAGE)
        while True:
            try:
                page = await self._client.workflow_service.list_workflow_executions(
                    request, timeout=_RPC_TIMEOUT, retry=True
                )
            except RPCError as error:
                raise Unavailable(f"Temporal does not list the transfers that run: {error.message}") from error
            for info in page.executions:
                yield info
            if not page.next_page_token:
                return
            request.next_page_token = page.next_page_token

    async def _facts(self, info: WorkflowExecutionInfo) -> WorkflowFacts | None:
        described = await self._described(info.execution.workflow_id, info.execution.run_id)
        return None if described is None else await self._told(described)

    async def _told(self, described: DescribeWorkflowExecutionResponse) -> WorkflowFacts | None:
        """Return what the server says of a run that is open."""
        info, task = described.workflow_execution_info, described.pending_workflow_task
        if info.status not in _ALIVE:
            return None
        state = decode_typed_search_attributes(info.search_attributes).get(_STATE)
        waiting = task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
        paused = info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED
        failure = await self._last_failure(info.execution) if task.attempt >= _SEEN_FAILING_AT else ""
        return WorkflowFacts(
            workflow_id=info.execution.workflow_id,
            run_id=info.execution.run_id,
            type=info.type.name,
            on_our_queue=info.task_queue == self._task_queue,
            state=TransferState(state) if state in set(TransferState) else None,
            began_at=await self._first_start(described),
            run_began_at=_moment(info.start_time),
            paused=paused,
            attempts=task.attempt,
            failure=failure,
            awaits_key=any(
                one.activity_type.name == OPEN_PAYLOAD and one.attempt >= STUCK_AT_ATTEMPT
                for one in described.pending_activities
            ),
            waiting_since=_moment(task.scheduled_time) if waiting and not paused else None,
        )

    async def _first_start(self, described: DescribeWorkflowExecutionResponse) -> datetime | None:
        """Return when the first run of a chain began: a reset and a new run go on with what that one did.

        None when the server has forgotten it.
        """
        info = described.workflow_execution_info
        if info.first_run_id in ("", info.execution.run_id):
            return _moment(info.start_time)
        first = await self._described(info.execution.workflow_id, info.first_run_id)
        return None if first is None else _moment(first.workflow_execution_info.start_time)

    async def _last_failure(self, execution: WorkflowExecution) -> str:
        """Return why the newest workflow task failed; nothing when it ended well, timed out, or failed harmlessly."""
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self._client.namespace, execution=execution, maximum_page_size=_LOOKED_AT
        )
        try:
            page = await self._client.workflow_service.get_workflow_execution_history_reverse(
                request, timeout=_RPC_TIMEOUT, retry=True
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return ""
            raise Unavailable(f"Temporal does not show {execution.workflow_id}: {error.message}") from error
        newest = next((event for event in page.history.events if event.event_type in _TASK_ENDS), None)
        if newest is None or newest.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            return ""
        cause = newest.workflow_task_failed_event_attributes.cause
        if cause in _HARMLESS:
            return ""
        return WorkflowTaskFailedCause.Name(cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_").lower()

    async def _described(self, workflow_id: str, run_id: str = "") -> DescribeWorkflowExecutionResponse | None:
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
        )
        try:
            return await self._client.workflow_service.describe_workflow_execution(
                request, timeout=_RPC_TIMEOUT, retry=True
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise Unavailable(f"Temporal does not say whether {workflow_id} runs: {error.message}") from error


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
