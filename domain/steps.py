"""The one table of steps: what a transfer does, in order, and everything that is told, shown or undone of each step.

The story, the page in the Temporal UI, the evening, the undo, the recovery, the invariant, the chaos run and the
picture in the docs are read from `STEPS`. docs/architecture.md shows how a step is added.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from domain.events import EventKind
from domain.vocabulary import TransferState


class StepName(StrEnum):
    """The manual's story, in order."""

    FREEZE = "freeze"
    HASH = "hash"
    TICKET = "ticket"
    AWAIT_UPLOAD = "await_upload"
    WAIT_FOR_EVENING = "wait_for_evening"
    CLONE = "clone"
    VERIFY = "verify"
    BANKS = "banks"
    CONSEQUENCES = "consequences"
    COMPARE = "compare"
    CERTIFY = "certify"
    NOTIFY = "notify"
    AWAIT_RELEASE = "await_release"
    CHECK = "check"
    RELEASE = "release"


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


class ActivityName(StrEnum):
    """The registered name of every activity: part of the contract with histories that are in flight."""

    FREEZE_ENVIRONMENT = "freeze_environment"
    UNFREEZE_ENVIRONMENT = "unfreeze_environment"
    ISSUE_TICKET = "issue_ticket"
    REVOKE_TICKET = "revoke_ticket"
    ACCEPT_UPLOAD = "accept_upload"
    RELEASE_RESERVATION = "release_reservation"
    # Of no step: how far a transfer is whose workflow was reset to before that.
    READ_RESERVATION = "read_reservation"
    # Of no step: it leads back from the clone to the wait for the evening.
    POSTPONE_START = "postpone_start"
    # Of no step: somebody chooses another evening during that wait.
    RESCHEDULE_START = "reschedule_start"
    # Of no step: somebody corrects what was uploaded during that wait.
    CORRECT_UPLOAD = "correct_upload"
    CLONE_ADMINISTRATIONS = "clone_administrations"
    HASH_FROZEN = "hash_frozen"
    VERIFY_CLONE = "verify_clone"
    DROP_CLONE = "drop_clone"
    RECONNECT_BANKS = "reconnect_banks"
    APPLY_CONSEQUENCES = "apply_consequences"
    COMPARE_ENVIRONMENTS = "compare_environments"
    OPEN_FOR_INSPECTION = "open_for_inspection"
    ISSUE_CERTIFICATE = "issue_certificate"
    CHECK_UNCHANGED = "check_unchanged"
    RELEASE_ENVIRONMENT = "release_environment"
    CLOSE_MAILBOX_FORWARDING = "close_mailbox_forwarding"
    SEND_MAIL = "send_mail"
    RECORD_EVENT = "record_event"
    BEGIN_UNDO = "begin_undo"
    FINISH_UNDO = "finish_undo"


class PolicyName(StrEnum):
    """How an activity may take its time and is tried again; `workflows.policies` has the numbers."""

    FREEZE = "freeze"
    STEP = "step"
    HEAVY = "heavy"
    HASH = "hash"
    CHECK = "check"
    MUST_HAPPEN = "must_happen"
    DROP = "drop"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Work:
    """An activity of a step; `summary` is what operators read beside it."""

    activity: ActivityName
    policy: PolicyName
    summary: str
    turn: int = field(default=3, kw_only=True)
    """When it gets a place that several wait for: 1 a person waits, 2 to 4 the nearer to its end, 5 it can wait."""


@dataclass(frozen=True, slots=True)
class Compensation(Work):
    """What undoes a step, registered before the step runs: it does nothing when the step never did."""

    event: EventKind
    """The line of the log that tells that it is undone."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step, with everything that others need to know of it."""

    name: StepName
    title: str
    work: tuple[Work, ...] = ()
    """Its activities, in order."""
    follows: StepName | None = None
    """What has to be done before it begins, when that is not the row above; the first begins with the transfer."""
    begun_by: EventKind | None = None
    """The line of the log that tells that it begins; None when the end of what it follows does."""
    ended_by: EventKind | None = None
    """The line that tells that it is done; None when something else does: a mail, somebody's decision."""
    enters: TransferState | None = None
    """The state that the database has from that line on; the same transaction writes both."""
    waits_for: str = ""
    """What the transfer waits for while it runs; `ticket_expires_at` and `starts_at` are put in. None beside others."""
    of_an_evening: bool = False
    """Whether it has to fit in one evening, and begins anew on the next when it does not."""
    compensation: Compensation | None = None

    @property
    def work_and_compensation(self) -> tuple[Work, ...]:
        """Return its activities and what undoes them."""
        return self.work if self.compensation is None else (*self.work, self.compensation)

    @property
    def activities(self) -> tuple[ActivityName, ...]:
        """Return the names of its activities, in order."""
        return tuple(work.activity for work in self.work)

    @property
    def leaves(self) -> EventKind | None:
        """Return the line from which on there is something to undo."""
        return self.begun_by or self.ended_by


