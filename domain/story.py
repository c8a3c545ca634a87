"""Where each step of a transfer is, read off its event log: what is known without asking its workflow.

Every step writes its line into the log in the transaction that does its work, so the log is never behind the books.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo

from pydantic import AwareDatetime

from domain.events import EventKind
from domain.messages import Message, StepStatus
from domain.steps import STEPS, Step, StepName, StepState, evening_steps, undone_steps
from domain.vocabulary import TransferState

# What says something of steps without being the beginning, the end or the undoing of one.
_BESIDE = (EventKind.RELEASE_CHECKED, EventKind.START_POSTPONED, EventKind.UNDO_BEGUN)


def kinds_read() -> tuple[EventKind, ...]:
    """Return the kinds of events that say something of a step."""
    ends = [step.ended_by for step in STEPS if step.ended_by]
    return (*ends, *(step.compensation.event for step in undone_steps() if step.compensation), *_BESIDE)


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
        for step in STEPS:
            if step.ended_by == line.kind:
                self.done[step.name] = line.at
            elif step.compensation and step.compensation.event == line.kind:
                self._undone[step.name] = line.at
        if line.kind == EventKind.UNDO_BEGUN:
            self._turned_at = line.at
        elif line.kind == EventKind.START_POSTPONED:
            self._again_at = line.at
            for step in evening_steps():
                self.done.pop(step.name, None)
        elif line.kind == EventKind.RELEASE_CHECKED:
            self._checked(line)

    def _checked(self, line: LogLine) -> None:
        self._failed.pop(StepName.CHECK, None)
        if line.reason:
            self._failed[StepName.CHECK] = line.at
        else:
            self.done[StepName.CHECK] = self.done[StepName.AWAIT_RELEASE] = line.at

    def begun(self) -> dict[StepName, datetime]:
        """Return when the steps that have begun did: with the end of what they follow."""
        begun = {STEPS[0].name: self._began_at}
        begun |= {step.name: self.done[step.follows] for step in STEPS if step.follows and step.follows in self.done}
        if self._again_at is not None and StepName.WAIT_FOR_EVENING in begun:
            begun[StepName.WAIT_FOR_EVENING] = self._again_at
        for ended in (self.done, self._failed):
            if StepName.CHECK in ended:
                begun[StepName.CHECK] = ended[StepName.CHECK]
        return begun

    def standing(
        self, step: Step, state: TransferState, begun: dict[StepName, datetime]
    ) -> tuple[StepState, datetime | None]:
        """Return a step's state, and when it came to that end if it is one."""
        turned = state in (TransferState.UNDOING, TransferState.UNDONE)
        name = step.name
        if turned and name in begun and step.compensation:
            over = name in self._undone or state is TransferState.UNDONE
            return (StepState.UNDONE if over else StepState.UNDOING), self._undone.get(name)
        if name in self.done:
            return StepState.DONE, self.done[name]
        if name in self._failed or (turned and name in begun):
            return StepState.FAILED, self._failed.get(name, self._turned_at)
        return (StepState.RUNNING if name in begun else StepState.PENDING), None


def steps_from_log(
    lines: Iterable[LogLine],
    *,
    state: TransferState,
    began_at: datetime,
    ready_told_at: datetime | None = None,
) -> list[StepStatus]:
    """Return each step as far as the log knows it, in the order of the story.

    A look before a release that is under way, and what a step that is tried again meets, only the workflow knows.

    Args:
        lines: The transfer's event log, in order.
        state: The transfer's state.
        began_at: When the transfer began.
        ready_told_at: When the mail "klaar" was sent; None before.
    """
    log = _Log(began_at)
    for line in lines:
        log.read(line)
    if ready_told_at is not None and StepName.CERTIFY in log.done:
        log.done[StepName.NOTIFY] = ready_told_at
    begun = log.begun()
    found = []
    for step in STEPS:
        step_state, finished_at = log.standing(step, state, begun)
        found.append(
            StepStatus(step=step.name, state=step_state, started_at=begun.get(step.name), finished_at=finished_at)
        )
    return found


def waits_for(
    statuses: Iterable[StepStatus],
    state: TransferState,
    *,
    zone: tzinfo,
    ticket_expires_at: datetime | None = None,
    starts_at: datetime | None = None,
) -> str:
    """Say in a few words what a transfer waits for: what the step that runs does, with the moment that goes with it.

    Its workflow and its log tell it in the same words.
    """
    if state is TransferState.UNDOING:
        return "the undo"
    if state.is_final:
        return ""
    words = {step.name: step.waits_for for step in STEPS if step.waits_for}
    told = [status for status in statuses if status.step in words]
    running = [status.step for status in told if status.state is StepState.RUNNING]
    pending = [status.step for status in told if status.state is StepState.PENDING]
    moments = {
        "ticket_expires_at": _written_out(ticket_expires_at, zone),
        "starts_at": _written_out(starts_at, zone),
    }
    return words[running[-1] if running else pending[0]].format(**moments) if running or pending else ""


def _written_out(moment: datetime | None, zone: tzinfo) -> str:
    return "a moment that is not known yet" if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"
