"""The evening: what happens between the opening and the closing of the window, and what when that is too short.

`TransferWorkflow.run` calls the first verbs of `EveningMove`; the rest are the steps that have to fit in one evening.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from temporalio import workflow

from activities.clone import CloneActivities
from activities.freeze_release import FreezeReleaseActivities
from activities.scheduling import SchedulingActivities
from activities.target_setup import TargetSetupActivities
from domain import messages as m
from domain.errors import CloneDiffers, ComparisonDiffers
from domain.steps import Step, StepName, evening_steps
from domain.vocabulary import TransferState, UndoReason
from workflows import policies
from workflows.activity_calls import perform, perform_step, perform_work
from workflows.certification import Certification
from workflows.progress import TransferProgress
from workflows.saga import Saga, Undo
from workflows.waiting import done_before, wait_until


class EveningMove:
    """One transfer's evenings, the planned one and those before it."""

    def __init__(self, progress: TransferProgress, saga: Saga, certification: Certification) -> None:
        self._progress = progress
        self._saga = saga
        self._certification = certification
        self._number = 1
        self._planning = asyncio.Lock()
        self._begun = False
        self.asked_for: m.StartNow | None = None
        self.cloned: m.CloneFinished | None = None
        self.verified: m.Verification | None = None
        self.opened: m.OpenedForInspection | None = None
        # Steps that do more than their row of the table says.
        self._verbs: Mapping[StepName, Callable[[], Awaitable[None]]] = {
            StepName.CLONE: self._clone_administrations,
            StepName.VERIFY: self._verify_every_row,
            StepName.BANKS: self._reactivate_rabobank_and_flag_the_others,
            StepName.CONSEQUENCES: self._apply_consequences,
            StepName.COMPARE: self._compare_and_open,
            StepName.CERTIFY: self._certify,
        }

    def plan(self, starts_at: datetime, closes_at: datetime) -> None:
        """Wait for an evening from now on."""
        self._progress.starts_at = starts_at
        self._progress.closes_at = closes_at
        self._progress.enter(TransferState.SCHEDULED)

    async def sleep_until_it_begins(self) -> None:
        """The manual: "Dit proces starten wij 's avonds om 22:00"."""
        if self._progress.is_done(StepName.WAIT_FOR_EVENING):  # in an earlier run
            return
        with self._progress.step(StepName.WAIT_FOR_EVENING):
            while not await self._begins():
                continue

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        self._number = memory.evening
        self.cloned, self.verified, self.opened = memory.cloned, memory.verified, memory.opened

    @property
    def number(self) -> int:
        """Return which planned start this is, counted from one."""
        return self._number

    async def _begins(self) -> bool:
        """Sleep until the planned start, or until somebody asks for another; tell whether the evening begins."""
        starts_at = self._progress.starts_at
        if starts_at is None:
            raise AssertionError("the upload sets the start")
        remaining = (starts_at - workflow.now()).total_seconds()
        if remaining > 0 and self.asked_for is None:
            try:
                await wait_until(
                    lambda: self._is_woken(starts_at),
                    timeout_seconds=remaining,
                    summary=f"sleep until {starts_at:%Y-%m-%d %H:%M %Z}",
                )
            except TimeoutError:
                if self._number == 1:  # later on it is worth more to read why this is not the first
                    self._progress.detail(StepName.WAIT_FOR_EVENING, "the evening window opened")
        await self._certification.raise_refusal()
        async with self._planning:  # whoever is choosing another evening at this moment gets it
            self._begun = self.asked_for is not None or self._progress.starts_at == starts_at
            return self._begun

    def _is_woken(self, starts_at: datetime) -> bool:
        refused = self._certification.has_refused
        return refused or self.asked_for is not None or self._progress.starts_at != starts_at

    async def reschedule(self, order: m.Reschedule) -> m.StartPlanned | None:
        """Wait for another evening, or return None: there is no wait, or it is over.

        Raises:
            ActivityError: The evening is refused, or the transfer turned back meanwhile.
        """
        asked_at = workflow.now()
        event_key = workflow.uuid4()
        async with self._planning:
            if not self.is_awaited:
                return None
            planned = await perform(
                SchedulingActivities.reschedule_start,
                m.RescheduleStart(
                    transfer_id=self._progress.transfer_id,
                    evening=self._number,
                    on=order.evening,
                    asked_at=asked_at,
                    requested_by=order.requested_by,
                    reason=order.reason,
                    event_key=event_key,
                ),
                policies.STEP,
                f"plan the start on {order.evening}",
            )
            if self._progress.state is not TransferState.SCHEDULED:  # it was cancelled meanwhile
                return None
            self._progress.detail(StepName.WAIT_FOR_EVENING, f"{order.evening} was chosen by {order.requested_by}")
            self.plan(planned.starts_at, planned.closes_at)
            return planned

    @property
    def is_awaited(self) -> bool:
        """Tell whether the transfer waits for an evening, which may still become another one."""
        return self._progress.state is TransferState.SCHEDULED and not self._begun and self.asked_for is None

    async def move_before_the_window_closes(self) -> str:
        """Move in the evening and return nothing, or return why another evening is needed.

        A start that support asks for has no closing time: it is outside the window on purpose, while somebody looks.
        """
        if self._progress.is_done(StepName.CERTIFY):  # in an earlier run
            return ""
        closes_at = None if self.asked_for else self._progress.closes_at
        if closes_at is not None and workflow.now() >= closes_at:
            return "nobody was at work while the window was open"
        self._progress.evenings_tried += 1
        if await done_before(closes_at, self._move()):
            return ""
        tried, reached = self._progress.evenings_tried, self._progress.step_that_failed() or "Hash what was frozen"
        if tried < policies.EVENINGS:
            return f"evening {tried} of {policies.EVENINGS} did not suffice: the window closed during '{reached}'"
        raise Undo(
            UndoReason.FAILED,
            f"{tried} evenings did not suffice: the window closed during '{reached}'. "
            "Ask support to start the next attempt outside the window.",
        )

    async def plan_another(self, why: str) -> None:
        """Drop what there is of the clone and go back to waiting; the reservation and the freeze stay."""
        closes_at = self._progress.closes_at
        if closes_at is None:
            raise AssertionError("only a window that closes puts a move off")
        self._progress.needs = f"the next evening to be planned: {why}"
        self._progress.show()
        planned = await perform(
            SchedulingActivities.postpone_start,
            m.PostponeStart(
                transfer_id=self._progress.transfer_id,
                evening=self._number,
                # A timer may be a hair early, and the window would still be open.
                decided_at=max(workflow.now(), closes_at),
                why=why,
            ),
            policies.POSTPONE,
            "drop the clone, plan the next evening",
        )
        self._number = planned.evening
        self._begun = False
        self.cloned = self.verified = None
        self._progress.begin_again(step.name for step in evening_steps())
        self._progress.detail(StepName.WAIT_FOR_EVENING, why)
        self.plan(planned.starts_at, planned.closes_at)

    # --- what has to fit in one evening --------------------------------------------------------------------------

    async def _move(self) -> None:
        """Clone, verify, banks, consequences, compare, certify: what has to fit in one evening."""
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
                taken = await perform_work(work, order, cell=new.cell)
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
                ),
                cell=new.cell,
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
                cell=new.cell,
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
                cell=new.cell,
            )
            self._progress.comparison = compared
            if compared.unequal:
                raise Undo(
                    UndoReason.FAILED, f"{ComparisonDiffers.default_english()} {compared.unequal} checks differ."
                )
            self.opened = await perform_step(
                FreezeReleaseActivities.open_for_inspection,
                m.OpenForInspection(transfer_id=self._progress.transfer_id, evening=self._number),
            )

    async def _certify(self) -> None:
        """Sign that what people are going to see is what was frozen, but for what a move changes on purpose."""
        await self._certification.certify(self._number)

    def _both(self) -> tuple[m.EnvironmentSummary, m.EnvironmentSummary]:
        if self._progress.old is None or self._progress.new is None:
            raise AssertionError("the freeze and the upload come before the clone")
        return self._progress.old, self._progress.new
