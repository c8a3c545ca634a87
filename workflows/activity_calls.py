"""Calling an activity: one message in, one out, under a policy that the table of steps names."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, cast

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, RetryState, is_cancelled_exception

from domain import messages as m
from domain.errors import TransferError
from domain.steps import Work, work_of
from workflows.policies import BY_NAME, Policy
from workflows.renewal import grow
from workflows.task_queues import queue_of_cell

_LONGEST_KEY: Final = 16  # characters, of the 64 bytes that a key may have
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
    return cast(_Answer, await _execute(activity, order, policy, summary, queue=policy.task_queue))


async def perform_step(
    activity: Callable[[Any, _Order], Awaitable[_Answer]],
    order: _Order,
    *,
    of: m.EnvironmentSummary | None = None,
    ahead: int = 0,
) -> _Answer:
    """Run an activity of a step as the table of steps says.

    Args:
        activity: The method.
        order: Its message.
        of: The environment that is worked on: heavy work waits in the queue of its cell, and shares it with others by
            licence.
        ahead: Before how many others in the table's order it goes.

    Raises:
        ActivityError: It failed for good, took too long or was cancelled.
    """
    return cast(_Answer, await _perform(work_of(activity.__name__), activity, order, of, ahead))


async def perform_work(
    work: Work, order: m.TakeStep, *, of: m.EnvironmentSummary | None = None, ahead: int = 0
) -> m.StepTaken | None:
    """Run what a row of the table of steps names, and return what it answers; a compensation answers nothing.

    Arguments and errors are those of `perform_step`.
    """
    answer = await _perform(work, work.activity, order, of, ahead, result_type=m.StepTaken | None)
    return cast(m.StepTaken | None, answer)


async def _perform(
    work: Work, activity: Any, order: Any, of: m.EnvironmentSummary | None, ahead: int, *, result_type: Any = None
) -> Any:
    policy = BY_NAME[work.policy]
    queue = queue_of_cell(policy.task_queue, of.cell) if of is not None and policy.is_heavy else policy.task_queue
    # What has begun is finished first, and of one kind the firms take turns.
    licence = of.licence_number[:_LONGEST_KEY] if of is not None else None
    turn = Priority(priority_key=max(work.turn - ahead, 1), fairness_key=licence)
    return await _execute(activity, order, policy, work.summary, queue=queue, priority=turn, result_type=result_type)


async def _execute(
    activity: Any,
    order: Any,
    policy: Policy,
    summary: str,
    *,
    queue: str,
    priority: Priority = Priority.default,
    result_type: Any = None,
) -> Any:
    grow()
    return await workflow.execute_activity(
        activity,
        order,
        task_queue=queue,
        result_type=result_type,
        start_to_close_timeout=policy.start_to_close,
        schedule_to_close_timeout=policy.schedule_to_close,
        heartbeat_timeout=policy.heartbeat,
        retry_policy=policy.retry,
        cancellation_type=policy.cancellation,
        priority=priority,
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


def failed_with(error: BaseException, *kinds: type[TransferError]) -> bool:
    """Tell whether an activity ended with one of these errors of the domain."""
    cause = error.cause if isinstance(error, ActivityError) else None
    return isinstance(cause, ApplicationError) and cause.type in {kind.code() for kind in kinds}
