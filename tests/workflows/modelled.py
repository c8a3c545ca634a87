"""The activities' ports over the model of the database: the same world as `Gate`, but what is done stays done.

A test may interfere with every activity before it, half-way and after it, when its answer is not known yet. What is one
transaction has nothing half-way: what fails in the middle of it leaves nothing.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from temporalio import activity

from domain import messages as m
from domain.ports import MustStop, ReportProgress
from domain.reconciliation import ReadStanding, ReconcileActivityName, Standing
from domain.vocabulary import MailKind, TransferState
from tests.workflows.database import Database
from tests.workflows.transactions import Steps, Transactions
from tests.workflows.world import Gate

_Answer = TypeVar("_Answer")


class Moment(StrEnum):
    """Where in an activity a test may interfere."""

    BEFORE = "before"
    HALF_WAY = "half_way"
    AFTER = "after"


# What takes more than one transaction; in the middle of any other a failure leaves nothing.
_IN_PARTS = frozenset(
    [
        *("freeze", "unfreeze", "postpone", "clone", "drop", "verify", "hash_frozen", "certify", "check", "compare"),
        *("release", *(f"send {kind.value}" for kind in MailKind)),
    ]
)
Seam = Callable[[Any, Moment], Awaitable[None]]


class Modelled(Gate):
    """All ports, over the model; `seams` says by transfer who interferes."""

    def __init__(self) -> None:
        super().__init__()
        self.database = Database()
        self.seams: dict[UUID, Seam] = {}
        self.asked: dict[UUID, list[str]] = defaultdict(list)
        self.at_work: Counter[UUID] = Counter()
        self.states: dict[UUID, list[TransferState]] = defaultdict(list)
        """The states of each transfer, in the order in which they were entered."""
        self._work = Transactions(self.database)
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of the database or of what was asked."""
        while not condition():
            await self._changed.wait()

    def notice(self) -> None:
        """Let everybody who waits look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _run(self, name: str, order: Any, work: Callable[[Any], Steps[_Answer]]) -> _Answer:
        self.asked[order.transfer_id].append(name)
        self.at_work[order.transfer_id] += 1
        self.notice()
        try:
            return await self._in_parts(name, order, work)
        finally:
            self.at_work[order.transfer_id] -= 1
            self.notice()

    def _note(self, transfer_id: UUID) -> None:
        move, states = self.database.moves.get(transfer_id), self.states[transfer_id]
        if move is not None and (not states or states[-1] is not move.state):
            states.append(move.state)

    async def _in_parts(self, name: str, order: Any, work: Callable[[Any], Steps[_Answer]]) -> _Answer:
        seam = self.seams.get(order.transfer_id, _undisturbed)
        await seam(order, Moment.BEFORE)
        steps = work(order)
        halved = False
        while True:
            if name not in _IN_PARTS and not halved:
                halved = True
                await seam(order, Moment.HALF_WAY)
            try:
                next(steps)
            except StopIteration as done:
                self.notice()
                self._note(order.transfer_id)
                if not halved:
                    await seam(order, Moment.HALF_WAY)
                await seam(order, Moment.AFTER)
                return done.value  # type: ignore[no-any-return] # what a generator returns has no type here
            self.notice()
            self._note(order.transfer_id)
            if not halved:
                halved = True
                await seam(order, Moment.HALF_WAY)
            await asyncio.sleep(0)

    async def freeze(self, order: m.FreezeEnvironment) -> m.EnvironmentFrozen:
        return await self._run("freeze", order, self._work.freeze)

    async def unfreeze(self, order: m.UnfreezeEnvironment) -> None:
        await self._run("unfreeze", order, self._work.unfreeze)

    async def open_for_inspection(self, order: m.OpenForInspection) -> m.OpenedForInspection:
        return await self._run("open_for_inspection", order, self._work.open_for_inspection)

    async def close_forwarding(self, order: m.CloseMailboxForwarding) -> None:
        await self._run("close_forwarding", order, self._work.close_forwarding)

    async def issue(self, order: m.IssueTicket) -> m.TicketIssued:
        return await self._run("issue", order, self._work.issue)

    async def revoke(self, order: m.RevokeTicket) -> None:
        await self._run("revoke", order, self._work.revoke)

    async def accept(self, order: m.AcceptUpload) -> m.ReservationMade:
        return await self._run("accept", order, self._work.accept)

    async def correct(self, order: m.CorrectReservation) -> m.ReservationMade:
        return await self._run("correct", order, self._work.correct)

    async def read_reservation(self, order: m.ReadReservation) -> m.ReservationMade | None:
        return await self._run("read_reservation", order, self._work.read_reservation)

    async def release_reservation(self, order: m.ReleaseReservation) -> None:
        await self._run("release_reservation", order, self._work.release_reservation)

    async def postpone(self, order: m.PostponeStart) -> m.StartPlanned:
        return await self._run("postpone", order, self._work.postpone)

    async def reschedule(self, order: m.RescheduleStart) -> m.StartPlanned:
        return await self._run("reschedule", order, self._work.reschedule)

    async def clone(
        self,
        order: m.CloneAdministrations,
        report: ReportProgress,
        must_stop: MustStop,  # noqa: ARG002 - it is done at once
    ) -> m.CloneFinished:
        report(m.CloneProgress(phase="clone"))
        return await self._run("clone", order, self._work.clone)

    async def drop(self, order: m.DropClone) -> None:
        await self._run("drop", order, self._work.drop)

    async def verify(self, order: m.VerifyClone, report: ReportProgress) -> m.Verification:
        report(m.CloneProgress(phase="verify"))
        return await self._run("verify", order, self._work.verify)

    async def hash_frozen(self, order: m.HashFrozen, report: ReportProgress) -> m.FrozenHashed:
        report(m.CloneProgress(phase="hash_frozen"))
        return await self._run("hash_frozen", order, self._work.hash_frozen)

    async def certify(self, order: m.IssueCertificate, report: ReportProgress) -> m.CertificateIssued:
        report(m.CloneProgress(phase="certify"))
        return await self._run("certify", order, self._work.certify)

    async def check(self, order: m.CheckUnchanged, report: ReportProgress) -> m.UnchangedChecked:
        report(m.CloneProgress(phase="check"))
        return await self._run("check", order, self._work.check)

    async def reconnect_banks(self, order: m.ReconnectBanks) -> m.BanksReconnected:
        return await self._run("reconnect_banks", order, self._work.reconnect_banks)

    async def apply_consequences(self, order: m.ApplyConsequences) -> m.ConsequencesApplied:
        return await self._run("apply_consequences", order, self._work.apply_consequences)

    async def compare(self, order: m.CompareEnvironments) -> m.ComparisonSummary:
        return await self._run("compare", order, self._work.compare)

    async def release(self, order: m.ReleaseEnvironment) -> m.EnvironmentReleased:
        return await self._run("release", order, self._work.release)

    async def record(self, order: m.RecordEvent) -> None:
        await self._run("record", order, self._work.record)

    async def begin_undo(self, order: m.BeginUndo) -> None:
        await self._run("begin_undo", order, self._work.begin_undo)

    async def finish_undo(self, order: m.FinishUndo) -> None:
        await self._run("finish_undo", order, self._work.finish_undo)

    @activity.defn(name=ReconcileActivityName.READ_STANDING)
    async def standing(self, order: ReadStanding) -> Standing:
        return await self._run("standing", order, self._work.standing)

    async def send(self, order: m.SendMail) -> m.MailSent:
        return await self._run(f"send {order.kind.value}", order, self._work.send)


async def _undisturbed(_: Any, __: Moment) -> None:
    """Leave the activity alone."""