def _in_order(*steps: Step) -> tuple[Step, ...]:
    """Return steps of which each follows the one before it, unless its row says otherwise."""
    before = (None, *(step.name for step in steps))
    return tuple(replace(step, follows=step.follows or name) for step, name in zip(steps, before, strict=False))


STEPS: tuple[Step, ...] = _in_order(
    Step(
        StepName.FREEZE,
        "Freeze the environment",
        (Work(ActivityName.FREEZE_ENVIRONMENT, PolicyName.FREEZE, "fence every write"),),
        ended_by=EventKind.ENVIRONMENT_FROZEN,
        enters=TransferState.PREPARING,
        waits_for="the freeze of the environment",
        compensation=Compensation(
            ActivityName.UNFREEZE_ENVIRONMENT, PolicyName.MUST_HAPPEN, "unfreeze", EventKind.ENVIRONMENT_UNFROZEN
        ),
    ),
    # Runs beside the waits that follow and is awaited before the clone.
    Step(
        StepName.HASH,
        "Hash what was frozen",
        (Work(ActivityName.HASH_FROZEN, PolicyName.HASH, "hash every row of the frozen environment", turn=5),),
        ended_by=EventKind.ENVIRONMENT_HASHED,
    ),
    Step(
        StepName.TICKET,
        "Issue the ticket",
        (Work(ActivityName.ISSUE_TICKET, PolicyName.STEP, "issue the ticket"),),
        follows=StepName.FREEZE,
        ended_by=EventKind.TICKET_ISSUED,
        enters=TransferState.AWAITING_UPLOAD,
        waits_for="the ticket",
        compensation=Compensation(
            ActivityName.REVOKE_TICKET, PolicyName.MUST_HAPPEN, "revoke the ticket", EventKind.TICKET_REVOKED
        ),
    ),
    Step(
        StepName.AWAIT_UPLOAD,
        "Await the upload",
        (Work(ActivityName.ACCEPT_UPLOAD, PolicyName.STEP, "check the ticket, reserve name and url"),),
        ended_by=EventKind.UPLOAD_ACCEPTED,
        enters=TransferState.SCHEDULED,
        waits_for="the upload of the ticket, until {ticket_expires_at}",
        compensation=Compensation(
            ActivityName.RELEASE_RESERVATION,
            PolicyName.MUST_HAPPEN,
            "let name and url go",
            EventKind.RESERVATION_RELEASED,
        ),
    ),
    Step(
        StepName.WAIT_FOR_EVENING,
        "Sleep until the evening window",
        ended_by=EventKind.CLONE_STARTED,
        enters=TransferState.CLONING,
        waits_for="the evening window, {starts_at}",
        of_an_evening=True,
    ),
    Step(
        StepName.CLONE,
        "Clone the administrations",
        (Work(ActivityName.CLONE_ADMINISTRATIONS, PolicyName.HEAVY, "clone every administration", turn=4),),
        begun_by=EventKind.CLONE_STARTED,
        ended_by=EventKind.CLONE_FINISHED,
        waits_for="the clone",
        of_an_evening=True,
        compensation=Compensation(ActivityName.DROP_CLONE, PolicyName.DROP, "drop the clone", EventKind.CLONE_DROPPED),
    ),
    Step(
        StepName.VERIFY,
        "Verify every row",
        (Work(ActivityName.VERIFY_CLONE, PolicyName.HEAVY, "compare every row, byte for byte"),),
        ended_by=EventKind.CLONE_VERIFIED,
        waits_for="the verification of every row",
        of_an_evening=True,
    ),
    Step(
        StepName.BANKS,
        "Reactivate Rabobank, flag the other banks",
        (Work(ActivityName.RECONNECT_BANKS, PolicyName.STEP, "Rabobank active, others to be activated again"),),
        ended_by=EventKind.BANKS_RECONNECTED,
        waits_for="the bank connections",
        of_an_evening=True,
    ),
    Step(
        StepName.CONSEQUENCES,
        "Apply the consequences",
        (Work(ActivityName.APPLY_CONSEQUENCES, PolicyName.STEP, "quotes, apps, AFAS Link, mailbox, becon number"),),
        ended_by=EventKind.INVITATIONS_WITHDRAWN,
        waits_for="the consequences of the move",
        of_an_evening=True,
    ),
    Step(
        StepName.COMPARE,
        "Compare and open for inspection",
        (
            Work(
                ActivityName.COMPARE_ENVIRONMENTS, PolicyName.HEAVY, "the comparisons that the manual asks for", turn=2
            ),
            Work(ActivityName.OPEN_FOR_INSPECTION, PolicyName.STEP, "readable, not yet writable"),
        ),
        ended_by=EventKind.OPENED_FOR_INSPECTION,
        enters=TransferState.AWAITING_RELEASE,
        waits_for="the comparison of both environments",
        of_an_evening=True,
    ),
    # The database has it as awaiting its release from the opening on; people are told so once it is certified.
    Step(
        StepName.CERTIFY,
        "Hash what is opened, sign the certificate",
        (Work(ActivityName.ISSUE_CERTIFICATE, PolicyName.HEAVY, "hash what is opened, sign the certificate", turn=2),),
        ended_by=EventKind.CERTIFICATE_ISSUED,
        waits_for="the certificate",
        of_an_evening=True,
    ),
    Step(
        StepName.NOTIFY,
        "Tell the new side",
        (Work(ActivityName.SEND_MAIL, PolicyName.MAIL, "ready"),),
    ),
    Step(
        StepName.AWAIT_RELEASE,
        "Await the release",
        follows=StepName.CERTIFY,
        waits_for="the new side's comparison and release",
    ),
    # Refuses a release; it does not undo the transfer. It begins with somebody's decision.
    Step(
        StepName.CHECK,
        "Check that nothing has changed since",
        (Work(ActivityName.CHECK_UNCHANGED, PolicyName.CHECK, "whether anything has changed since", turn=1),),
        waits_for="a last look at both environments",
    ),
    Step(
        StepName.RELEASE,
        "Release",
        (Work(ActivityName.RELEASE_ENVIRONMENT, PolicyName.MUST_HAPPEN, "writable, for good"),),
        ended_by=EventKind.ENVIRONMENT_RELEASED,
        enters=TransferState.RELEASED,
        waits_for="the release",
    ),
)


