"""The one place where errors become Temporal's: what is worth another try is decided by type."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import TransferError, WorkerStopping

# The next worker begins at once: that this one stops says nothing of the database.
_AT_ONCE = timedelta(milliseconds=100)


class ErrorBoundary(Interceptor):
    """Translates the domain's errors, and keeps a stopping worker from looking like a cancelled transfer."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - temporalio's name
        return _Boundary(next)


class _Boundary(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - temporalio's name
        try:
            return await super().execute_activity(input)
        except TransferError as error:
            raise _translated(error) from error
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is not None and details.worker_shutdown and not details.cancel_requested:
                # The SDK would report "cancelled", and the workflow would undo a transfer that nobody cancelled.
                raise _translated(WorkerStopping()) from None
            raise


def _translated(error: TransferError) -> ApplicationError:
    return ApplicationError(
        str(error),
        error.english,
        error.dutch_text,
        type=error.code(),
        non_retryable=not error.retryable,
        next_retry_delay=_AT_ONCE if isinstance(error, WorkerStopping) else None,
    )
