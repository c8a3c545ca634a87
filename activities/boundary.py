"""The one place where errors become Temporal's, and where an activity learns whether its caller may ask for it."""

import asyncio
import logging
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.bounds import bounded
from domain.errors import NotItsTransfer, TransferError, WorkerStopping
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.ports import TransferOwners
from domain.reconciliation import ReconcileActivityName

_log = logging.getLogger(__name__)
# The next worker begins at once: that this one stops says nothing of the database.
_AT_ONCE = timedelta(milliseconds=100)
# A failure holds its sentence three times, encrypted. The server cuts what is above 4 kB, which nobody can then read.
_LONGEST_BYTES: Final = 600
# Those look at any transfer, on behalf of a workflow that is none, or of a caller.
_OF_NO_TRANSFER = frozenset({*ReconcileActivityName, "write_auditfile"})


class ErrorBoundary(Interceptor):
    """Translates errors, bounds answers, keeps a stopping worker from looking like a cancel, turns strangers away."""

    def __init__(self, owners: TransferOwners | None = None) -> None:
        """Take who knows which workflow carries out a transfer; without, only what an order itself says is checked."""
        self._owners = owners

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - temporalio's name
        return _Boundary(next, self._owners)


class _Boundary(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, owners: TransferOwners | None) -> None:  # noqa: A002 - as above
        super().__init__(next)
        self._owners = owners

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - temporalio's name
        try:
            await self._require_its_transfer(input.args[0] if input.args else None)
            return bounded(await super().execute_activity(input))
        except TransferError as error:
            raise _translated(error) from None
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details is not None and details.worker_shutdown and not details.cancel_requested:
                # The SDK would report "cancelled", and the workflow would undo a transfer that nobody cancelled.
                raise _translated(WorkerStopping()) from None
            raise
        except (ApplicationError, CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - nobody foresaw it, so nobody knows its class
            # The whole of it is for those who read the worker's log, one sentence for the history.
            _log.exception("%s failed", activity.info().activity_type)
            raise ApplicationError(_short(_sentence(error)), type=type(error).__name__) from None

    async def _require_its_transfer(self, order: Any) -> None:
        """Refuse what a workflow asks that does not carry out the transfer which its order names.

        A copy of a transfer's workflow has the same input, and would take back what the original has done. A transfer's
        workflow has the id of its environment, also when it is its recovery; that of its mailbox has the transfer's.

        Raises:
            NotItsTransfer: It is another's.
        """
        info = activity.info()
        transfer_id: UUID | None = getattr(order, "transfer_id", None)
        if transfer_id is None or info.activity_type in _OF_NO_TRANSFER:
            return
        caller = info.workflow_id
        environment_id: UUID | None = getattr(order, "environment_id", None)
        if environment_id is not None and caller != workflow_id_of(environment_id):
            raise NotItsTransfer
        owner = await self._owners.workflow_of(transfer_id) if self._owners is not None else None
        if owner is not None and caller not in (owner, mailbox_workflow_id_of(transfer_id)):
            raise NotItsTransfer


def _translated(error: TransferError) -> ApplicationError:
    return ApplicationError(
        _short(str(error)),
        _short(error.english),
        _short(error.dutch_text),
        type=error.code(),
        non_retryable=not error.retryable,
        next_retry_delay=_AT_ONCE if isinstance(error, WorkerStopping) else None,
    )


def _sentence(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _short(text: str) -> str:
    """Return a text on one line, cut to what a failure has room for."""
    line = " ".join(text.split())
    data = line.encode("utf-8", "replace")
    return line if len(data) <= _LONGEST_BYTES else f"{data[: _LONGEST_BYTES - 3].decode('utf-8', 'ignore')}…"
