"""The messages of an inspection and of what heals: one per workflow and activity."""

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages import EnvironmentSummary, Message
from domain.violations import Violation, ViolationKind
from domain.vocabulary import MailKind, Scenario, TransferState, UndoReason

# What starts a workflow from outside the workflows: a schedule needs its name.
RECONCILE_WORKFLOW = "ReconcileWorkflow"
RECONCILE_SCHEDULE = "sb-transfer-reconcile"


class ReconcileActivityName(StrEnum):
    """The registered names of the activities that inspect and heal."""

    INSPECT_EVERYTHING = "inspect_everything"
    READ_FINDINGS = "read_findings"
    READ_STANDING = "read_standing"
    REPAIR = "repair"


class Inspect(Message):
    """Look at everything; `deep` also compares every row of clones that await their release."""

    deep: bool = False


# What is told of violations at once, in a message, a page or a log; how many there are is told beside it.
LISTED = 50


class Findings(Message):
    """What an inspection saw: how much is wrong, and the worst of it; the rest is kept, and read in pages.

    A list of everything would be larger than a payload may be once a database was restored.
    """

    at: AwareDatetime
    environments: int
    transfers: int
    compared: int = Field(default=0, description="clones of which every row was compared")
    wrong: int = Field(default=0, description="how many violations there are")
    by_kind: dict[ViolationKind, int] = Field(default={}, description="how many of each kind")
    violations: tuple[Violation, ...] = Field(default=(), description="the worst of them, no more than fifty")
    inspection_id: UUID | None = Field(default=None, description="by which all of them can be read; None when not kept")


class ReadFindings(Message):
    """Read some of what an inspection saw, in the order in which it is put right."""

    inspection_id: UUID
    after: int = Field(default=0, description="the number of the last one that is known")


class FindingsPage(Message):
    """Some violations, and the number of the last; none when all are read."""

    violations: tuple[Violation, ...]
    last: int


class Healing(Message):
    """What was done about a violation: by this service, or why nothing."""

    violation: Violation
    done: bool
    what: str


class ReconcileProgress(Message):
    """How far a reconciliation is; a new run goes on from there."""

    found: Findings
    inspected: Findings = Field(description="the newest inspection, whose findings are being put right")
    after: int = Field(default=0, description="the number of the last of them that was looked at")
    rounds: int = Field(default=1, description="what was ended may leave something, which another inspection finds")
    ended: int = Field(default=0, description="workflows that were ended in this round")
    put_right: int = 0
    left_to_people: int = 0
    healings: tuple[Healing, ...] = Field(default=(), description="the first of them, no more than fifty")


class Reconcile(Message):
    """Inspect, and heal when that is asked for."""

    heal: bool = False
    deep: bool = False
    requested_by: str = "sb-transfer"
    unattended: bool = Field(default=False, description="nobody has decided that workflows that are stuck are ended")
    resume: ReconcileProgress | None = Field(default=None, description="where the run before this one was")


class Repair(Message):
    """Put one violation right, if that is provably safe."""

    violation: Violation
    requested_by: str
    event_key: UUID = Field(description="the same for every attempt, so that a retry does not tell the story twice")


class Reconciled(Message):
    """How a reconciliation ended: what was found, what was done, and what is left."""

    found: Findings
    healings: tuple[Healing, ...] = Field(default=(), description="the first of them, no more than fifty")
    put_right: int = 0
    left_to_people: int = 0
    left: Findings


class RecoverTransfer(Message):
    """Bring a transfer whose workflow is gone to its end: undone before its release, finished after it."""

    transfer_id: UUID
    environment_id: UUID
    requested_by: str
    why: str = "no workflow worked on it"


class ReadStanding(Message):
    transfer_id: UUID


class Standing(Message):
    """Where the database says that a transfer stands."""

    transfer_id: UUID
    environment_id: UUID
    state: TransferState
    scenario: Scenario | None
    undo_reason: UndoReason | None
    undo_detail: str
    old: EnvironmentSummary | None
    new: EnvironmentSummary | None
    mails_answered: list[MailKind] = Field(description="kinds that were taken or refused for everybody")
    old_mailbox_address: str | None = None
    forwards_until: AwareDatetime | None = Field(default=None, description="None when the old address is closed")
