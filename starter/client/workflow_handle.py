"""One run of a transfer's workflow, spoken to in the domain's messages and answering in the domain's errors.

Long, for every signal, update and query has its method here.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import HistoryEventFilterType, WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryRequest,
)
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import missing_search_attributes
from domain import messages as m
from domain.errors import AlreadyInTransfer, Misconfigured, TransferUnknown, Unavailable, WrongMoment
from domain.naming import workflow_id_of
from domain.running import STUCK_AT_ATTEMPT
from domain.steps import ActivityName, StepName, StepState
from domain.vocabulary import TransferState
from starter.client.errors import (
    NO_ANSWER,
    NotATransfer,
    NoWorker,
    WorkflowPaused,
    WorkflowStuck,
    domain_errors,
)
from starter.client.models import RetriedActivity
from workflows import search_attributes
from workflows.markdown import fenced
from workflows.outcome import result_in
from workflows.recovery import RecoveryWorkflow
from workflows.search_attributes import PORTFOLIO, SOURCE_LICENCE, TRANSFER_STATE
from workflows.task_queues import TRANSFERS
from workflows.transfer import TransferWorkflow

_RPC_TIMEOUT = timedelta(seconds=10)
# A worker answers a query in milliseconds; past this there is none, and other sources tell what they know.
_QUERY_TIMEOUT = timedelta(seconds=4)
# What the server says of a query when the workers have been away for a while already.
_NO_POLLER = RPCStatusCode.FAILED_PRECONDITION
_UPDATE_TIMEOUT_SECONDS = 60.0
_PAUSE_BEFORE_UPDATE_AGAIN_SECONDS = 0.2
_SUMMARY_LENGTH = 40  # the server takes 400 bytes, and a character may be four of them
_HEAVY = (
    ActivityName.CLONE_ADMINISTRATIONS,
    ActivityName.VERIFY_CLONE,
    ActivityName.HASH_FROZEN,
    ActivityName.ISSUE_CERTIFICATE,
    ActivityName.CHECK_UNCHANGED,
)
_Answer = TypeVar("_Answer")
# A transfer that an operator had recovered goes on as a recovery under the same id.
_OURS = frozenset({TransferWorkflow.__name__, RecoveryWorkflow.__name__})
_CLOSED = frozenset(
    {
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    }
)
_ENDED_IN_DUTCH = "De overdracht is afgelopen. Bekijk de status om te zien hoe."


class RemoteTransfer:
    """A handle on exactly one run: an earlier transfer of the same environment has the same workflow id."""

    def __init__(self, client: Client, workflow_id: str, run_id: str | None = None) -> None:
        self._client = client
        self.workflow_id = workflow_id
        self._run_id = run_id
        self._handle: WorkflowHandle[TransferWorkflow, m.TransferResult] = client.get_workflow_handle_for(
            TransferWorkflow.run, workflow_id, run_id=run_id
        )

    @classmethod
    async def start(
        cls, client: Client, order: m.TransferInput, preview: m.Preview, portfolio: UUID | None = None
    ) -> "RemoteTransfer":
        """Start a transfer; Temporal itself allows one live move per environment.

        Raises:
            AlreadyInTransfer: This environment is being moved.
            NotATransfer: Something else runs under the id of its transfer.
            Misconfigured: The server does not know the search attributes.
            Unavailable: The server does not answer.
        """
        environment = preview.environment
        holder = f"{preview.licence_kind.value.replace('_', '-')} {environment.licence_number}"
        try:
            with domain_errors():
                async with _search_attributes_known(client):
                    handle = await client.start_workflow(
                        TransferWorkflow.run,
                        order,
                        id=workflow_id_of(order.environment_id),
                        task_queue=TRANSFERS,
                        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                        search_attributes=TypedSearchAttributes(
                            [
                                SearchAttributePair(TRANSFER_STATE, TransferState.PREPARING.value),
                                SearchAttributePair(SOURCE_LICENCE, environment.licence_number),
                                *([SearchAttributePair(PORTFOLIO, str(portfolio))] if portfolio else []),
                            ]
                        ),
                        static_summary=f"{fenced(environment.name, _SUMMARY_LENGTH)} · {holder}",
                        static_details=_details(preview),
                        rpc_timeout=_RPC_TIMEOUT,
                    )
        except AlreadyInTransfer:
            _require_ours(await _described(client, workflow_id_of(order.environment_id)))
            raise
        return cls(client, handle.id, handle.result_run_id)

    @classmethod
    async def newest(cls, client: Client, workflow_id: str) -> "RemoteTransfer":
        """Return the newest run of a workflow id.

        Raises:
            TransferUnknown: Temporal knows no such workflow (any more).
            NotATransfer: Something else runs under that id.
        """
        described = await _described(client, workflow_id)
        _require_ours(described)
        return cls(client, workflow_id, described.workflow_execution_info.execution.run_id)

    async def status(self) -> m.TransferStatus:
        """Return what the workflow says of itself, also after it has closed.

        Raises:
            NoAnswer: The subclass says why.
            TransferUnknown: Temporal knows no such run.
        """
        try:
            with domain_errors():
                return await self._handle.query(TransferWorkflow.status, rpc_timeout=_QUERY_TIMEOUT)
        except Unavailable as error:
            if isinstance(error.__cause__, RPCError):
                _require_ready(await self._describe())
                if error.__cause__.status in (*NO_ANSWER, _NO_POLLER):
                    raise NoWorker from error
            raise
        except ValueError:  # the server refuses to ask a paused workflow, in a status that the SDK does not know
            _require_ready(await self._describe())
            raise

    async def require_ready(self) -> None:
        """Make sure that somebody works at what is sent: the server keeps signals, and they would be taken much later.

        Raises:
            WorkflowPaused, WorkflowStuck: The workflow does not go on by itself.
        """
        _require_ready(await self._describe())

    async def _describe(self) -> DescribeWorkflowExecutionResponse:
        return await _described(self._client, self.workflow_id, self._run_id)

    async def work_in_hand(self) -> tuple[m.CloneProgress | None, list[RetriedActivity]]:
        """Return the newest heartbeat of a clone or verification that runs, and what is being tried again and why."""
        described = await self._describe()
        clone: m.CloneProgress | None = None
        troubles = []
        for pending in described.pending_activities:
            name = pending.activity_type.name
            if name in _HEAVY and pending.heartbeat_details.payloads:
                payloads = pending.heartbeat_details.payloads
                clone = (await self._client.data_converter.decode(payloads, [m.CloneProgress]))[0]
            if pending.attempt > 1 and pending.HasField("last_failure"):
                failure = await self._client.data_converter.decode_failure(pending.last_failure)
                troubles.append(RetriedActivity(activity=name, attempt=pending.attempt, problem=_innermost(failure)))
        return clone, troubles

    async def is_closed(self) -> bool:
        """Tell whether the workflow has ended: nothing that is sent reaches it any more."""
        while (await self._describe()).workflow_execution_info.status in _CLOSED:
            if not await self._turned_to_its_next_run():
                return True
        return False

    async def looks_once_more(self) -> bool:
        """Tell whether both environments are being read before a release."""
        try:
            steps = (await self.status()).steps
        except Unavailable:
            return False
        return any(step.step is StepName.CHECK and step.state is StepState.RUNNING for step in steps)

    async def history_events(self) -> int:
        """Return how many events the history holds."""
        return (await self._describe()).workflow_execution_info.history_length

    async def result(self) -> m.TransferResult:
        """Wait until the transfer has ended, however long that takes, and return how.

        Raises:
            TransferError: The workflow itself failed or was terminated: an operator has to look.
        """
        with domain_errors():
            try:
                return await self._handle.result()
            except WorkflowFailureError as error:
                if (result := result_in(error.cause)) is not None:
                    return result
                raise

    async def upload(self, upload: m.Upload) -> m.UploadAccepted:
        """Send an upload and return the answer, or raise the refusal."""
        accepted: m.UploadAccepted = await self._update(TransferWorkflow.upload, upload)
        return accepted

    async def resend_mail(self, order: m.ResendMail) -> m.MailSent:
        """Have one kind of mail sent again."""
        sent: m.MailSent = await self._update(TransferWorkflow.resend_mail, order)
        return sent

    async def reschedule(self, order: m.Reschedule) -> m.StartPlanned:
        """Have the move planned on another evening, or raise the refusal."""
        planned: m.StartPlanned = await self._update(TransferWorkflow.reschedule, order)
        return planned

    async def correct_upload(self, order: m.CorrectUpload) -> m.UploadAccepted:
        """Have what was uploaded corrected, or raise the refusal."""
        corrected: m.UploadAccepted = await self._update(TransferWorkflow.correct_upload, order)
        return corrected

    async def hurry(self, order: m.Hurry) -> None:
        """Let the transfer go before all others that wait for a place, or raise the refusal."""
        await self._update(TransferWorkflow.hurry, order)

    async def _update(self, update: Any, order: m.Message) -> Any:
        # Any: the decorator with a description loses the await in the type of an update.
        return await self._answer(lambda update_id: self._handle.execute_update(update, order, id=update_id))

    async def release(self, signal: m.Release) -> None:
        """Send the signal; whether it is taken shows later."""
        await self._send(lambda: self._handle.signal(TransferWorkflow.release, signal, rpc_timeout=_RPC_TIMEOUT))

    async def reject(self, signal: m.Reject) -> None:
        """Send the signal; whether it is taken shows later."""
        await self._send(lambda: self._handle.signal(TransferWorkflow.reject, signal, rpc_timeout=_RPC_TIMEOUT))

    async def start_now(self, signal: m.StartNow) -> None:
        """Send the signal; whether it is taken shows later."""
        await self._send(lambda: self._handle.signal(TransferWorkflow.start_now, signal, rpc_timeout=_RPC_TIMEOUT))

    async def make_way(self) -> None:
        """Ask a transfer of which only mail is left to end: another move of its environment begins."""
        await self._send(lambda: self._handle.signal(TransferWorkflow.make_way, rpc_timeout=_RPC_TIMEOUT))

    async def cancel(self, why: m.ExplainCancel) -> None:
        """Ask for everything to be undone; whether it still can shows later.

        Why goes ahead in a signal: a cancel's own reason is the one text that Temporal takes without a payload.
        """
        await self._send(lambda: self._handle.signal(TransferWorkflow.explain_cancel, why, rpc_timeout=_RPC_TIMEOUT))
        await self._send(lambda: self._handle.cancel(rpc_timeout=_RPC_TIMEOUT))

    async def _answer(self, send: Callable[[str], Awaitable[_Answer]]) -> _Answer:
        return await self._send(lambda: answered(send))

    async def _send(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Send something to the run, or to the one in which it goes on; tell one that ended from one that never was.

        Raises:
            WrongMoment: It has ended. To whoever sends it something the server says "not found" of both.
            TransferUnknown: There is no such run.
        """
        while True:
            run_id = self._run_id
            try:
                with domain_errors():
                    return await call()
            except TransferUnknown as error:
                is_closed = await self.is_closed()
                if self._run_id == run_id:
                    if is_closed:
                        raise WrongMoment(
                            "The transfer has ended. `sb-transfer status` shows how.", dutch=_ENDED_IN_DUTCH
                        ) from error.__cause__
                    raise

    async def _turned_to_its_next_run(self) -> bool:
        """Speak to the run in which this one goes on, because its history became long; False when there is none."""
        with domain_errors():
            last = await self._client.workflow_service.get_workflow_execution_history(
                GetWorkflowExecutionHistoryRequest(
                    namespace=self._client.namespace,
                    execution=WorkflowExecution(workflow_id=self.workflow_id, run_id=self._run_id or ""),
                    history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
                ),
                timeout=_RPC_TIMEOUT,
                retry=True,
            )
        for event in last.history.events:
            if next_run_id := event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id:
                self._run_id = next_run_id
                self._handle = self._client.get_workflow_handle_for(
                    TransferWorkflow.run, self.workflow_id, run_id=next_run_id
                )
                return True
        return False


