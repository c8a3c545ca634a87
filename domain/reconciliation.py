"""The messages of an inspection and of what heals: one per workflow and activity."""

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, Field

from domain.messages import EnvironmentSummary, Message
from domain.violations import Violation
from domain.vocabulary import MailKind, Scenario, TransferState, UndoReason

# What starts a workflow from outside the workflows: a schedule needs its name.
RECONCILE_WORKFLOW = "ReconcileWorkflow"
RECONCILE_SCHEDULE = "sb-transfer-reconcile"


class ReconcileActivityName(StrEnum):
    """The registered names of the activities that inspect and heal."""

    INSPECT_EVERYTHING = "inspect_everything"
    READ_STANDING = "read_standing"
    REPAIR = "repair"


class Inspect(Message):
    """Look at everything; `deep` also compares every row of clones that await their release."""

    deep: bool = False


class Findings(Message):
    """What an inspection saw."""

    at: AwareDatetime
    environments: int
    transfers: int
    compared: int = Field(default=0, description="clones of which every row was compared")
    violations: tuple[Violation, ...] = ()


class Reconcile(Message):
    """Inspect, and heal when that is asked for."""

    heal: bool = False
    deep: bool = False
    requested_by: str = "sb-transfer"


class Repair(Message):
    """Put one violation right, if that is provably safe."""

    violation: Violation
    requested_by: str
    event_key: UUID = Field(description="the same for every attempt, so that a retry does not tell the story twice")


class Healing(Message):
    """What was done about a violation: by this service, or why nothing."""

    violation: Violation
    done: bool
    what: str


class Reconciled(Message):
    """How a reconciliation ended: what was found, what was done, and what is left."""

    found: Findings
    healings: tuple[Healing, ...] = ()
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
