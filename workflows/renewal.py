"""Going on in a new run before the history is too long: a server ends a workflow at a number of events or bytes.

What a run has grown by is counted from what it does and is sent. The server's own suggestion, and the length that it
tells, come with a workflow task, and a replay handles a task in which nothing happened together with the one before:
the run would go on at another moment than it did.
"""

from typing import Any, Final

from temporalio import workflow

_GROWN: Final = "_history_grown_by"
# A unit is an activity's six events, or the 32 kB that a message may have.
_LONGEST: Final = 250
# What is refused may have the 300 kB that the server takes, or 2 MB where its limits are its own. Its sender may go on
# without end, and a run that has to be read back loses against him for long: so it goes on when it is still short.
REFUSED: Final = 25


class HistoryLong(BaseException):
    """The workflow goes on in a new run now. No error: nothing that handles errors may take it for one."""


def grow(units: int = 1) -> None:
    """Count what makes this run's history longer: an activity, a signal; `REFUSED` for one that says nothing."""
    run: Any = workflow.instance()
    setattr(run, _GROWN, getattr(run, _GROWN, 0) + units)


def is_due() -> bool:
    """Tell whether it is time for a new run, and nobody who waits for an answer would lose it."""
    return is_long() and workflow.all_handlers_finished()


def is_long() -> bool:
    """Tell whether it is time for a new run."""
    return bool(getattr(workflow.instance(), _GROWN, 0) >= _LONGEST)


def renew_if_due() -> None:
    """Leave this run at a point at which nothing is lost.

    Raises:
        HistoryLong: It is time.
    """
    if is_due():
        raise HistoryLong