def _innermost(failure: BaseException) -> str:
    """Return what went wrong in the end, without the wrapping."""
    while isinstance(failure, FailureError) and failure.cause is not None and not isinstance(failure, ApplicationError):
        failure = failure.cause
    return failure.message if isinstance(failure, FailureError) else str(failure)


async def _described(client: Client, workflow_id: str, run_id: str | None = None) -> DescribeWorkflowExecutionResponse:
    """Return what the server knows of a run, as it says it: the SDK fails at a status that is newer than itself."""
    with domain_errors():
        return await client.workflow_service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(
                namespace=client.namespace,
                execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id or ""),
            ),
            timeout=_RPC_TIMEOUT,
            retry=True,
        )


def _require_ours(described: DescribeWorkflowExecutionResponse) -> None:
    kind = described.workflow_execution_info.type.name
    if kind not in _OURS:
        raise NotATransfer(f"{NotATransfer.default_english()} It is called {fenced(kind, _SUMMARY_LENGTH)}.")
    queue = described.workflow_execution_info.task_queue
    if queue and queue != TRANSFERS:  # older servers do not say
        raise NotATransfer(f"{NotATransfer.default_english()} It waits in the queue {fenced(queue, _SUMMARY_LENGTH)}.")


def _require_ready(described: DescribeWorkflowExecutionResponse) -> None:
    if described.workflow_execution_info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED:
        raise WorkflowPaused
    if described.pending_workflow_task.attempt >= STUCK_AT_ATTEMPT:
        raise WorkflowStuck


