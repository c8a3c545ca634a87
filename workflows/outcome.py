"""How the workflow of a transfer closes, and how that is read: as failed when the transfer was undone by a failure."""

from typing import Final

from temporalio.exceptions import ApplicationError

from domain import messages as m
from domain.vocabulary import TransferState, UndoReason

TRANSFER_FAILED: Final = "TransferFailed"


def closed_with(result: m.TransferResult) -> m.TransferResult:
    """Return a result that the workflow completes with: moved, or undone because somebody or the clock said so.

    Raises:
        ApplicationError: `TransferFailed`: lists show it as failed, for somebody has to look; the result is its detail.
    """
    if result.state is TransferState.UNDONE and result.undo_reason is UndoReason.FAILED:
        raise ApplicationError(f"undone: {result.undo_detail}", result, type=TRANSFER_FAILED, non_retryable=True)
    return result


def result_in(cause: BaseException | None) -> m.TransferResult | None:
    """Return the result that the failure of a workflow carries; None when its transfer did not come to an end."""
    if isinstance(cause, ApplicationError) and cause.type == TRANSFER_FAILED:
        return m.TransferResult.model_validate(cause.details[0])
    return None
