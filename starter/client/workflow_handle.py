"""One run of a transfer's workflow, spoken to in the domain's messages and answering in the domain's errors."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from domain import messages as m
from domain.errors import (
    AlreadyInTransfer,
    Misconfigured,
    TransferError,
    TransferUnknown,
    Unavailable,
    WrongMoment,
    all_errors,
)
from domain.naming import workflow_id_of
from domain.steps import ActivityName, StepName, StepState
from domain.vocabulary import TransferState
from starter.client.models import RetriedActivity
from workflows.markdown import fenced
from workflows.search_attributes import SOURCE_LICENCE, TRANSFER_STATE
from workflows.task_queues import TRANSFERS
from workflows.transfer import TransferWorkflow

_RPC_TIMEOUT = timedelta(seconds=10)
# A worker answers a query in milliseconds; past this there is none, and other sources tell what they know.
_QUERY_TIMEOUT = timedelta(seconds=4)
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
_NO_ANSWER = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)


class NoWorker(Unavailable):
    """No worker answers. Start one with `sb-transfer worker`, then do this again."""


class RemoteTransfer:
    """A handle on exactly one run: an earlier transfer of the same environment has the same workflow id."""

    def __init__(self, client: Client, workflow_id: str, run_id: str | None = None) -> None:
        self._client = client
        self.workflow_id = workflow_id
        self._handle: WorkflowHandle[TransferWorkflow, m.TransferResult] = client.get_workflow_handle_for(
            TransferWorkflow.run, workflow_id, run_id=run_id
        )

    @classmethod
    async def start(cls, client: Client, order: m.TransferInput, preview: m.Preview) -> "RemoteTransfer":
        """Start a transfer; Temporal itself allows one live move per environment.

        Raises:
            AlreadyInTransfer: This environment is being moved.
            Misconfigured: The server does not know the search attributes.
            Unavailable: The server does not answer.
        """
        environment = preview.environment
        holder = f"{preview.licence_kind.value.replace('_', '-')} {environment.licence_number}"
        with domain_errors():
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
                    ]
                ),
                static_summary=f"{fenced(environment.name, _SUMMARY_LENGTH)} · {holder}",
                static_details=_details(preview),
                rpc_timeout=_RPC_TIMEOUT,
            )
        return cls(client, handle.id, handle.result_run_id)

    @classmethod
    async def newest(cls, client: Client, workflow_id: str) -> "RemoteTransfer":
        """Return the newest run of a workflow id.

        Raises:
            TransferUnknown: Temporal knows no such workflow (any more).
        """
        with domain_errors():
            described = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=_RPC_TIMEOUT)
        return cls(client, workflow_id, described.run_id)

    async def status(self) -> m.TransferStatus:
        """Return what the workflow says of itself, also after it has closed.

        Raises:
            NoWorker: Nobody is there to answer for the workflow.
            TransferUnknown: Temporal knows no such run.
        """
        try:
            with domain_errors():
                return await self._handle.query(TransferWorkflow.status, rpc_timeout=_QUERY_TIMEOUT)
        except Unavailable as error:
            if isinstance(error.__cause__, RPCError) and error.__cause__.status in _NO_ANSWER:
                raise NoWorker from error
            raise

    async def describe(self) -> WorkflowExecutionDescription:
        """Return what the server knows without any worker."""
        with domain_errors():
            return await self._handle.describe(rpc_timeout=_RPC_TIMEOUT)

    async def work_in_hand(self) -> tuple[m.CloneProgress | None, list[RetriedActivity]]:
        """Return the newest heartbeat of a clone or verification that runs, and what is being tried again and why."""
        described = await self.describe()
        clone: m.CloneProgress | None = None
        troubles = []
        for pending in described.raw_description.pending_activities:
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
        return (await self.describe()).status is not WorkflowExecutionStatus.RUNNING

    async def looks_once_more(self) -> bool:
        """Tell whether both environments are being read before a release."""
        try:
            steps = (await self.status()).steps
        except Unavailable:
            return False
        return any(step.step is StepName.CHECK and step.state is StepState.RUNNING for step in steps)

    async def history_events(self) -> int:
        """Return how many events the history holds."""
        return (await self.describe()).history_length

    async def result(self) -> m.TransferResult:
        """Wait until the transfer has ended, however long that takes, and return how.

        Raises:
            TransferError: The workflow itself failed or was terminated: an operator has to look.
        """
        with domain_errors():
            return await self._handle.result()

    async def upload(self, upload: m.Upload) -> m.UploadAccepted:
        """Send an upload and return the answer, or raise the refusal."""
        return await _answered(
            lambda update_id: self._handle.execute_update(
                TransferWorkflow.upload,  # type: ignore[arg-type] # the decorator with a description loses the await
                upload,
                id=update_id,
            )
        )

    async def resend_mail(self, order: m.ResendMail) -> m.MailSent:
        """Have one kind of mail sent again."""
        return await _answered(
            lambda update_id: self._handle.execute_update(
                TransferWorkflow.resend_mail,  # type: ignore[arg-type] # as above
                order,
                id=update_id,
            )
        )

    async def reschedule(self, order: m.Reschedule) -> m.StartPlanned:
        """Have the move planned on another evening, or raise the refusal."""
        return await _answered(
            lambda update_id: self._handle.execute_update(
                TransferWorkflow.reschedule,  # type: ignore[arg-type] # as above
                order,
                id=update_id,
            )
        )

    async def release(self, signal: m.Release) -> None:
        """Send the signal; whether it is taken shows later."""
        with domain_errors():
            await self._handle.signal(TransferWorkflow.release, signal, rpc_timeout=_RPC_TIMEOUT)

    async def reject(self, signal: m.Reject) -> None:
        """Send the signal; whether it is taken shows later."""
        with domain_errors():
            await self._handle.signal(TransferWorkflow.reject, signal, rpc_timeout=_RPC_TIMEOUT)

    async def start_now(self, signal: m.StartNow) -> None:
        """Send the signal; whether it is taken shows later."""
        with domain_errors():
            await self._handle.signal(TransferWorkflow.start_now, signal, rpc_timeout=_RPC_TIMEOUT)

    async def make_way(self) -> None:
        """Ask a transfer of which only mail is left to end: another move of its environment begins."""
        with domain_errors():
            await self._handle.signal(TransferWorkflow.make_way, rpc_timeout=_RPC_TIMEOUT)

    async def cancel(self, why: m.ExplainCancel) -> None:
        """Ask for everything to be undone; whether it still can shows later.

        Why goes ahead in a signal: a cancel's own reason is the one text that Temporal takes without a payload.
        """
        with domain_errors():
            await self._handle.signal(TransferWorkflow.explain_cancel, why, rpc_timeout=_RPC_TIMEOUT)
            await self._handle.cancel(rpc_timeout=_RPC_TIMEOUT)


@contextmanager
def domain_errors() -> Iterator[None]:
    """Turn Temporal's errors into the domain's; the cause is kept."""
    try:
        yield
    except WorkflowAlreadyStartedError as error:
        raise AlreadyInTransfer from error
    except WorkflowUpdateFailedError as error:
        raise as_domain_error(error.cause) from error
    except WorkflowFailureError as error:
        raise TransferError(
            f"The workflow ended without finishing the transfer: {error.cause}. Look at it in the Temporal UI."
        ) from error
    except WorkflowQueryFailedError as error:
        raise Unavailable(f"The workflow cannot answer now: {error}. Look at the worker's log.") from error
    except RPCError as error:
        raise _meaning_of(error) from error


def as_domain_error(cause: BaseException) -> TransferError:
    """Return the domain's error that a workflow or activity has sent: its type is the code, its details the words."""
    while isinstance(cause, FailureError) and not isinstance(cause, ApplicationError) and cause.cause is not None:
        cause = cause.cause
    if not isinstance(cause, ApplicationError):
        return TransferError(f"The transfer did not answer as it should: {cause}. Look in its event log.")
    kind = all_errors().get(cause.type or "", TransferError)
    words = [str(detail) for detail in cause.details]
    return kind(words[0] if words else cause.message, dutch=words[1] if len(words) > 1 else None)


