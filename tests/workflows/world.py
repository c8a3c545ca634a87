"""A world in memory behind the activities' ports, for the workflow on skipped time."""

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from temporalio.client import Client
from temporalio.worker import Worker, WorkflowRunner

from activities.boundary import ErrorBoundary
from activities.certification import CertificationActivities
from activities.clone import CloneActivities
from activities.event_log import EventLogActivities
from activities.freeze_release import FreezeReleaseActivities
from activities.mail import MailActivities
from activities.payloads import PayloadActivities
from activities.reconcile import ReconcileActivities
from activities.registry import ActivityRegistry
from activities.scheduling import SchedulingActivities
from activities.target_setup import TargetSetupActivities
from activities.tickets import TicketActivities, UploadActivities
from adapters.crypto.payload_codec import KeyringPayloadOpener
from domain import messages as m
from domain.errors import TransferError
from domain.ports import MustStop, ReportProgress
from domain.reconciliation import Findings, FindingsPage, Healing, Inspect, ReadFindings, ReadStanding, Repair, Standing
from domain.violations import Violation
from domain.vocabulary import CheckKind, ConsequenceKind, MailKind, Scenario, TransferState, UndoReason
from domain.window import Window
from workflows import policies
from workflows import task_queues as queues
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.recovery import RecoveryWorkflow
from workflows.sandbox import sandbox
from workflows.transfer import TransferWorkflow

TTL = timedelta(days=30)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
WINDOW = Window(time(22, 0), time(6, 0), AMSTERDAM)
# What is uploaded so shortly before an evening is for the next one: what a test does before it must not depend on when
# the test runs.
ROOM = timedelta(hours=1)
TICKET_REMINDERS = (timedelta(days=7), timedelta(days=1))
COMPENSATIONS = ["begin_undo", "drop", "release_reservation", "revoke", "unfreeze", "finish_undo"]


