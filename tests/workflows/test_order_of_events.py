"""Any order of uploads, signals, cancels, failures, restarts and time keeps everything whole."""

from temporalio.testing import WorkflowEnvironment

from tests.workflows.orders import search
from tests.workflows.stage import Stage


async def test_no_order_of_events_leaves_anything_half_moved(skipping: WorkflowEnvironment) -> None:
    """Ends whole after any order of events."""
    stage = Stage(skipping)
    await stage.open()
    try:
        assert await search(stage, examples=6, steps_each=15) > 0
    finally:
        await stage.close()
    assert stage.violations == 0
