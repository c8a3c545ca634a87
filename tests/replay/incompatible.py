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
        """Move as ever; temporalio wants `run` named in each variant."""
        return await super().run(*given)

    async def _freeze(self) -> None:
        await self._issue_ticket()
        await super()._freeze()
