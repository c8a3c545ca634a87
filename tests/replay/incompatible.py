"""A variant of the workflow that no running transfer could go on with; the replay test must reject it."""

from typing import Any

from temporalio import workflow

from domain import messages as m
from workflows.transfer import TransferWorkflow


@workflow.defn(name="TransferWorkflow", sandboxed=False)
class IncompatibleWorkflow(TransferWorkflow):
    """Issues the ticket before the freeze."""

    @workflow.run
    async def run(self, *given: Any) -> m.TransferResult:
        """Do the first two steps in the wrong order."""
        await self._issue_ticket()
        return await super().run(*given)