class World:
    """All ports at once: remembers what was asked, and fails or waits where a test says so."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.orders: list[Any] = []
        self.events: list[m.RecordEvent] = []
        self.sights: dict[uuid.UUID, m.StepSeen] = {}
        self.failures: dict[str, list[TransferError | Exception]] = {}
        self.hooks: dict[str, Callable[[], Awaitable[None]]] = {}
        self.differences: list[m.TableDifference] = []
        self.unequal = 0
        # Time is not skipped while an activity runs: an evening that is to be too short is so in earnest.
        self.open_for: timedelta | None = None
        self.grace = timedelta(0)
        self.behind = 0
        self.clones_begin = True
        """Whether there is a place for a clone in the evening."""
        self.reserved: m.ReservationMade | None = None
        """What a look finds: before the upload, nothing."""
        self.drift: list[m.TableDifference] = []
        self.scenario = Scenario.SWITCH
        self.old_id = uuid.uuid4()
        self.owners: dict[uuid.UUID, str] = {}

    async def _did(self, name: str, order: Any) -> None:
        self.calls.append(name)
        self.orders.append(order)
        if hook := self.hooks.get(name):
            await hook()
        if waiting := self.failures.get(name):
            raise waiting.pop(0)

    def count(self) -> Counter[str]:
        return Counter(self.calls)

    def mails(self) -> list[MailKind]:
        return [order.kind for order in self.orders if isinstance(order, m.SendMail)]

    def _summary(self, environment_id: uuid.UUID, licence: str) -> m.EnvironmentSummary:
        return m.EnvironmentSummary(
            environment_id=environment_id,
            name="enyoi",
            url=f"https://{licence}.sb.example/enyoi",
            licence_number=licence,
            schema_name=f"env_{environment_id.hex}",
            mailbox_address=f"enyoi@{licence}.mailbox.sb.example",
        )

    async def freeze(self, order: m.FreezeEnvironment) -> m.EnvironmentFrozen:
        await self._did("freeze", order)
        return m.EnvironmentFrozen(
            environment=self._summary(order.environment_id, "10001"),
            frozen_at=datetime.now(UTC),
            administrations=3,
            tables=19,
        )

    async def unfreeze(self, order: m.UnfreezeEnvironment) -> None:
        await self._did("unfreeze", order)

    async def open_for_inspection(self, order: m.OpenForInspection) -> m.OpenedForInspection:
        await self._did("open_for_inspection", order)
        return m.OpenedForInspection(opened_at=datetime.now(UTC))

    async def close_forwarding(self, order: m.CloseMailboxForwarding) -> None:
        await self._did("close_forwarding", order)

    async def issue(self, order: m.IssueTicket) -> m.TicketIssued:
        await self._did("issue", order)
        return m.TicketIssued(
            ticket_id=uuid.uuid4(),
            file_name="enyoi-overdracht-ticket.avr",
            expires_at=order.issued_at + TTL,
            remind_at=[order.issued_at + TTL - lead for lead in TICKET_REMINDERS],
        )

    async def revoke(self, order: m.RevokeTicket) -> None:
        await self._did("revoke", order)

    async def accept(self, order: m.AcceptUpload) -> m.ReservationMade:
        await self._did("accept", order)
        new = self._summary(order.new_environment_id, order.upload.licence_number)
        starts_at = WINDOW.start_after(order.accepted_at + ROOM)
        return m.ReservationMade(
            accepted=m.UploadAccepted(
                scenario=self.scenario,
                new_environment_id=order.new_environment_id,
                name=order.upload.name,
                url=new.url,
                starts_at=starts_at,
            ),
            new=new,
            closes_at=self._closing_of(starts_at),
            grace_until=self._closing_of(starts_at) + self.grace,
            behind=self.behind,
        )

    async def correct(self, order: m.CorrectReservation) -> m.ReservationMade:
        await self._did("correct", order)
        accepted = next(one for one in reversed(self.orders) if isinstance(one, m.AcceptUpload))
        new = self._summary(accepted.new_environment_id, accepted.upload.licence_number)
        named = order.correction.name or new.name
        starts_at = WINDOW.start_after(accepted.accepted_at + ROOM)
        return m.ReservationMade(
            accepted=m.UploadAccepted(
                scenario=self.scenario,
                new_environment_id=new.environment_id,
                name=named,
                url=new.url,
                starts_at=starts_at,
            ),
            new=new.model_copy(update={"name": named}),
            closes_at=self._closing_of(starts_at),
        )

    async def read_reservation(self, order: m.ReadReservation) -> m.ReservationMade | None:
        await self._did("read_reservation", order)
        return self.reserved

    async def release_reservation(self, order: m.ReleaseReservation) -> None:
        await self._did("release_reservation", order)

    async def postpone(self, order: m.PostponeStart) -> m.StartPlanned:
        await self._did("postpone", order)
        starts_at = WINDOW.start_after(order.decided_at)
        return m.StartPlanned(
            evening=order.evening + 1,
            starts_at=starts_at,
            closes_at=self._closing_of(starts_at),
            had_begun=self.clones_begin,
        )

    async def reschedule(self, order: m.RescheduleStart) -> m.StartPlanned:
        await self._did("reschedule", order)
        starts_at = WINDOW.opening_on(order.on)
        return m.StartPlanned(evening=order.evening, starts_at=starts_at, closes_at=self._closing_of(starts_at))

    def _closing_of(self, starts_at: datetime) -> datetime:
        return starts_at + self.open_for if self.open_for else WINDOW.closing_of(starts_at)

    async def clone(
        self,
        order: m.CloneAdministrations,
        report: ReportProgress,
        must_stop: MustStop,  # noqa: ARG002 - it is done at once
    ) -> m.CloneFinished:
        await self._did("clone", order)
        report(m.CloneProgress(phase="load", rows_done=1, rows_total=2))
        return m.CloneFinished(tables=19, rows=1234, bytes=5678, seconds=0.5)

    async def drop(self, order: m.DropClone) -> None:
        await self._did("drop", order)

    async def verify(self, order: m.VerifyClone, report: ReportProgress) -> m.Verification:
        await self._did("verify", order)
        report(m.CloneProgress(phase="verify"))
        return m.Verification(tables=19, rows=1234, seconds=0.25, differences=self.differences)

    async def hash_frozen(self, order: m.HashFrozen, report: ReportProgress) -> m.FrozenHashed:
        await self._did("hash_frozen", order)
        report(m.CloneProgress(phase="hash"))
        return m.FrozenHashed(hashed_at=datetime.now(UTC), tables=19, rows=1234)

    async def certify(self, order: m.IssueCertificate, report: ReportProgress) -> m.CertificateIssued:
        await self._did("certify", order)
        report(m.CloneProgress(phase="hash"))
        return m.CertificateIssued(key_id="0123456789abcdef", issued_at=datetime.now(UTC))

    async def check(self, order: m.CheckUnchanged, report: ReportProgress) -> m.UnchangedChecked:
        await self._did("check", order)
        report(m.CloneProgress(phase="hash"))
        return m.UnchangedChecked(tables=38, rows=2468, old_changes=self.drift)

    async def reconnect_banks(self, order: m.ReconnectBanks) -> m.BanksReconnected:
        await self._did("reconnect_banks", order)
        return m.BanksReconnected(banks=[m.BankOutcome(bank="rabobank", old="active", new="active", count=2)])

    async def apply_consequences(self, order: m.ApplyConsequences) -> m.ConsequencesApplied:
        await self._did("apply_consequences", order)
        return m.ConsequencesApplied(consequences=[m.Consequence(kind=ConsequenceKind.QUOTES_EXPIRED, count=1)])

    async def compare(self, order: m.CompareEnvironments) -> m.ComparisonSummary:
        await self._did("compare", order)
        return m.ComparisonSummary(checks=len(CheckKind) * 3, unequal=self.unequal, administrations=3)

    async def send(self, order: m.SendMail) -> m.MailSent:
        await self._did(f"send {order.kind.value}", order)
        return m.MailSent(sent=1)

    async def show(self, transfer_id: uuid.UUID, sight: m.StepSeen) -> None:
        self.sights[transfer_id] = sight

    async def record(self, order: m.RecordEvent) -> None:
        await self._did("record", order)
        self.events.append(order)

    async def workflow_of(self, transfer_id: uuid.UUID) -> str | None:
        return self.owners.get(transfer_id)

    async def begin_undo(self, order: m.BeginUndo) -> None:
        await self._did("begin_undo", order)

    async def finish_undo(self, order: m.FinishUndo) -> None:
        await self._did("finish_undo", order)


class Gate(World):
    """`release` means two things: here the environment's."""

    async def release(self, order: m.ReleaseEnvironment) -> m.EnvironmentReleased:
        await self._did("release", order)
        return m.EnvironmentReleased(
            old_mailbox_address="enyoi@10001.mailbox.sb.example",
            new_mailbox_address="enyoi@10002.mailbox.sb.example",
            forward_until=order.released_at + timedelta(days=30),
            users_invited=4,
        )


