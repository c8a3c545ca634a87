"""Who started a workflow or asked it for something, as Temporal knows it: anybody can write anything into an input."""

from collections.abc import Iterable

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.service import RPCError

CANCEL = "cancel"
"""What `sent_by` calls a request to cancel, which has no name of its own."""
_LONGEST = 200
_SENDERS = 3
# The newest events of a run, among which a signal or an update is that something is just being done for.
_EVENTS = 500


async def started_by() -> str:
    """Return who started the workflow that this activity is of; nothing when Temporal does not tell now.

    Where Temporal asks for a login, that is whose token it was. Else what that program calls itself.
    """
    client = activity.client()
    request = GetWorkflowExecutionHistoryRequest(namespace=client.namespace, execution=_run(), maximum_page_size=1)
    try:
        answer = await client.workflow_service.get_workflow_execution_history(request)
    except RPCError:
        return ""
    return sender_of(answer.history.events[0])


async def sent_by(name: str) -> str:
    """Return who sent the signals or updates of this name, or asked for a cancel, that came last, as `started_by` does.

    Temporal does not say which of several something is done for: then all who sent one are named, newest first.
    """
    client = activity.client()
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace, execution=_run(), maximum_page_size=_EVENTS
    )
    try:
        answer = await client.workflow_service.get_workflow_execution_history_reverse(request)
    except RPCError:
        return ""
    return senders(name, answer.history.events)


def senders(name: str, events: Iterable[HistoryEvent]) -> str:
    """Return who sent what has a name, or asked for a cancel: at most three, in the order of the events."""
    found = dict.fromkeys(sender for event in events if _is_called(event, name) and (sender := sender_of(event)))
    return ", ".join([*found][:_SENDERS])[:_LONGEST]


def sender_of(event: HistoryEvent) -> str:
    """Return who caused an event: whose token it was where the server asks for one, else what the program says.

    Of an update there is only the latter.
    """
    if event.HasField(
        "workflow_execution_update_accepted_event_attributes"
    ):  # a worker's event: its token is the worker's
        return event.workflow_execution_update_accepted_event_attributes.accepted_request.meta.identity[:_LONGEST]
    if event.principal.name:
        return f"{event.principal.type} {event.principal.name}".strip()[:_LONGEST]
    attributes = getattr(event, event.WhichOneof("attributes") or "", None)
    return str(getattr(attributes, "identity", ""))[:_LONGEST]


def _is_called(event: HistoryEvent, name: str) -> bool:
    if event.HasField("workflow_execution_signaled_event_attributes"):
        return event.workflow_execution_signaled_event_attributes.signal_name == name
    if event.HasField("workflow_execution_update_accepted_event_attributes"):
        return event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name == name
    return name == CANCEL and event.HasField("workflow_execution_cancel_requested_event_attributes")


def _run() -> WorkflowExecution:
    info = activity.info()
    return WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "")
