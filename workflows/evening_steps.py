"""What has to fit in one evening, step by step, as the manual tells it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from activities.clone import CloneActivities
from activities.freeze_release import FreezeReleaseActivities
from activities.target_setup import TargetSetupActivities
from domain import messages as m
from domain.errors import CloneDiffers, ComparisonDiffers
from domain.steps import Step, StepName, evening_steps
from domain.vocabulary import TransferState, UndoReason
from workflows.activity_calls import perform_step, perform_work
from workflows.certification import Certification
from workflows.progress import TransferProgress
from workflows.saga import Saga, Undo


class EveningSteps:
    """One transfer's steps of an evening, and what came of them."""

    def __init__(self, progress: TransferProgress, saga: Saga, certification: Certification) -> None:
        self._progress = progress
        self._saga = saga
        self._certification = certification
        self._number = 1
        self._ahead = 0
        self._closes_at: datetime | None = None
        self._grace_until: datetime | None = None
        self.cloned: m.CloneFinished | None = None
        self.verified: m.Verification | None = None
        self._opened: m.OpenedForInspection | None = None
        # Steps that do more than their row of the table says.
        self._verbs: Mapping[StepName, Callable[[], Awaitable[None]]] = {
            StepName.CLONE: self._clone_administrations,
            StepName.VERIFY: self._verify_every_row,
            StepName.BANKS: self._reactivate_rabobank_and_flag_the_others,
            StepName.CONSEQUENCES: self._apply_consequences,
            StepName.COMPARE: self._compare_and_open,
            StepName.CERTIFY: self._certify,
        }

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know."""
        return {"cloned": self.cloned, "verified": self.verified, "opened": self._opened}

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        self.cloned, self.verified, self._opened = memory.cloned, memory.verified, memory.opened

    def begin_anew(self) -> None:
        """Let them be as if they had never been taken: the evening is taken back."""
        self.cloned = self.verified = None
        self._progress.begin_again(step.name for step in evening_steps())

    @property
    def remind_every(self) -> timedelta:
        """Return how often the new side is reminded of what it was opened for."""
        if self._opened is None:
            raise AssertionError("the inspection comes before the wait")
        return timedelta(seconds=self._opened.remind_every_seconds)

    def likely_end(self) -> datetime | None:
        """Return when all of it is over: a proof takes about as long as its clone did; None while that goes on."""
        if self.cloned is None:
            return None
        proving_since = self._progress.runs_since(StepName.VERIFY)
        return proving_since + timedelta(seconds=self.cloned.seconds) if proving_since else workflow.now()

    async def take_all(
        self, evening: int, ahead: int, closes_at: datetime | None, grace_until: datetime | None
    ) -> None:
        """Clone, verify, banks, consequences, compare, certify.

        Args:
            evening: Which one it is.
            ahead: As in `perform_step`.
            closes_at: A clone that cannot be ready by then does not begin.
            grace_until: By then what takes longer than it should has to be ready.
        """
        self._number, self._ahead = evening, ahead
        self._closes_at, self._grace_until = closes_at, grace_until
        await self._certification.wait_until_hashed()
        for step in evening_steps():
            if step.work:
                await (verb() if (verb := self._verbs.get(step.name)) else self._take(step))
            # An activity that ended before it heard of a cancel answers as if nothing had happened.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError

    async def _take(self, step: Step) -> None:
        """Take a step of which its row of the table says everything."""
        old, new = self._both()
        order = m.TakeStep(
            transfer_id=self._progress.transfer_id,
            environment_id=old.environment_id,
            evening=self._number,
            source_schema=old.schema_name,
            target_schema=new.schema_name,
            source_cell=old.cell,
            target_cell=new.cell,
        )
        with self._saga.step(step.name):
            for work in step.work:
                taken = await perform_work(work, order, of=new, ahead=self._ahead)
                if taken is not None and taken.detail:
                    self._progress.detail(step.name, taken.detail)

    async def _clone_administrations(self) -> None:
        """The manual: "toegevoegd, inclusief alle administraties met alle gegevens"."""
        self._progress.enter(TransferState.CLONING)
        old, new = self._both()
        with self._saga.step(StepName.CLONE):
            self.cloned = await perform_step(
                CloneActivities.clone_administrations,
                m.CloneAdministrations(
                    transfer_id=self._progress.transfer_id,
                    source_schema=old.schema_name,
                    target_schema=new.schema_name,
                    source_cell=old.cell,
                    target_cell=new.cell,
                    evening=self._number,
                    closes_at=self._closes_at,
                    grace_until=self._grace_until,
                ),
                of=new,
                ahead=self._ahead,
            )
            self._progress.detail(
                StepName.CLONE,
                f"{self.cloned.tables} tables, {self.cloned.rows:,} rows, {self.cloned.bytes / 1e6:,.1f} MB "
                f"in {self.cloned.seconds:.1f} s",
            )

    async def _verify_every_row(self) -> None:
        """The manual: "met precies dezelfde administraties en gegevens als voor de verhuizing"."""
        old, new = self._both()
        with self._progress.step(StepName.VERIFY):
            self.verified = await perform_step(
                CloneActivities.verify_clone,
                m.VerifyClone(
                    transfer_id=self._progress.transfer_id,
                    source_schema=old.schema_name,
                    target_schema=new.schema_name,
                    source_cell=old.cell,
                    target_cell=new.cell,
                    evening=self._number,
                ),
                of=new,
                ahead=self._ahead,
            )
            if not self.verified.equal:
                differences = "; ".join(f"{d.table}: {d.problem}" for d in self.verified.differences[:5])
                raise Undo(UndoReason.FAILED, f"{CloneDiffers.default_english()} {differences}")
            self._progress.detail(
                StepName.VERIFY, f"{self.verified.rows:,} rows equal on both sides in {self.verified.seconds:.1f} s"
            )

    async def _reactivate_rabobank_and_flag_the_others(self) -> None:
        """The manual: "De Rabobank koppelingen worden meeverhuisd, maar de overige … opnieuw"."""
        with self._progress.step(StepName.BANKS):
            done = await perform_step(
                TargetSetupActivities.reconnect_banks,
                m.ReconnectBanks(transfer_id=self._progress.transfer_id, evening=self._number),
            )
            self._progress.detail(StepName.BANKS, ", ".join(f"{b.bank} {b.new} ({b.count})" for b in done.banks))

    async def _apply_consequences(self) -> None:
        """The manual's "Let op: het verhuizen van een klantomgeving heeft de volgende gevolgen"."""
        with self._progress.step(StepName.CONSEQUENCES):
            done = await perform_step(
                TargetSetupActivities.apply_consequences,
                m.ApplyConsequences(transfer_id=self._progress.transfer_id, evening=self._number),
            )
            self._progress.detail(
                StepName.CONSEQUENCES, ", ".join(f"{c.kind.value} {c.count}" for c in done.consequences)
            )

    async def _compare_and_open(self) -> None:
        """Make the comparison of "Administraties controleren", then let people look."""
        _, new = self._both()
        with self._progress.step(StepName.COMPARE):
            compared = await perform_step(
                TargetSetupActivities.compare_environments,
                m.CompareEnvironments(transfer_id=self._progress.transfer_id, evening=self._number),
                of=new,
                ahead=self._ahead,
            )
            self._progress.comparison = compared
            if compared.unequal:
                raise Undo(
                    UndoReason.FAILED, f"{ComparisonDiffers.default_english()} {compared.unequal} checks differ."
                )
            self._opened = await perform_step(
                FreezeReleaseActivities.open_for_inspection,
                m.OpenForInspection(transfer_id=self._progress.transfer_id, evening=self._number),
            )

    async def _certify(self) -> None:
        """Sign that what people are going to see is what was frozen, but for what a move changes on purpose."""
        await self._certification.certify(self._number, ahead=self._ahead)

    def _both(self) -> tuple[m.EnvironmentSummary, m.EnvironmentSummary]:
        if self._progress.old is None or self._progress.new is None:
            raise AssertionError("the freeze and the upload come before the clone")
        return self._progress.old, self._progress.new
