"""Where each step of a transfer is, read off its event log: what is known without asking its workflow.

Every step writes its line into the log in the transaction that does its work, so the log is never behind the books.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo
from types import MappingProxyType

from pydantic import AwareDatetime

from domain.messages import Message, StepStatus
from domain.steps import STEPS, StepName, StepState
from domain.vocabulary import TransferState

_DONE_BY = MappingProxyType(
    {
        StepName.FREEZE: "environment_frozen",
        StepName.HASH: "environment_hashed",
        StepName.TICKET: "ticket_issued",
        StepName.AWAIT_UPLOAD: "upload_accepted",
        StepName.WAIT_FOR_EVENING: "clone_started",
        StepName.CLONE: "clone_finished",
        StepName.VERIFY: "clone_verified",
        StepName.BANKS: "banks_reconnected",
        StepName.CONSEQUENCES: "invitations_withdrawn",
        StepName.COMPARE: "opened_for_inspection",
        StepName.CERTIFY: "certificate_issued",
        StepName.RELEASE: "environment_released",
    }
)
_UNDONE_BY = MappingProxyType(
    {
        StepName.FREEZE: "environment_unfrozen",
        StepName.TICKET: "ticket_revoked",
        StepName.AWAIT_UPLOAD: "reservation_released",
        StepName.CLONE: "clone_dropped",
    }
)
# What has to be done before a step begins; the freeze begins with the transfer, the last look with a release.
_AFTER = MappingProxyType(
    {
        StepName.HASH: StepName.FREEZE,
        StepName.TICKET: StepName.FREEZE,
        StepName.AWAIT_UPLOAD: StepName.TICKET,
        StepName.WAIT_FOR_EVENING: StepName.AWAIT_UPLOAD,
        StepName.CLONE: StepName.WAIT_FOR_EVENING,
        StepName.VERIFY: StepName.CLONE,
        StepName.BANKS: StepName.VERIFY,
        StepName.CONSEQUENCES: StepName.BANKS,
        StepName.COMPARE: StepName.CONSEQUENCES,
        StepName.CERTIFY: StepName.COMPARE,
        StepName.NOTIFY: StepName.CERTIFY,
        StepName.AWAIT_RELEASE: StepName.CERTIFY,
        StepName.RELEASE: StepName.CHECK,
    }
)
_OF_AN_EVENING = (
    StepName.WAIT_FOR_EVENING,
    StepName.CLONE,
    StepName.VERIFY,
    StepName.BANKS,
    StepName.CONSEQUENCES,
    StepName.COMPARE,
    StepName.CERTIFY,
)
_CHECKED = "release_checked"
_POSTPONED = "start_postponed"
_UNDO_BEGUN = "undo_begun"
_STEP_DONE_BY = {kind: step for step, kind in _DONE_BY.items()}
_STEP_UNDONE_BY = {kind: step for step, kind in _UNDONE_BY.items()}
KINDS_READ = (*_STEP_DONE_BY, *_STEP_UNDONE_BY, _CHECKED, _POSTPONED, _UNDO_BEGUN)
"""The kinds of events that say something of a step."""


class LogLine(Message):
    """A line of a transfer's event log, as far as it says something of a step."""

    kind: str
    at: AwareDatetime
    reason: str = ""


class _Log:
    """When steps ended, and how, by the lines read so far."""

    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self._again_at: datetime | None = None
        self._turned_at: datetime | None = None
        self._failed: dict[StepName, datetime] = {}
        self._undone: dict[StepName, datetime] = {}
        self.done: dict[StepName, datetime] = {}

    def read(self, line: LogLine) -> None:
        if step := _STEP_DONE_BY.get(line.kind):
            self.done[step] = line.at
        elif step := _STEP_UNDONE_BY.get(line.kind):
            self._undone[step] = line.at
        elif line.kind == _UNDO_BEGUN:
            self._turned_at = line.at
        elif line.kind == _POSTPONED:
            self._again_at = line.at
            for name in _OF_AN_EVENING:
                self.done.pop(name, None)
        elif line.kind == _CHECKED:
            self._checked(line)

    def _checked(self, line: LogLine) -> None:
        self._failed.pop(StepName.CHECK, None)
        if line.reason:
            self._failed[StepName.CHECK] = line.at
        else:
            self.done[StepName.CHECK] = self.done[StepName.AWAIT_RELEASE] = line.at

    def begun(self) -> dict[StepName, datetime]:
        """Return when the steps that have begun did: with the end of what they follow."""
        begun = {StepName.FREEZE: self._began_at}
        begun |= {name: self.done[after] for name, after in _AFTER.items() if after in self.done}
        if self._again_at is not None and StepName.WAIT_FOR_EVENING in begun:
            begun[StepName.WAIT_FOR_EVENING] = self._again_at
        for ended in (self.done, self._failed):
            if StepName.CHECK in ended:
                begun[StepName.CHECK] = ended[StepName.CHECK]
        return begun

    def standing(
        self, name: StepName, state: TransferState, begun: dict[StepName, datetime]
    ) -> tuple[StepState, datetime | None]:
        """Return a step's state, and when it came to that end if it is one."""
        turned = state in (TransferState.UNDOING, TransferState.UNDONE)
        if turned and name in begun and name in _UNDONE_BY:
            over = name in self._undone or state is TransferState.UNDONE
            return (StepState.UNDONE if over else StepState.UNDOING), self._undone.get(name)
        if name in self.done:
            return StepState.DONE, self.done[name]
        if name in self._failed or (turned and name in begun):
            return StepState.FAILED, self._failed.get(name, self._turned_at)
        return (StepState.RUNNING if name in begun else StepState.PENDING), None


def steps_from_log(
    happenings: Iterable[LogLine],
    *,
    state: TransferState,
    began_at: datetime,
    ready_told_at: datetime | None = None,
) -> list[StepStatus]:
    """Return each step as far as the log knows it, in the order of the story.

    A look before a release that is under way, and what a step that is tried again meets, only the workflow knows.

    Args:
        happenings: The transfer's event log, in order.
        state: The transfer's state.
        began_at: When the transfer began.
        ready_told_at: When the mail "klaar" was sent; None before.
    """
    log = _Log(began_at)
    for happening in happenings:
        log.read(happening)
    if ready_told_at is not None and StepName.CERTIFY in log.done:
        log.done[StepName.NOTIFY] = ready_told_at
    begun = log.begun()
    told = []
    for name in (step.name for step in STEPS):
        step_state, finished_at = log.standing(name, state, begun)
        told.append(StepStatus(step=name, state=step_state, started_at=begun.get(name), finished_at=finished_at))
    return told


# What a transfer waits for in each state, with the moment that goes with it.
_WAITS_FOR = MappingProxyType(
    {
        TransferState.PREPARING: "the ticket",
        TransferState.AWAITING_UPLOAD: "the upload of the ticket",
        TransferState.SCHEDULED: "the evening window",
        TransferState.CLONING: "the clone",
        TransferState.AWAITING_RELEASE: "the new side's comparison and release",
        TransferState.UNDOING: "the undo",
        TransferState.RELEASED: "",
        TransferState.UNDONE: "",
    }
)


def waits_for(
    state: TransferState, *, zone: tzinfo, ticket_expires_at: datetime | None, starts_at: datetime | None
) -> str:
    """Say in a few words what a transfer waits for, as far as its state tells."""
    words = _WAITS_FOR[state]
    if state is TransferState.AWAITING_UPLOAD and ticket_expires_at is not None:
        return f"{words}, until {ticket_expires_at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    if state is TransferState.SCHEDULED and starts_at is not None:
        return f"{words}, {starts_at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    return words
