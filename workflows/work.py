"""Calling an activity: one message in, one out, under a named policy."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow

from workflows.policies import Policy

_Order = TypeVar("_Order")
_Answer = TypeVar("_Answer")


async def perform(
    activity: Callable[[Any, _Order], Awaitable[_Answer]],
    order: _Order,
    policy: Policy,
    summary: str,
) -> _Answer:
    """Run an activity method and return its answer; `summary` is what operators read beside it.

    Raises:
        ActivityError: It failed for good, took too long or was cancelled.
    """
    answer: _Answer = await workflow.execute_activity_method(
        activity,
        order,
        task_queue=policy.task_queue,
        start_to_close_timeout=policy.start_to_close,
        schedule_to_close_timeout=policy.schedule_to_close,
        heartbeat_timeout=policy.heartbeat,
        retry_policy=policy.retry,
        cancellation_type=policy.cancellation,
        priority=policy.priority,
        summary=summary,
    )
    return answer
