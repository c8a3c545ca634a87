"""Workers over one model, on which many transfers play at once, and a server whose time can be skipped."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

from tests.workflows.modelled import Modelled
from tests.workflows.world import workers


class Stage:
    """Workers over one model, on which many transfers play at once."""

    def __init__(self, skipping: WorkflowEnvironment) -> None:
        self.skipping = skipping
        self.world = Modelled()
        self.violations = 0
        self._staff = AsyncExitStack()

    async def open(self) -> None:
        """Let workers begin; without the sandbox, which costs more than all the rest and which other tests have."""
        world = self.world
        for worker in workers(self.skipping.client, world, runner=UnsandboxedWorkflowRunner(), more=[world.standing]):
            await self._staff.enter_async_context(worker)

    async def reset(self, workflow_id: str, event_id: int, *, again: bool = True) -> None:
        """Reset a workflow, as an operator can in Temporal's pages; `event_id` is of a workflow task's completion.

        Signals, updates and cancels that came after it are given again, which is the default there, unless told not to.
        """
        client = self.skipping.client
        await client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                reason="try again",
                workflow_task_finish_event_id=event_id,
                request_id=str(uuid4()),
                reset_reapply_exclude_types=[]
                if again
                else [
                    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,
                    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
                    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST,
                ],
            )
        )

    async def close(self) -> None:
        """Let the workers go; what they were doing is left where it is."""
        await self._staff.aclose()
        self._staff = AsyncExitStack()


@asynccontextmanager
async def open_stage(skipping: WorkflowEnvironment) -> AsyncIterator[Stage]:
    """Open a stage; its workers go at the end, also of a test that fails: beside them no next ones may begin."""
    stage = Stage(skipping)
    try:
        await stage.open()
        yield stage
    finally:
        await stage.close()
