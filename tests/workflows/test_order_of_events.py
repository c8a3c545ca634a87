"""Any order of uploads, signals, cancels, failures, restarts and time keeps everything whole."""

from temporalio.testing import WorkflowEnvironment

from tests.workflows.orders import search
from tests.workflows.stage import open_stage


async def test_no_order_of_events_leaves_anything_half_moved(skipping: WorkflowEnvironment) -> None:
    """Ends whole after any order of events."""
    async with open_stage(skipping) as stage:
        assert await search(stage, examples=6, steps_each=15) > 0
    assert stage.violations == 0
