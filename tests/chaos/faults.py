"""Every fault there is: who is hit, how, and when, made from the tables of the product itself.

A new activity or a new state is in the list by itself, and a fault that no journey can inject makes the run fail.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from domain.steps import STEPS, ActivityName, PolicyName
from domain.vocabulary import TransferState


class Victim(StrEnum):
    WORKER = "worker"
    POSTGRES = "postgres"
    TEMPORAL = "temporal"
    MAIL = "mail"


class Manner(StrEnum):
    KILLED = "killed"
    SHUT_DOWN = "shut down"
    """PostgreSQL's immediate shutdown: no goodbye, and a recovery at the next start."""
    STOPPED = "stopped"
    """Frozen with SIGSTOP for longer than an attempt may take, then awake again as if nothing had happened."""


class Boundary(StrEnum):
    BEFORE = "before"
    HALF_WAY = "half-way"
    AFTER = "after"


class Ending(StrEnum):
    """What becomes of a transfer, and with it which activities it meets."""

    RELEASED = "released"
    REJECTED = "rejected"
    LATE = "late"
    """The window closes before it is done; on the next evening it is done, and released."""


WAYS = (
    (Victim.WORKER, Manner.KILLED),
    (Victim.WORKER, Manner.STOPPED),
    (Victim.POSTGRES, Manner.KILLED),
    (Victim.POSTGRES, Manner.SHUT_DOWN),
    (Victim.POSTGRES, Manner.STOPPED),
    (Victim.TEMPORAL, Manner.KILLED),
    (Victim.TEMPORAL, Manner.STOPPED),
    (Victim.MAIL, Manner.KILLED),
    (Victim.MAIL, Manner.STOPPED),
)
HALVED = (ActivityName.CLONE_ADMINISTRATIONS, ActivityName.VERIFY_CLONE)
_COMPENSATIONS = tuple(step.compensation.activity for step in STEPS if step.compensation)
_UNDOING = frozenset({*_COMPENSATIONS, ActivityName.BEGIN_UNDO, ActivityName.FINISH_UNDO})


def _short_work_in(state: TransferState) -> ActivityName:
    """Return the first activity that is one short transaction, after the line that entered a state."""
    begun = [step.enters for step in STEPS].index(state) + 1
    return next(work.activity for step in STEPS[begun:] for work in step.work if work.policy is PolicyName.STEP)


# States that pass in moments: the activity in it at whose beginning the state is looked at and the blow falls.
PASSING = {
    TransferState.PREPARING: _short_work_in(TransferState.PREPARING),
    TransferState.CLONING: _short_work_in(TransferState.CLONING),
    TransferState.UNDOING: _COMPENSATIONS[-1],
}
_AFTER_THE_RELEASE = frozenset({ActivityName.RELEASE_ENVIRONMENT, ActivityName.CLOSE_MAILBOX_FORWARDING})


@dataclass(frozen=True, slots=True)
class Fault:
    """One blow: `activity` and `boundary` say when, or `state` does."""

    victim: Victim
    manner: Manner
    activity: ActivityName | None = None
    boundary: Boundary | None = None
    state: TransferState | None = None

    def __str__(self) -> str:
        when = f"in state {self.state}" if self.state else f"{self.boundary} {self.activity}"
        return f"{self.victim} {self.manner} {when}"

    @property
    def endings(self) -> tuple[Ending, ...]:
        """Return the journeys that come past this fault's moment; the first is the one that is made for it."""
        if self.activity is ActivityName.POSTPONE_START:
            return (Ending.LATE,)
        if self.activity in _UNDOING or self.state in (TransferState.UNDOING, TransferState.UNDONE):
            return (Ending.REJECTED,)
        if self.activity in _AFTER_THE_RELEASE or self.state is TransferState.RELEASED:
            return (Ending.RELEASED, Ending.LATE)
        if self.state or self.boundary is Boundary.HALF_WAY:
            return (Ending.RELEASED, Ending.REJECTED)
        return tuple(Ending)


def every_fault() -> Iterator[Fault]:
    """Yield each fault once, in the order of the tables."""
    for activity in ActivityName:
        for boundary in Boundary:
            if boundary is not Boundary.HALF_WAY or activity in HALVED:
                for victim, manner in WAYS:
                    yield Fault(victim, manner, activity, boundary)
    for state in TransferState:
        for victim, manner in WAYS:
            yield Fault(victim, manner, state=state)


def draw(open_faults: list[Fault], dice: random.Random, at_most: int) -> tuple[Ending, list[Fault]]:
    """Choose the next journey and its faults, and take those from the list; what only one kind of journey meets first.

    At most one fault for each moment: more would only make the attempts of one activity longer and longer.
    """
    made_for = [fault.endings[0] for fault in open_faults if len(fault.endings) < len(Ending) - 1]
    ending = dice.choice(made_for or [Ending.RELEASED])
    fitting = [fault for fault in open_faults if ending in fault.endings]
    dice.shuffle(fitting)
    fitting.sort(key=lambda fault: len(fault.endings))
    chosen: dict[object, Fault] = {}
    for fault in fitting:
        if len(chosen) < at_most:
            chosen.setdefault(fault.state or (fault.activity, fault.boundary), fault)
    for fault in chosen.values():
        open_faults.remove(fault)
    return ending, list(chosen.values())
