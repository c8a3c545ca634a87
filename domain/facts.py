"""What is looked at to judge whether nothing is half-moved: environments, transfers, routes, as of one instant."""

from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.vocabulary import EnvironmentStatus, MailKind, TransferState


class Observation(BaseModel):
    """Frozen: what was seen stays as it was seen."""

    model_config = ConfigDict(frozen=True)


class EnvironmentFacts(Observation):
    """An environment's row, and what its schema really looks like."""

    environment_id: UUID
    label: str
    """What people call it: licence and name."""
    status: EnvironmentStatus
    schema_exists: bool
    tables: int = 0
    """Tables and partitions that a fence has to guard."""
    fenced: int = 0
    """Of those: whose fence fires always."""
    fence_remains: int = 0
    """Of those: whose fence was lifted and is still to be dropped. It does nothing."""
    application_may_enter: bool = False
    """Whether sb_app may use the schema."""
    flags_left: int = 0
    """Administrations that are still read-only by a fence that was lifted."""
    half_done: bool = False
    """Whether a workflow is between two commits of a step on it: what stands in two databases changes in one first."""
    changed_by: str | None = None
    """Whose step that is; None when both databases say the same, as one always does."""
    grants_withheld: int = 0
    """Rights on sequences that a fence took and its lifting did not give back."""
    ties: tuple[str, ...] = ()
    """What in its schema depends on another environment's, as the server describes it."""

    @property
    def writable(self) -> bool:
        """Tell whether the application can write here: it may enter, and some table is without a fence."""
        if not (self.schema_exists and self.application_may_enter):
            return False
        return self.fenced < self.tables or (self.tables == 0 and self.status is EnvironmentStatus.ACTIVE)


class TransferFacts(Observation):
    """A transfer's row, what it holds, and whether anybody is at work on it."""

    transfer_id: UUID
    workflow_id: str
    environment_id: UUID
    new_environment_id: UUID | None = None
    state: TransferState
    created_at: AwareDatetime | None = None
    """When its row was made; None where nobody looks at it."""
    state_since: AwareDatetime | None = None
    """When it entered its state; None where nobody looks at it."""
    live: bool
    """Whether a workflow with its id runs in Temporal: the transfer itself, or its recovery."""
    fence_up: bool = False
    """Whether its freeze was not lifted: so it stays after a release, for good."""
    ticket_open: bool = False
    """Whether its ticket could be used now: not used, not revoked, not expired."""
    ticket_gone: bool = False
    """Whether there is no ticket, or it was revoked."""
    forwards_until: AwareDatetime | None = None
    """When the old mailbox address is to be closed; None when it is closed, or not forwarded."""
    forwarding_live: bool = False
    """Whether its mailbox workflow runs."""
    told: tuple[str, ...] = ()
    """Kinds of its events, and `mail_told(kind)` for each mail that was answered for everybody it is for."""


class WorkflowFacts(Observation):
    """A run that is open under the id of a transfer or a mailbox, how it fares, and what it says of itself."""

    workflow_id: str
    run_id: str
    type: str
    on_our_queue: bool = True
    """Whether it waits for the workers of transfers."""
    state: TransferState | None = None
    """None when it says none."""
    began_at: AwareDatetime | None
    """When the first run of its chain began, however often it was reset since; None when the server has forgotten."""
    run_began_at: AwareDatetime
    """When this run began: a reset makes a new one."""
    paused: bool = False
    attempts: int = 0
    """How often its workflow task that is not done was tried, this time included."""
    failure: str = ""
    """Why its newest workflow task failed; empty when it did not, or when that is of no account."""
    awaits_key: bool = False
    """Whether something that it was sent has been tried in vain with every key that the workers have."""
    waiting_since: AwareDatetime | None = None
    """Since when a workflow task waits for a worker."""


class RouteFacts(Observation):
    """Who gets mail for an address."""

    address: str
    environment_id: UUID | None = None
    valid_until: AwareDatetime | None = None
    closed: bool = False


class HeldFacts(Observation):
    """What waits of one customer's mail and scans, and what the books of it say."""

    inbox_id: UUID
    environment_id: UUID | None = None
    """Where it is to go: the active environment, or the one that moves. None when there is none."""
    status: EnvironmentStatus | None = None
    waiting: int = 0
    set_aside: int = 0
    """Of those: refused by the environment."""
    oldest: AwareDatetime | None = None
    twice: int = 0
    """Of those: delivered already, by the books."""
    lost: int = 0
    """Taken in and not delivered by the books, and not in the queue."""


class RetirementFacts(Observation):
    """The end of an old environment that is planned or under way: neither called back nor over."""

    environment_id: UUID
    due_at: AwareDatetime
    live: bool = False
    """Whether its workflow runs."""


class Inequality(Observation):
    """A clone that is finished, not released, and not equal to its source."""

    transfer_id: UUID
    differences: tuple[str, ...]


class Observations(Observation):
    """Everything the rules look at, as it was at one instant."""

    at: AwareDatetime
    environments: tuple[EnvironmentFacts, ...] = ()
    transfers: tuple[TransferFacts, ...] = ()
    routes: tuple[RouteFacts, ...] = ()
    workflows: tuple[WorkflowFacts, ...] = ()
    orphan_schemas: tuple[str, ...] = ()
    """Schemas named like an environment's that no environment has."""
    unequal: tuple[Inequality, ...] = ()
    unguarded: tuple[str, ...] = ()
    """Cells in whose database no event trigger guards definitions."""
    held: tuple[HeldFacts, ...] = ()
    retirements: tuple[RetirementFacts, ...] = ()


def mail_told(kind: MailKind) -> str:
    """Return how `TransferFacts.told` says that a mail was taken, or refused for good, for everybody it is for."""
    return f"mail {kind.value}"
