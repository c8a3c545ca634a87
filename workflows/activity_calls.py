"""Calling an activity: one message in, one out, under a policy that the table of steps names."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, RetryState, is_cancelled_exception

from domain import messages as m
from domain.errors import TransferError
from domain.steps import Work, work_of
from workflows.policies import BY_NAME, Policy
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
    return cast(_Answer, await _execute(activity, order, policy, summary, cell=cell))


async def perform_step(
    activity: Callable[[Any, _Order], Awaitable[_Answer]], order: _Order, *, cell: str | None = None
) -> _Answer:
    """Run an activity of a step as the table of steps says; raises as `perform` does."""
    work = work_of(activity.__name__)
    return await perform(activity, order, BY_NAME[work.policy], work.summary, cell=cell)


async def perform_work(work: Work, order: m.TakeStep, *, cell: str | None = None) -> m.StepTaken | None:
    """Run what a row of the table of steps names, and return what it answers; a compensation answers nothing.

    Heavy work waits in the queue of its `cell`. Raises as `perform` does.
    """
    policy = BY_NAME[work.policy]
    cell = cell if policy.is_heavy else None
    return cast(
        m.StepTaken | None,
        await _execute(work.activity, order, policy, work.summary, cell=cell, result_type=m.StepTaken | None),
    )


async def _execute(
    activity: Any,
    order: Any,
    policy: Policy,
    summary: str,
    *,
    cell: str | None,
    result_type: Any = None,
) -> Any:
    return await workflow.execute_activity(
        activity,
        order,
        task_queue=policy.task_queue if cell is None else clone_queue(cell),
        result_type=result_type,
        start_to_close_timeout=policy.start_to_close,
        schedule_to_close_timeout=policy.schedule_to_close,
        heartbeat_timeout=policy.heartbeat,
        retry_policy=policy.retry,
        cancellation_type=policy.cancellation,
        priority=policy.priority,
        summary=summary,
    )


def is_cancel(error: BaseException) -> bool:
    """Tell whether work ended because it was cancelled.

    An attempt that failed before it heard of the cancel would have been tried again: it was stopped, not refused.
    """
    was_to_be_retried = isinstance(error, ActivityError) and error.retry_state is RetryState.CANCEL_REQUESTED
    return was_to_be_retried or is_cancelled_exception(error)


def root_cause(error: BaseException) -> str:
    """Return the innermost message: what went wrong, without the wrapping."""
    error = innermost(error)
    return error.message if isinstance(error, FailureError) else str(error)


def innermost(error: BaseException) -> BaseException:
    """Return the failure that all others wrap."""
    while isinstance(error, FailureError) and error.cause is not None:
        error = error.cause
    return error


def failed_with(error: ActivityError, kind: type[TransferError]) -> bool:
    """Tell whether an activity ended with this error of the domain."""
    return isinstance(error.cause, ApplicationError) and error.cause.type == kind.code()
