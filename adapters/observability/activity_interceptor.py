"""What every activity leaves behind for operators: its transfer and step in each log line, its end, its retries."""

import logging
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

from structlog.contextvars import bind_contextvars
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from adapters.observability.metrics import COMPENSATIONS, UNMEASURED, Metrics
from domain.steps import STEPS

_log = logging.getLogger("sb_transfer.activity")
_STEPS: Mapping[str, str] = MappingProxyType(
    {work.activity.value: step.name.value for step in STEPS for work in step.work_and_compensation}
)


class ActivityInterceptor(Interceptor):
    """Comes before every other interceptor, so that what they log has its place too."""

    def __init__(self, metrics: Metrics = UNMEASURED) -> None:
        """Take the instruments that count attempts at compensations."""
        self._metrics = metrics

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - temporalio's name
        return _Inbound(next, self._metrics)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, metrics: Metrics) -> None:
        super().__init__(following)
        self._metrics = metrics

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - temporalio's name
        info = activity.info()
        # Left bound at the end: the SDK tells of a failure afterwards, in the same task, which ends then.
        bind_contextvars(
            transfer_id=_transfer_of(input),
            step=_STEPS.get(info.activity_type, info.activity_type),
            activity=info.activity_type,
            attempt=info.attempt,
            workflow_id=info.workflow_id,
        )
        if info.attempt > 1 and info.activity_type in COMPENSATIONS:
            self._metrics.compensation_retries.add(1, {"activity": info.activity_type})
        began = time.monotonic()
        answer = await super().execute_activity(input)
        _log.info("done", extra={"seconds": round(time.monotonic() - began, 3)})
        return answer


def _transfer_of(call: ExecuteActivityInput) -> str | None:
    """Return the transfer that an order is about; an inspection is about none."""
    order = call.args[0] if call.args else None
    found = getattr(order, "transfer_id", None)
    return str(found) if isinstance(found, UUID) else None