def _innermost(failure: BaseException) -> str:
    """Return what went wrong in the end, without the wrapping."""
    while isinstance(failure, FailureError) and failure.cause is not None and not isinstance(failure, ApplicationError):
        failure = failure.cause
    return failure.message if isinstance(failure, FailureError) else str(failure)


def _meaning_of(error: RPCError) -> TransferError:
    if error.status is RPCStatusCode.NOT_FOUND:
        # The server says it in words only: the run is there, but closed.
        if "already completed" in error.message:
            return WrongMoment("The transfer has ended. `sb-transfer status` shows how.", dutch=_ENDED_IN_DUTCH)
        return TransferUnknown()
    if error.status is RPCStatusCode.INVALID_ARGUMENT and "search attribute" in error.message.lower():
        return Misconfigured("Temporal does not know the search attributes yet. Run `sb-transfer setup`.")
    if error.status in _NO_ANSWER:
        return Unavailable("Temporal did not answer in time. Try again.")
    if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
        return Misconfigured("Temporal does not let this client do that. Correct TEMPORAL_API_KEY or the certificate.")
    return Unavailable(f"Temporal does not do it now ({error.status.name}: {error.message}). Try again.")


_ENDED_IN_DUTCH = "De overdracht is afgelopen. Bekijk de status om te zien hoe."


async def _answered(send: Callable[[str], Awaitable[_Answer]]) -> _Answer:
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
        f"- {len(preview.administrations)} administrations, {preview.tables} tables, "
        f"about {preview.rows_estimate:,} rows, {preview.bytes_total / 1e6:,.1f} MB\n"
        f"- {len(preview.open_quotes)} open quotes will be lost\n"
        f"- {len(preview.banks_carried)} bank connections come along, "
        f"{len(preview.banks_to_reactivate)} must be activated again\n"
    )
