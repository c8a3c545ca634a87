"""What the caller of an update hears: a refusal that a program can tell by its type, in both languages."""

from typing import Any, TypeVar

from temporalio.exceptions import ActivityError, ApplicationError

from domain import messages as m
from domain.errors import InputMalformed, PayloadKeyUnknown, Superseded, TransferError, WrongMoment
from workflows.activity_calls import failed_with, is_cancel, root_cause
from workflows.inbox import read

_Message = TypeVar("_Message", bound=m.Message)


def refusal(error: TransferError) -> ApplicationError:
    """Return a business refusal as the answer to an update's caller; the workflow goes on."""
    return ApplicationError(str(error), error.english, error.dutch_text, type=error.code(), non_retryable=True)


def asked(given: tuple[Any, ...], kind: type[_Message]) -> _Message:
    """Return what an update was given.

    Raises:
        ApplicationError: It is malformed, or encrypted with a key that is not there.
    """
    try:
        return read(given, kind)
    except (InputMalformed, PayloadKeyUnknown) as error:
        raise refusal(error) from None


def answer_for(error: ActivityError) -> ApplicationError:
    """Return what the caller of an update hears about a failed activity."""
    if is_cancel(error) or failed_with(error, Superseded):
        return refusal(WrongMoment())  # it is being undone: a cancel, or an undo, was faster than the caller
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return ApplicationError(cause.message, *cause.details, type=cause.type, non_retryable=True)
    return ApplicationError(root_cause(error), type=type(cause or error).__name__, non_retryable=True)
