"""The order of a transfer as data: each step, what it is called, and what undoes it."""

from dataclasses import dataclass
from enum import StrEnum


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
    # Of no step: it leads back from the clone to the wait for the evening.
    POSTPONE_START = "postpone_start"
    # Of no step: somebody chooses another evening during that wait.
    RESCHEDULE_START = "reschedule_start"
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


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its activities in order, and the activity that undoes it (registered before the step runs)."""

    name: StepName
    title: str
    activities: tuple[ActivityName, ...] = ()
    compensation: ActivityName | None = None


STEPS: tuple[Step, ...] = (
    Step(
        StepName.FREEZE,
        "Freeze the environment",
        (ActivityName.FREEZE_ENVIRONMENT,),
        ActivityName.UNFREEZE_ENVIRONMENT,
    ),
    # Runs beside the waits that follow and is awaited before the clone.
    Step(StepName.HASH, "Hash what was frozen", (ActivityName.HASH_FROZEN,)),
    Step(StepName.TICKET, "Issue the ticket", (ActivityName.ISSUE_TICKET,), ActivityName.REVOKE_TICKET),
    Step(
        StepName.AWAIT_UPLOAD,
        "Await the upload",
        (ActivityName.ACCEPT_UPLOAD,),
        ActivityName.RELEASE_RESERVATION,
    ),
    Step(StepName.WAIT_FOR_EVENING, "Sleep until the evening window"),
    Step(
        StepName.CLONE,
        "Clone the administrations",
        (ActivityName.CLONE_ADMINISTRATIONS,),
        ActivityName.DROP_CLONE,
    ),
    Step(StepName.VERIFY, "Verify every row", (ActivityName.VERIFY_CLONE,)),
    Step(StepName.BANKS, "Reactivate Rabobank, flag the other banks", (ActivityName.RECONNECT_BANKS,)),
    Step(StepName.CONSEQUENCES, "Apply the consequences", (ActivityName.APPLY_CONSEQUENCES,)),
    Step(
        StepName.COMPARE,
        "Compare and open for inspection",
        (ActivityName.COMPARE_ENVIRONMENTS, ActivityName.OPEN_FOR_INSPECTION),
    ),
    Step(StepName.CERTIFY, "Hash what is opened, sign the certificate", (ActivityName.ISSUE_CERTIFICATE,)),
    Step(StepName.NOTIFY, "Tell the new side", (ActivityName.SEND_MAIL,)),
    Step(StepName.AWAIT_RELEASE, "Await the release"),
    # Refuses a release; it does not undo the transfer.
    Step(StepName.CHECK, "Check that nothing has changed since", (ActivityName.CHECK_UNCHANGED,)),
    Step(StepName.RELEASE, "Release", (ActivityName.RELEASE_ENVIRONMENT,)),
)
