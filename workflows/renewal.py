"""Going on in a new run before the history is too long: the server ends a workflow at 51,200 events."""

from temporalio import workflow


class HistoryLong(BaseException):
    """The workflow goes on in a new run now. No error: nothing that handles errors may take it for one."""


def is_due() -> bool:
    """Tell whether it is time for a new run, and nobody who waits for an answer would lose it."""
    return workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished()


def renew_if_due() -> None:
    """Leave this run at a point at which nothing is lost.

    Raises:
        HistoryLong: It is time.
    """
    if is_due():
        raise HistoryLong
