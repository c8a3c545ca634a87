"""The one place where errors become Temporal's: what is worth another try is decided by type."""

import asyncio
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import TransferError


class ErrorBoundary(Interceptor):
    """Translates the domain's errors, and keeps a stopping worker from looking like a cancelled transfer."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - temporalio's name
        return _Boundary(next)


class _Boundary(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - temporalio's name
        try:
            return await super().execute_activity(input)
        except TransferError as error:
            raise ApplicationError(
                str(error),
                error.english,
                error.dutch_text,
                type=error.code(),
                non_retryable=not error.retryable,
            ) from error
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is not None and details.worker_shutdown and not details.cancel_requested:
                # The SDK would report "cancelled", and the workflow would undo a transfer that nobody cancelled.
                raise ApplicationError("The worker stops; another one goes on.", type="WorkerStopping") from None
            raise
