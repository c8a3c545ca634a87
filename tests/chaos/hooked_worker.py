"""The worker as it is in production, with a hook around every activity that asks whether a blow is due.

Only time is different: attempts are given up, and tried again, within seconds, and the old mailbox address is closed at
once, so that what takes an evening or thirty days is seen to its end. Run as a program, never imported by the product.
"""

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    Plugin,
    Replayer,
    ReplayerConfig,
    StartActivityInput,
    Worker,
    WorkerConfig,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
    WorkflowReplayResult,
)

import worker
from adapters.transfer import freeze_release
from domain.messages import ReservationMade, SendMail

PORT = "CHAOS_PORT"
# An attempt of a short transaction; a stop is longer than this, so that the next attempt meets the one that slept.
ATTEMPT = timedelta(seconds=2)
_SILENCE = timedelta(seconds=5)
_SOONEST, _LATEST = timedelta(seconds=0.3), timedelta(seconds=1.5)
_BEAT_SECONDS = 0.5
_PATIENCE = 10


class _Hooks(ActivityInboundInterceptor):
    """Asks before and after every activity, and goes on when the answer comes."""

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - temporalio's name
        await _ask("before", input)
        try:
            result = await super().execute_activity(input)
        except Exception:
            await _ask("failed", input)
            raise
        answer = await _ask("after", input)
        window = answer.get("window_seconds")
        if window and isinstance(result, ReservationMade):
            starts_at = activity.info().current_attempt_scheduled_time.astimezone(result.closes_at.tzinfo)
            accepted = result.accepted.model_copy(update={"starts_at": starts_at})
            closes_at = starts_at + timedelta(seconds=window)
            return result.model_copy(update={"accepted": accepted, "closes_at": closes_at})
        return result


async def _ask(boundary: str, call: ExecuteActivityInput) -> dict[str, Any]:
    info = activity.info()
    order = call.args[0] if call.args else None
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ[PORT]))
    question = {
        "pid": os.getpid(),
        "boundary": boundary,
        "activity": info.activity_type,
        "attempt": info.attempt,
        "workflow_id": info.workflow_id,
        "mail": order.kind.value if isinstance(order, SendMail) else None,
    }
    beating = asyncio.create_task(_beat())
    try:
        writer.write(json.dumps(question).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())
        return answer
    finally:
        beating.cancel()
        writer.close()


async def _beat() -> None:
    """Beat while a hook waits: a cancel comes with the beats."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(_BEAT_SECONDS)


class _Hurry(WorkflowOutboundInterceptor):
    """Gives up attempts sooner than production does, and tries again sooner."""

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        if input.heartbeat_timeout:
            input.heartbeat_timeout = min(input.heartbeat_timeout, _SILENCE)
        elif input.start_to_close_timeout:
            input.start_to_close_timeout = min(input.start_to_close_timeout, ATTEMPT)
        if input.retry_policy:
            latest = min(input.retry_policy.maximum_interval or _LATEST, _LATEST)
            input.retry_policy = dataclasses.replace(
                input.retry_policy,
                initial_interval=min(input.retry_policy.initial_interval, _SOONEST),
                maximum_interval=latest,
                # Shorter pauses between as many tries would be less patience than production has.
                maximum_attempts=input.retry_policy.maximum_attempts * _PATIENCE,
            )
        return super().start_activity(input)


class _HurriedWorkflow(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Hurry(outbound))


class _Chaos(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Hooks(next)

    def workflow_interceptor_class(self, _: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        return _HurriedWorkflow


class ChaosPlugin(Plugin):
    """Puts the hooks around what a worker does."""

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        config["interceptors"] = [_Chaos(), *(config.get("interceptors") or ())]
        # Tasks for a worker that was killed go to the next one sooner than after ten seconds.
        config["sticky_queue_schedule_to_start_timeout"] = timedelta(seconds=1)
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:  # noqa: A002
        await next(worker)

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        return config

    def run_replayer(
        self,
        replayer: Replayer,
        histories: AsyncIterator[WorkflowHistory],
        next: Callable[  # noqa: A002
            [Replayer, AsyncIterator[WorkflowHistory]],
            AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]],
        ],
    ) -> AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]]:
        return next(replayer, histories)


if __name__ == "__main__":
    freeze_release.FORWARDING_TIME = timedelta()
    sys.exit(worker.main(plugins=[ChaosPlugin()]))