@asynccontextmanager
async def _search_attributes_known(client: Client) -> AsyncIterator[None]:
    """Say what to do when the server knows no such search attributes: it refuses a start as an invalid argument."""
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT and await missing_search_attributes(
            client, search_attributes.ALL
        ):
            raise Misconfigured("Temporal does not know the search attributes yet. Run `sb-transfer setup`.") from error
        raise


async def answered(send: Callable[[str], Awaitable[_Answer]]) -> _Answer:
    """Send an update until it is answered, within bounds: without a worker it would wait for ever.

    A server under load may give up a call that it has taken in. The update goes out again under the same id, which the
    server counts as one. Cancelling the caller stays a cancel.

    Raises:
        NoWorker: Nobody took the update in time.
    """
    update_id = str(uuid.uuid4())
    try:
        async with asyncio.timeout(_UPDATE_TIMEOUT_SECONDS) as limit:
            while True:
                try:
                    with domain_errors():
                        return await send(update_id)
                except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                    if isinstance(error.__cause__, asyncio.CancelledError):
                        raise
                    await asyncio.sleep(_PAUSE_BEFORE_UPDATE_AGAIN_SECONDS)
    except TimeoutError as error:
        raise NoWorker from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        # The SDK wraps the end of our patience and a caller who goes away alike.
        if not limit.expired():
            raise asyncio.CancelledError from error
        raise NoWorker from error


def _details(preview: m.Preview) -> str:
    """Return the facts of a move for the Temporal UI: counts and the environment's id, no personal data."""
    environment = preview.environment
    return (
        f"- environment `{environment.environment_id}`\n"
        f"- {preview.count('administrations')} administrations, {preview.tables} tables, "
        f"about {preview.estimate.rows:,} rows, {preview.estimate.bytes / 1e6:,.1f} MB\n"
        f"- {preview.count('open_quotes')} open quotes will be lost\n"
        f"- {preview.count('banks_carried')} bank connections come along, "
        f"{preview.count('banks_to_reactivate')} must be activated again\n"
    )
