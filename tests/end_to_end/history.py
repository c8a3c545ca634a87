"""How long a transfer's history is, but for what a slow machine adds to it."""

from temporalio.api.enums.v1 import EventType

from adapters.temporal.client import connect_temporal
from devstack.stack import Stack

# Nineteen are the steps, mails and looks of a move that nobody disturbs.
MOST_ACTIVITIES = 25


async def activities_of(stack: Stack, workflow_id: str) -> int:
    """Count the activities that a workflow has asked for.

    Signals on the way and workflow tasks that came too late make a history as long as the machine is slow; how many
    events a move costs is bounded where time is skipped (`tests/workflows/test_transfer.py`).
    """
    temporal = await connect_temporal(environment=stack.process_environment())
    history = await temporal.get_workflow_handle(workflow_id).fetch_history()
    return sum(event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED for event in history.events)
