"""The roles that the activities need, as protocols; `adapters` plays them with PostgreSQL, SMTP and Fernet.

Every method is idempotent: Temporal delivers an activity at least once. Every forward method first makes sure that
the transfer is not being undone, and that its evening has not been put off (else it raises `Superseded`), so that an
attempt left over from a lost worker cannot redo what was undone. Refusals raise a `Refused`, servers that are away an
`Unavailable`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from domain import messages as m
from domain import reconciliation as r
from domain.portfolio import ItemDone, ItemOrder, ItemsRead, ReadItems
from domain.webhooks import WebhooksDelivered

ReportProgress = Callable[[m.CloneProgress], None]
# Whether this process is about to end: asked wherever work can be put down without losing any.
MustStop = Callable[[], bool]


class EnvironmentAccess(Protocol):
    """Shuts and opens an environment to writers."""

    async def freeze(self, order: m.FreezeEnvironment) -> m.EnvironmentFrozen:
        """Fence every write and flag the administrations read-only, in one transaction; make the transfer's row."""
        ...

    async def unfreeze(self, order: m.UnfreezeEnvironment) -> None:
        """Make the environment writable again, if this transfer froze it."""
        ...

    async def open_for_inspection(self, order: m.OpenForInspection) -> m.OpenedForInspection:
        """Let the application read the new environment, and refuse its writes."""
        ...

    async def release(self, order: m.ReleaseEnvironment) -> m.EnvironmentReleased:
        """Make the new environment writable, invite its users again and route both mailbox addresses to it."""
        ...

    async def close_forwarding(self, order: m.CloseMailboxForwarding) -> None:
        """Let the old mailbox address belong to nobody."""
        ...


class TicketIssuer(Protocol):
    """Issues and revokes the right to take over an environment."""

    async def issue(self, order: m.IssueTicket) -> m.TicketIssued: ...

    async def revoke(self, order: m.RevokeTicket) -> None: ...


class Reservations(Protocol):
    """Takes an upload and holds its name and url under the new licence."""

    async def read(self, order: m.ReadReservation) -> m.ReservationMade | None:
        """Return what was reserved, and how far it has come; None when there was no upload."""
        ...

    async def accept(self, order: m.AcceptUpload) -> m.ReservationMade: ...

    async def correct(self, order: m.CorrectReservation) -> m.ReservationMade:
        """Give what is reserved another name, url part or login e-mail, or refuse it as an upload is refused."""
        ...

    async def release(self, order: m.ReleaseReservation) -> None: ...


class EveningPlanner(Protocol):
    """Puts a start off to another evening."""

    async def postpone(self, order: m.PostponeStart) -> m.StartPlanned:
        """Bar what is left of an evening, drop its clone and plan the next start; reservation and freeze stay."""
        ...

    async def reschedule(self, order: m.RescheduleStart) -> m.StartPlanned:
        """Plan the start on a chosen evening, or refuse it with `EveningInvalid`."""
        ...


class CloneEngine(Protocol):
    """Copies an environment exactly."""

    async def clone(
        self, order: m.CloneAdministrations, report: ReportProgress, must_stop: MustStop
    ) -> m.CloneFinished:
        """Carry everything in the source schema to the target schema; go on where an earlier attempt stopped.

        Raises `WorkerStopping` at the next safe point once `must_stop` says so.
        """
        ...

    async def drop(self, order: m.DropClone) -> None:
        """Leave nothing of the clone; refused with `AlreadyReleased` once it is released."""
        ...


class Verifier(Protocol):
    """Proves two environments equal, independently of the engine that copied."""

    async def verify(self, order: m.VerifyClone, report: ReportProgress) -> m.Verification: ...


class Certifier(Protocol):
    """Keeps watch over what is proved, from the freeze to the release, and vouches for it."""

    async def hash_frozen(self, order: m.HashFrozen, report: ReportProgress) -> m.FrozenHashed:
        """Read the frozen environment; what it is must be what arrives."""
        ...

    async def certify(self, order: m.IssueCertificate, report: ReportProgress) -> m.CertificateIssued:
        """Read the opened environment, and sign what is proved."""
        ...

    async def check(self, order: m.CheckUnchanged, report: ReportProgress) -> m.UnchangedChecked:
        """Read both environments once more; changes are returned, not raised."""
        ...


