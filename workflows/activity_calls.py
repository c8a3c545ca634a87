"""Calling an activity: one message in, one out, under a named policy."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, RetryState, is_cancelled_exception

from workflows.policies import Policy
from workflows.task_queues import clone_queue

_Order = TypeVar("_Order")
_Answer = TypeVar("_Answer")


async def perform(
    activity: Callable[[Any, _Order], Awaitable[_Answer]],
    order: _Order,
    policy: Policy,
    summary: str,
    *,
    cell: str | None = None,
) -> _Answer:
    """Run an activity method and return its answer; `summary` is what operators read beside it.

    Heavy work is given its `cell`: it waits in that cell's queue instead of the policy's.

    Raises:
        ActivityError: It failed for good, took too long or was cancelled.
    """
    answer: _Answer = await workflow.execute_activity_method(
        activity,
        order,
        task_queue=policy.task_queue if cell is None else clone_queue(cell),
        start_to_close_timeout=policy.start_to_close,
        schedule_to_close_timeout=policy.schedule_to_close,
        heartbeat_timeout=policy.heartbeat,
        retry_policy=policy.retry,
        cancellation_type=policy.cancellation,
        priority=policy.priority,
        summary=summary,
    )
    return answer


def is_cancel(error: BaseException) -> bool:
    """Tell whether work ended because it was cancelled.

    An attempt that failed before it heard of the cancel would have been tried again: it was stopped, not refused.
    """
    was_to_be_retried = isinstance(error, ActivityError) and error.retry_state is RetryState.CANCEL_REQUESTED
    return was_to_be_retried or is_cancelled_exception(error)
