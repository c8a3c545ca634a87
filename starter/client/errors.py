"""Temporal's errors in the domain's words: what a caller of the client gets to catch."""

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.client import (
    ActivityFailureError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import (
    ApplicationError,
    FailureError,
    TimeoutError,  # noqa: A004 - temporalio's name
    TimeoutType,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import AlreadyInTransfer, Misconfigured, TransferError, TransferUnknown, Unavailable, all_errors

NO_ANSWER = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)


class NoAnswer(Unavailable):
    """The transfer's workflow does not answer. Look at it in the Temporal UI."""


class NoWorker(NoAnswer):
    """No worker answers in time. Start one with `sb-transfer worker`; if one runs, it is busy: do this again later."""


class WorkflowPaused(NoAnswer):
    """An operator has paused this transfer's workflow. Run `temporal workflow unpause`, then do this again."""


class WorkflowStuck(NoAnswer):
    """This transfer's workflow fails again and again. Have an operator run `sb-transfer reconcile --fix`."""


class NotATransfer(NoAnswer):
    """What runs under this environment's workflow id is no transfer. `sb-transfer reconcile --fix` ends it."""


@contextmanager
def domain_errors() -> Iterator[None]:
    """Turn Temporal's errors into the domain's; the cause is kept."""
    try:
        yield
    except WorkflowAlreadyStartedError as error:
        raise AlreadyInTransfer from error
    except ActivityFailureError as error:
        if isinstance(error.cause, TimeoutError) and error.cause.type is TimeoutType.SCHEDULE_TO_START:
            raise NoWorker from error
        raise as_domain_error(error.cause) from error
    except WorkflowUpdateFailedError as error:
        raise as_domain_error(error.cause) from error
    except WorkflowFailureError as error:
        raise TransferError(
            f"The workflow ended without finishing the transfer: {error.cause}. Look at it in the Temporal UI."
        ) from error
    except WorkflowQueryFailedError as error:
        raise Unavailable(f"The workflow cannot answer now: {error}. Look at the worker's log.") from error
    except RPCError as error:
        raise _meaning_of(error) from error


def as_domain_error(cause: BaseException) -> TransferError:
    """Return the domain's error that a workflow or activity has sent: its type is the code, its details the words."""
    while isinstance(cause, FailureError) and not isinstance(cause, ApplicationError) and cause.cause is not None:
        cause = cause.cause
    if not isinstance(cause, ApplicationError):
        return TransferError(f"The transfer did not answer as it should: {cause}. Look in its event log.")
    kind = all_errors().get(cause.type or "", TransferError)
    words = [str(detail) for detail in cause.details]
    return kind(words[0] if words else cause.message, dutch=words[1] if len(words) > 1 else None)


def _meaning_of(error: RPCError) -> TransferError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return TransferUnknown()
    if error.status in NO_ANSWER:
        return Unavailable("Temporal did not answer in time. Try again.")
    if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
        return Misconfigured("Temporal does not let this client do that. Correct TEMPORAL_API_KEY or the certificate.")
    return Unavailable(f"Temporal does not do it now ({error.status.name}: {error.message}). Try again.")