def undone_steps() -> tuple[Step, ...]:
    """Return the steps that have something to undo, in order."""
    return tuple(step for step in STEPS if step.compensation is not None)


def evening_steps() -> tuple[Step, ...]:
    """Return the steps that begin anew when an evening did not suffice: the wait for it, and what follows."""
    return tuple(step for step in STEPS if step.of_an_evening)


def work_of(activity: str) -> Work:
    """Return the row of a step's activity, or of a compensation.

    Raises:
        KeyError: It is of no step.
    """
    for step in STEPS:
        for work in step.work_and_compensation:
            if work.activity == activity:
                return work
    raise KeyError(activity)


def told_in_state() -> dict[TransferState, tuple[EventKind, ...]]:
    """Return what the log of a transfer must tell in each state that steps enter.

    These are the lines that enter a state, and those of steps that leave something to undo.
    """
    told: dict[TransferState, tuple[EventKind, ...]] = {}
    lines: list[EventKind] = []
    for step in STEPS:
        if step.ended_by and (step.enters or step.compensation):
            lines.append(step.ended_by)
        if step.enters:
            told[step.enters] = tuple(lines)
    return told


def told_when_undone() -> dict[EventKind, EventKind]:
    """Return the line that an undone transfer must have told, by the line from which on there was something to undo."""
    return {step.leaves: step.compensation.event for step in STEPS if step.leaves and step.compensation}
