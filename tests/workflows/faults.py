"""Every kind of failure, for every activity that the step table and the contract name, and the story that meets it.

The cases are made from the table: whoever adds a step or an activity has to say here how a transfer gets there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from temporalio import activity

from domain.errors import Refused, Unavailable
from domain.steps import ActivityName, Step, StepName
from domain.vocabulary import MailKind
from tests.workflows.modelled import Moment


class Kind(StrEnum):
    """How an activity fails."""

    FAILS_BEFORE = "fails before it does anything, and is tried again"
    FAILS_HALF_WAY = "fails half-way, and is tried again"
    ANSWER_LOST = "is done, and its answer is lost"
    AWAY_FOR_A_WHILE = "finds a server away, more than once"
    REFUSED = "is refused for good before it does anything"
    REFUSED_HALF_WAY = "is refused for good half-way"
    REFUSED_AFTER = "is done, and fails for good"
    TIMED_OUT = "hangs half-way past its time-out, and goes on when another attempt has done its work"
    CANCELLED = "meets a cancel half-way, and goes on after the undo"
    WORKER_GONE = "loses its worker half-way"


class Story(StrEnum):
    """How a transfer comes to an activity."""

    RELEASED = "released"
    REJECTED = "rejected"
    STARTED_EARLY = "somebody starts it early"
    CORRECTED = "somebody corrects what was uploaded, and then starts it early"
    RESCHEDULED = "somebody chooses another evening, and then starts it early"
    POSTPONED = "the window closes on the clone, and it is released the next evening"
    FORWARDED = "released, and the old address is closed"
    LOOKED = "somebody starts it before there is an upload, and it is released later"


_STORIES: dict[str, Story] = {
    ActivityName.FREEZE_ENVIRONMENT: Story.RELEASED,
    ActivityName.UNFREEZE_ENVIRONMENT: Story.REJECTED,
    ActivityName.HASH_FROZEN: Story.RELEASED,
    ActivityName.ISSUE_TICKET: Story.RELEASED,
    ActivityName.REVOKE_TICKET: Story.REJECTED,
    ActivityName.ACCEPT_UPLOAD: Story.RELEASED,
    ActivityName.READ_RESERVATION: Story.LOOKED,
    ActivityName.RELEASE_RESERVATION: Story.REJECTED,
    ActivityName.POSTPONE_START: Story.POSTPONED,
    ActivityName.CORRECT_UPLOAD: Story.CORRECTED,
    ActivityName.RESCHEDULE_START: Story.RESCHEDULED,
    ActivityName.CLONE_ADMINISTRATIONS: Story.RELEASED,
    ActivityName.VERIFY_CLONE: Story.RELEASED,
    ActivityName.DROP_CLONE: Story.REJECTED,
    ActivityName.RECONNECT_BANKS: Story.RELEASED,
    ActivityName.APPLY_CONSEQUENCES: Story.RELEASED,
    ActivityName.COMPARE_ENVIRONMENTS: Story.RELEASED,
    ActivityName.OPEN_FOR_INSPECTION: Story.RELEASED,
    ActivityName.ISSUE_CERTIFICATE: Story.RELEASED,
    ActivityName.CHECK_UNCHANGED: Story.RELEASED,
    ActivityName.RELEASE_ENVIRONMENT: Story.RELEASED,
    ActivityName.CLOSE_MAILBOX_FORWARDING: Story.FORWARDED,
    ActivityName.SEND_MAIL: Story.RELEASED,
    ActivityName.RECORD_EVENT: Story.STARTED_EARLY,
    ActivityName.BEGIN_UNDO: Story.REJECTED,
    ActivityName.FINISH_UNDO: Story.REJECTED,
    # Steps that only wait.
    StepName.WAIT_FOR_EVENING: Story.STARTED_EARLY,
    StepName.AWAIT_RELEASE: Story.RELEASED,
}
# What can happen to a wait: nothing fails in it.
_WAITS = (Kind.CANCELLED, Kind.WORKER_GONE)
# The transfer has ended when its old address is closed: a cancel finds nobody.
_NEVER = {(ActivityName.CLOSE_MAILBOX_FORWARDING, Kind.CANCELLED)}


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong in one transfer."""

    where: ActivityName | StepName
    kind: Kind
    story: Story

    def __str__(self) -> str:
        return f"{self.where.value} {self.kind.value}"


def cases(steps: Iterable[Step], activities: Iterable[ActivityName]) -> list[Case]:
    """Return every case of these steps, their compensations, and the activities that belong to no step.

    Raises:
        LookupError: Nobody has said how a transfer gets there.
    """
    found: list[Case] = []
    for where in dict.fromkeys([*_places(steps), *activities]):
        if where not in _STORIES:
            raise LookupError(f"no story leads to {where}: add it to {__name__}")
        kinds = _WAITS if isinstance(where, StepName) else Kind
        found += [Case(where, kind, _STORIES[where]) for kind in kinds if (where, kind) not in _NEVER]
    return found


def _places(steps: Iterable[Step]) -> Iterator[ActivityName | StepName]:
    for step in steps:
        yield from step.activities
        if step.compensation is not None:
            yield step.compensation.activity
        if not step.activities:
            yield step.name


_MOMENTS = {
    Kind.FAILS_BEFORE: Moment.BEFORE,
    Kind.FAILS_HALF_WAY: Moment.HALF_WAY,
    Kind.ANSWER_LOST: Moment.AFTER,
    Kind.AWAY_FOR_A_WHILE: Moment.BEFORE,
    Kind.REFUSED: Moment.BEFORE,
    Kind.REFUSED_HALF_WAY: Moment.HALF_WAY,
    Kind.REFUSED_AFTER: Moment.AFTER,
}
REFUSALS = (Kind.REFUSED, Kind.REFUSED_HALF_WAY, Kind.REFUSED_AFTER)
_TIMES = {Kind.AWAY_FOR_A_WHILE: 2}


class Fault:
    """Interferes as a case says; a seam of `Modelled`."""

    def __init__(self, case: Case, cancel: Callable[[], Awaitable[None]]) -> None:
        self.case = case
        self.met = asyncio.Event()
        """It has happened."""
        self.go_on = asyncio.Event()
        """What hangs may go on."""
        self._cancel = cancel
        self._left = _TIMES.get(case.kind, 1)

    async def __call__(self, order: Any, moment: Moment) -> None:
        """Let the activity fail, hang, or be cancelled, when it is the one and this is the moment."""
        name = activity.info().activity_type
        if name != self.case.where or moment is not _MOMENTS.get(self.case.kind, Moment.HALF_WAY) or not self._left:
            return
        if name == ActivityName.SEND_MAIL and order.kind is not MailKind.READY:
            return
        self._left -= 1
        self.met.set()
        if self.case.kind in REFUSALS:
            raise Refused("the disk is full")
        if self.case.kind in _MOMENTS:
            raise Unavailable
        if self.case.kind is Kind.CANCELLED:
            await self._cancel()
        await self.go_on.wait()
