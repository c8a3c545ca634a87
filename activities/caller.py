"""Who started a workflow, as Temporal knows it: whatever the input says of that, anybody can write."""

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.service import RPCError

_LONGEST = 200


async def started_by() -> str:
    """Return who started the workflow that this activity is of; nothing when Temporal does not tell now.

    Where Temporal asks for a login, that is whose token it was. Else what that program calls itself.
    """
    info = activity.info()
    request = GetWorkflowExecutionHistoryRequest(
        namespace=activity.client().namespace,
        execution=WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or ""),
        maximum_page_size=1,
    )
    try:
        answer = await activity.client().workflow_service.get_workflow_execution_history(request)
    except RPCError:
        return ""
    begun = answer.history.events[0]
    if begun.principal.name:
        return f"{begun.principal.type} {begun.principal.name}".strip()[:_LONGEST]
    return begun.workflow_execution_started_event_attributes.identity[:_LONGEST]