PAGE = 100


class Ward(Gate):
    """A world in which a transfer was left behind."""

    def __init__(self) -> None:
        super().__init__()
        self.transfer_id = uuid.uuid4()
        self.states = [TransferState.AWAITING_RELEASE]
        self.mails_answered: list[MailKind] = []
        self.wrong: list[tuple[Violation, ...]] = []
        self.pages: dict[uuid.UUID, tuple[Violation, ...]] = {}

    async def standing(self, order: ReadStanding) -> Standing:
        await self._did("standing", order)
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        released = state is TransferState.RELEASED
        return Standing(
            transfer_id=order.transfer_id,
            environment_id=self.old_id,
            state=state,
            scenario=self.scenario,
            undo_reason=UndoReason.REJECTED if state is TransferState.UNDOING else None,
            undo_detail="not ours" if state is TransferState.UNDOING else "",
            old=self._summary(self.old_id, "10001"),
            new=None,
            mails_answered=self.mails_answered,
            old_mailbox_address="enyoi@10001.mailbox.sb.example",
            forwards_until=datetime.now(UTC) + timedelta(days=3) if released else None,
        )

    async def inspect(self, order: Inspect) -> Findings:
        await self._did("inspect", order)
        found = self.wrong.pop(0) if self.wrong else ()
        inspection_id = uuid.uuid4()
        self.pages[inspection_id] = found
        return Findings(
            at=datetime.now(UTC),
            environments=1,
            transfers=1,
            wrong=len(found),
            violations=found[:PAGE],
            inspection_id=inspection_id,
        )

    async def findings(self, order: ReadFindings) -> FindingsPage:
        found = self.pages.get(order.inspection_id, ())[order.after :][:PAGE]
        return FindingsPage(violations=found, last=order.after + len(found))

    async def repair(self, order: Repair) -> Healing:
        await self._did("repair", order)
        return Healing(violation=order.violation, done=True, what="done")

    def steps(self) -> list[str]:
        """Return what was done, without what only looks or tells."""
        return [call for call in self.calls if call not in ("standing", "record", "inspect")]


