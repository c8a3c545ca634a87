"""Tomorrow's code, three ways: a step is added to the workflow that transfers are in the middle of.

The step is a visible one: a line in the event log after the ticket is issued. `docs/deploys.md` tells the story.
"""

from typing import Any

from temporalio import workflow

from domain import messages as m
from workflows.transfer import TransferWorkflow

CHANGE = "ticket-announced"
STEP = "ticket_announced"


class _Announcing(TransferWorkflow):
    async def _announce(self) -> None:
        await self._log.record("", STEP)


@workflow.defn(name="TransferWorkflow", sandboxed=False)
class PatchedWorkflow(_Announcing):
    """The right way: transfers that passed this point without the step go on without it."""

    @workflow.run
    async def run(self, *given: Any) -> m.TransferResult:
        """Move as ever; temporalio wants `run` named in each variant."""
        return await super().run(*given)

    async def _issue_ticket(self) -> None:
        await super()._issue_ticket()
        if workflow.patched(CHANGE):
            await self._announce()


@workflow.defn(name="TransferWorkflow", sandboxed=False)
class UnpatchedWorkflow(_Announcing):
    """The wrong way: histories do not hold the step that this wants to have done."""

    @workflow.run
    async def run(self, *given: Any) -> m.TransferResult:
        """Move as ever."""
        return await super().run(*given)

    async def _issue_ticket(self) -> None:
        await super()._issue_ticket()
        await self._announce()


@workflow.defn(name="TransferWorkflow", sandboxed=False)
class DeprecatedPatchWorkflow(_Announcing):
    """The day after: no transfer from before the step is open any more, so the old branch is gone."""

    @workflow.run
    async def run(self, *given: Any) -> m.TransferResult:
        """Move as ever."""
        return await super().run(*given)

    async def _issue_ticket(self) -> None:
        await super()._issue_ticket()
        workflow.deprecate_patch(CHANGE)
        await self._announce()