class TargetSetup(Protocol):
    """Brings the new environment into the state that the manual describes."""

    async def reconnect_banks(self, order: m.ReconnectBanks) -> m.BanksReconnected: ...

    async def apply_consequences(self, order: m.ApplyConsequences) -> m.ConsequencesApplied: ...

    async def compare(self, order: m.CompareEnvironments) -> m.ComparisonSummary: ...


class Mailer(Protocol):
    """Writes and sends mail."""

    async def send(self, order: m.SendMail) -> m.MailSent: ...


class SightBoard(Protocol):
    """Shows how far a long step is, to those who look without asking the workflow."""

    async def show(self, transfer_id: UUID, sight: m.StepSeen) -> None:
        """Show it in place of what was shown before; it is no part of the story."""
        ...


class TransferEventLog(Protocol):
    """The append-only story of a transfer."""

    async def record(self, order: m.RecordEvent) -> None: ...

    async def begin_undo(self, order: m.BeginUndo) -> None:
        """Bar every forward step of this transfer from now on; raises `AlreadyReleased` after the release."""
        ...

    async def finish_undo(self, order: m.FinishUndo) -> None: ...


class Retirements(Protocol):
    """Removes old environments."""

    async def plan(self, order: m.RetirementInput) -> m.RetirementPlanned:
        """Plan the end of an environment that was moved away."""
        ...

    async def call_back(self, order: m.EndRetirement) -> bool:
        """Keep it; tell whether that was still possible."""
        ...

    async def retire(self, order: m.EndRetirement) -> m.RetirementResult:
        """Drop it, when its time has come."""
        ...


class TransferOwners(Protocol):
    """Knows which workflow carries out a transfer."""

    async def workflow_of(self, transfer_id: UUID) -> str | None:
        """Return the id of the workflow that froze for this transfer; None when none has."""
        ...


class PortfolioMover(Protocol):
    """Moves the environments of a portfolio, one at a time."""

    async def read(self, order: ReadItems) -> ItemsRead:
        """Return the next items in a state."""
        ...

    async def look(self, order: ItemOrder) -> ItemDone:
        """Find out whether an environment could move; nothing of it changes."""
        ...

    async def move(self, order: ItemOrder) -> ItemDone:
        """Freeze it, upload its ticket for the new licence, and plan it on its evening."""
        ...

    async def release(self, order: ItemOrder) -> ItemDone:
        """Release it if it awaits that, and its comparison found no difference."""
        ...

    async def cancel(self, order: ItemOrder) -> ItemDone:
        """Let it stay where it is, unless its clone has begun."""
        ...


class WebhookDeliverer(Protocol):
    """Tells endpoints what happens to transfers."""

    async def deliver(self, shift: timedelta, must_stop: MustStop) -> WebhooksDelivered:
        """Deliver until the shift is over, or there is no endpoint; what is not delivered stays to be delivered."""
        ...


class Auditor(Protocol):
    """Writes the books of environments down for those who may not look into them."""

    async def write(self, order: m.WriteAuditfile) -> m.AuditfileWritten:
        """Keep one side's books of a year as an auditfile."""
        ...


class Previewer(Protocol):
    """Looks into environments; changes nothing."""

    async def preview(self, environment_id: UUID) -> m.Preview:
        """Tell what a move of an environment will do."""
        ...


class PayloadOpener(Protocol):
    """Has the keys of what workflows are sent."""

    async def open(self, order: m.OpenPayload) -> m.PayloadOpened:
        """Decrypt a payload; raises `PayloadKeyAwaited` while its key is not there, `InputMalformed` if it is none."""
        ...


class Inspector(Protocol):
    """Looks whether anything is half-moved; changes nothing."""

    async def inspect(self, order: r.Inspect) -> r.Findings: ...

    async def findings(self, order: r.ReadFindings) -> r.FindingsPage:
        """Return the next findings of an inspection."""
        ...


class Repairer(Protocol):
    """Knows where a transfer stands, and puts right what is provably safe to put right."""

    async def standing(self, order: r.ReadStanding) -> r.Standing: ...

    async def repair(self, order: r.Repair) -> r.Healing: ...
