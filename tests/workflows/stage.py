"""Workers over one model, on which many transfers play at once, and a server whose time can be skipped."""

from contextlib import AsyncExitStack

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner

from devstack.binaries import temporal_cli
from tests.workflows.modelled import Modelled
from tests.workflows.world import workers
from workflows import search_attributes


async def time_skipping() -> WorkflowEnvironment:
    """Start the real server with time that can be skipped."""
    return await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(temporal_cli()),
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
        search_attributes=search_attributes.ALL,
    )


class Stage:
    """Workers over one model, on which many transfers play at once."""

    def __init__(self, skipping: WorkflowEnvironment) -> None:
        self.skipping = skipping
        self.world = Modelled()
        self.violations = 0
        self._staff = AsyncExitStack()

    async def open(self) -> None:
        """Let workers begin; without the sandbox, which costs more than all the rest and which other tests have."""
        for worker in workers(self.skipping.client, self.world, runner=UnsandboxedWorkflowRunner()):
            await self._staff.enter_async_context(worker)

    async def close(self) -> None:
        """Let the workers go; what they were doing is left where it is."""
        await self._staff.aclose()
        self._staff = AsyncExitStack()