class ReservationBook:
    """… and here the reservation's."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def accept(self, order: m.AcceptUpload) -> m.ReservationMade:
        return await self._world.accept(order)

    async def correct(self, order: m.CorrectReservation) -> m.ReservationMade:
        return await self._world.correct(order)

    async def read(self, order: m.ReadReservation) -> m.ReservationMade | None:
        return await self._world.read_reservation(order)

    async def release(self, order: m.ReleaseReservation) -> None:
        await self._world.release_reservation(order)


def workers(
    client: Client,
    world: Gate,
    transfer: type[TransferWorkflow] = TransferWorkflow,
    *,
    runner: WorkflowRunner | None = None,
    cached: int = 1000,
    more: Sequence[Callable[..., Any]] = (),
    keys: Sequence[SecretStr] = (),
) -> tuple[Worker, Worker, Worker, Worker]:
    """The workers, wired as `worker.py` does, with the world in place of PostgreSQL and SMTP."""
    registry = ActivityRegistry(
        freeze_release=FreezeReleaseActivities(world),
        tickets=TicketActivities(world),
        uploads=UploadActivities(ReservationBook(world)),
        scheduling=SchedulingActivities(world),
        clone=CloneActivities(world, world, world),
        certification=CertificationActivities(world, world),
        target_setup=TargetSetupActivities(world),
        mail=MailActivities(world),
        event_log=EventLogActivities(world),
        payloads=PayloadActivities(KeyringPayloadOpener(keys)) if keys else None,
        reconcile=ReconcileActivities(world, world) if isinstance(world, Ward) else None,
    )
    transfers = Worker(
        client,
        task_queue=queues.TRANSFERS,
        workflows=[transfer, MailboxForwardingWorkflow, RecoveryWorkflow, ReconcileWorkflow],
        activities=[*registry.all(), *more],
        interceptors=[ErrorBoundary(world)],
        workflow_runner=runner or sandbox(),
        max_cached_workflows=cached,
    )
    # Two seconds of the clock in one task are a deadlock to the SDK. A busy machine needs them for what half a second
    # does elsewhere; the task would fail, and be asked the same again.
    assert transfers._workflow_worker is not None
    transfers._workflow_worker._deadlock_timeout_seconds = 30
    heavy = Worker(
        client,
        task_queue=queues.CLONE,
        activities=registry.all(),
        interceptors=[ErrorBoundary(world)],
        max_heartbeat_throttle_interval=policies.BEAT,
    )
    mail = Worker(client, task_queue=queues.MAIL, activities=registry.all(), interceptors=[ErrorBoundary(world)])
    checks = Worker(client, task_queue=queues.CHECKS, activities=registry.all(), interceptors=[ErrorBoundary(world)])
    return transfers, heavy, mail, checks


def undone_in_order(world: Gate) -> list[str]:
    """Return the calls of an undo, in their order."""
    return [call for call in world.calls if call in COMPENSATIONS]
