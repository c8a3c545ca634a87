"""Whatever fails, wherever it fails: a transfer ends released or undone, and nothing is half-moved."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import uuid4

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from domain import messages as m
from domain.events import EventKind
from domain.invariant import violations
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.steps import STEPS, ActivityName, Compensation, PolicyName, Step, StepName, Work
from domain.violations import ViolationKind
from domain.vocabulary import MailKind, TransferState
from tests.workflows.database import Event, Plan
from tests.workflows.faults import REFUSALS, Case, Fault, Kind, Story, cases
from tests.workflows.modelled import Moment
from tests.workflows.stage import Stage, open_stage
from tests.workflows.story import Transfer, ended
from workflows import policies
from workflows import task_queues as queues
from workflows.transfer import TransferWorkflow

CASES = cases(STEPS, ActivityName)
AT_ONCE = 40
PATIENCE_SECONDS = 200
A_ROUND = policies.PAUSE_BETWEEN_ROUNDS + timedelta(minutes=1)
# After these a transfer goes on as if nothing had happened.
HARMLESS = (Kind.FAILS_BEFORE, Kind.FAILS_HALF_WAY, Kind.ANSWER_LOST, Kind.AWAY_FOR_A_WHILE)
COMPENSATIONS = {step.compensation.activity for step in STEPS if step.compensation}
# What must succeed in the end: refused for good it waits for an operator, and then for nobody.
STUBBORN = {*COMPENSATIONS, ActivityName.BEGIN_UNDO, ActivityName.FINISH_UNDO, ActivityName.RELEASE_ENVIRONMENT}


@pytest.fixture
async def stage(skipping: WorkflowEnvironment) -> AsyncIterator[Stage]:
    """An open stage."""
    async with open_stage(skipping) as stage:
        yield stage


class Performance:
    """One transfer, and what goes wrong in it."""

    def __init__(self, stage: Stage, chosen: list[Case]) -> None:
        self.stage, self.world = stage, stage.world
        self.story = chosen[0].story
        self.transfer_id = uuid4()
        self.environment_id = self.world.database.open_environment()
        self.handle = cast(
            Transfer, stage.skipping.client.get_workflow_handle_for(TransferWorkflow.run, self._workflow_id)
        )
        self.faults = [Fault(case, self._cancel) for case in chosen]
        self.world.seams[self.transfer_id] = self._interfere
        short = self.story is Story.POSTPONED
        early = self.story in (Story.STARTED_EARLY, Story.RESCHEDULED, Story.CORRECTED)
        self.world.database.plans[self.transfer_id] = Plan(
            starts_in=None if early else timedelta(0),
            lasts=timedelta(seconds=1) if short else timedelta(hours=8),
            forwards_for=timedelta(0) if self.story is Story.FORWARDED else timedelta(days=30),
        )
        self.ended: asyncio.Task[m.TransferResult]

    @property
    def _workflow_id(self) -> str:
        return workflow_id_of(self.environment_id)

    async def play(self) -> m.TransferResult:
        """Play the story to its end, whatever comes, and return how it ended."""
        with self.stage.skipping.with_time_skipping_disabled():
            await self.stage.skipping.client.start_workflow(
                TransferWorkflow.run,
                m.TransferInput(environment_id=self.environment_id, transfer_id=self.transfer_id),
                id=self._workflow_id,
                task_queue=queues.TRANSFERS,
            )
        self.ended = asyncio.create_task(ended(self.handle, patience_seconds=600))
        troubles = [asyncio.create_task(self._cause_trouble(fault)) for fault in self.faults]
        try:
            await self._act()
            return await self.ended
        finally:
            for trouble in troubles:
                trouble.cancel()

    async def _cancel(self) -> None:
        await self.handle.cancel()

    async def _interfere(self, order: Any, moment: Moment) -> None:
        if self.story is Story.POSTPONED and isinstance(order, m.CloneAdministrations) and order.evening == 1:
            await asyncio.sleep(3600)  # until the window closes on it
        for fault in self.faults:
            await fault(order, moment)

    async def _act(self) -> None:
        if await self._asked(MailKind.TICKET_ISSUED):
            if self.story is Story.LOOKED:
                await self._quietly(self.handle.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support")))
            await self._upload()
        if self.story is Story.RESCHEDULED and await self._asked(MailKind.UPLOAD_ACCEPTED):
            await self._reschedule()
            await self._quietly(self.handle.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support")))
        if self.story is Story.CORRECTED and await self._asked(MailKind.UPLOAD_ACCEPTED):
            with suppress(WorkflowUpdateFailedError, RPCError):
                await self.handle.execute_update(
                    "correct_upload", m.CorrectUpload(name="Enyoi BV", requested_by="new side")
                )
            await self._quietly(self.handle.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support")))
        if self.story is Story.STARTED_EARLY and await self._asked(MailKind.UPLOAD_ACCEPTED):
            await self._meet(StepName.WAIT_FOR_EVENING)
            await self._quietly(self.handle.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support")))
        if await self._asked(MailKind.READY):
            await self._meet(StepName.AWAIT_RELEASE)
            await self._decide()

    async def _decide(self) -> None:
        if self.story is Story.REJECTED:
            await self._quietly(self.handle.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side")))
            return
        while not (self.ended.done() or self._told("undo_begun") or self._told("environment_released")):
            refused = len(self._told("release_refused"))
            await self._quietly(self.handle.signal(TransferWorkflow.release, m.Release(released_by="new side")))
            await self._either(partial(self._refused_more_than, refused))

    def _refused_more_than(self, times: int) -> bool:
        return len(self._told("release_refused")) > times

    async def _upload(self) -> None:
        order = m.Upload(sealed_ticket="sealed", licence_number="10002", name="Enyoi", uploaded_by="new side")
        for _ in range(2):  # a refusal is the caller's to answer
            try:
                await self.handle.execute_update("upload", order)
            except (WorkflowUpdateFailedError, RPCError):
                continue
            return

    async def _reschedule(self) -> None:
        order = m.Reschedule(evening=datetime.now(UTC).date() + timedelta(days=9), requested_by="new side")
        with suppress(WorkflowUpdateFailedError, RPCError):  # a refusal is the caller's to answer
            await self.handle.execute_update("reschedule", order)

    async def _meet(self, step: StepName) -> None:
        """Be where the transfer only waits."""
        for fault in self.faults:
            if fault.case.where is step:
                fault.met.set()
                if fault.case.kind is Kind.CANCELLED:
                    await self.handle.cancel()
                    await self.ended
                else:
                    await fault.go_on.wait()

    async def _asked(self, kind: MailKind) -> bool:
        """Wait until a mail is to be sent: the transfer is in the state that it tells of. Or until it has ended."""
        name = f"send {kind.value}"
        return await self._either(lambda: name in self.world.asked[self.transfer_id])

    async def _either(self, condition: Callable[[], bool]) -> bool:
        waiting = asyncio.create_task(self.world.until(condition))
        await asyncio.wait((waiting, self.ended), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return not self.ended.done()

    async def _quietly(self, call: Awaitable[None]) -> None:
        try:
            await call
        except RPCError:  # it has ended meanwhile
            return

    def _told(self, kind: str) -> list[Event]:
        return self.world.database.told(self.transfer_id, kind)

    # --- what goes wrong -----------------------------------------------------------------------------------------

    async def _cause_trouble(self, fault: Fault) -> None:
        await fault.met.wait()
        if fault.case.kind in REFUSALS and fault.case.where in STUBBORN:
            await self._be_the_operator()
        elif fault.case.kind in REFUSALS and fault.case.where is ActivityName.RECORD_EVENT:
            await self.stage.skipping.fast_forward(self.handle, A_ROUND)  # it is written down again by itself
        elif fault.case.kind is Kind.TIMED_OUT:
            await self._let_time_pass(fault)
        elif fault.case.kind is Kind.CANCELLED:
            await self._either(lambda: bool(self._told("undo_finished") or self._told("cancel_refused")))
            fault.go_on.set()

    async def _be_the_operator(self) -> None:
        """Read what the status says to do; then only time passes."""
        status = await self.handle.query(TransferWorkflow.status)
        for _ in range(200):
            if status.waiting_for.startswith("an operator"):
                break
            await asyncio.sleep(0.1)
            status = await self.handle.query(TransferWorkflow.status)
        assert any("the disk is full" in step.detail for step in status.steps)
        await self.stage.skipping.fast_forward(self.handle, A_ROUND)

    async def _let_time_pass(self, fault: Fault) -> None:
        """Skip past the time-out, and let what hung go on once another attempt has begun."""
        attempts = len(self.world.asked[self.transfer_id])
        await self.stage.skipping.fast_forward(self.handle, timedelta(minutes=11))
        await self._either(lambda: len(self.world.asked[self.transfer_id]) > attempts)
        fault.go_on.set()

    # --- how it must end -----------------------------------------------------------------------------------------

    async def judge(self) -> list[str]:
        """Return what is wrong with the end."""
        for fault in self.faults:
            fault.go_on.set()
        await self.world.until(lambda: not self.world.at_work[self.transfer_id])
        database, move = self.world.database, self.world.database.moves[self.transfer_id]
        result = await self.ended
        mailbox = self.stage.skipping.client.get_workflow_handle(mailbox_workflow_id_of(self.transfer_id))
        running = set()
        if result.state is TransferState.RELEASED:
            if self.story is Story.FORWARDED:
                with suppress(WorkflowFailureError):  # the checker says what is left of it
                    await mailbox.result()
            elif (await mailbox.describe()).status is WorkflowExecutionStatus.RUNNING:
                running.add(mailbox.id)
        wrong = [f"never met: {fault.case}" for fault in self.faults if not fault.met.is_set()]
        wrong += [f"{one.kind}: {one.what}" for one in violations(database.facts(running, self.transfer_id))]
        if move.state is not result.state:
            wrong.append(f"the workflow says {result.state}, the database {move.state}")
        if any(times > 1 for times in move.mails.values()):
            wrong.append(f"somebody got a mail twice: {move.mails}")
        released = result.state is TransferState.RELEASED
        if database.write(self.environment_id, "row after") is released:
            wrong.append(f"the old environment {'takes' if released else 'refuses'} writes")
        if move.new_id is not None and database.write(move.new_id, "row after") is not released:
            wrong.append(f"the new environment {'refuses' if released else 'takes'} writes")
        return wrong


def grouped(chosen: Iterable[Case]) -> list[list[Case]]:
    """Let one transfer meet every failure that does not change its story; the others need a transfer each."""
    together: dict[tuple[Story, Kind], list[Case]] = {}
    alone: list[list[Case]] = []
    for case in chosen:
        if case.kind in HARMLESS:
            together.setdefault((case.story, case.kind), []).append(case)
        else:
            alone.append([case])
    return [*together.values(), *alone]


async def perform_all(stage: Stage, chosen: Iterable[Case]) -> dict[str, list[str]]:
    """Play cases, many at a time, and return what is wrong, by case."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(group: list[Case]) -> list[str]:
        async with places:
            performance = Performance(stage, group)
            try:
                await asyncio.wait_for(performance.play(), PATIENCE_SECONDS)
                return await asyncio.wait_for(performance.judge(), PATIENCE_SECONDS)
            except Exception as error:  # noqa: BLE001 - the others are told of as well
                asked = stage.world.asked[performance.transfer_id]
                return [f"{type(error).__name__} {error}; asked: {asked}"]

    groups = grouped(chosen)
    found = await asyncio.gather(*(one(group) for group in groups))
    return {", ".join(map(str, group)): wrong for group, wrong in zip(groups, found, strict=True) if wrong}


async def test_every_failure_that_passes_leaves_every_transfer_whole(stage: Stage) -> None:
    """Ends whole after each passing failure of each activity."""
    assert await perform_all(stage, [case for case in CASES if case.kind in HARMLESS]) == {}


async def test_every_failure_for_good_and_every_cancel_leaves_every_transfer_whole(stage: Stage) -> None:
    """Ends whole, but for an old address that cannot be closed: it is found at night, and watched again."""
    found = await perform_all(stage, [case for case in CASES if case.kind in (*REFUSALS, Kind.CANCELLED)])
    at_night = {
        str(case)
        for case in CASES
        if case.where is ActivityName.CLOSE_MAILBOX_FORWARDING and case.kind in (Kind.REFUSED, Kind.REFUSED_HALF_WAY)
    }
    kinds = {case: [one.partition(":")[0] for one in wrong] for case, wrong in found.items()}
    assert kinds == {case: [ViolationKind.FORWARDING_UNATTENDED.value] for case in at_night}, found


async def test_a_worker_that_goes_in_the_middle_of_anything_is_missed_by_nobody(stage: Stage) -> None:
    """Ends whole although the worker goes during any activity."""
    performances = [Performance(stage, [case]) for case in CASES if case.kind is Kind.WORKER_GONE]
    playing = asyncio.gather(*(one.play() for one in performances))
    for one in performances:
        await asyncio.wait_for(one.faults[0].met.wait(), PATIENCE_SECONDS)
    await stage.close()
    await stage.open()
    for one in performances:
        one.faults[0].go_on.set()
    await asyncio.wait_for(playing, PATIENCE_SECONDS)
    wrong = {str(one.faults[0].case): await one.judge() for one in performances}
    assert {case: found for case, found in wrong.items() if found} == {}


def test_a_new_step_without_a_story_is_noticed() -> None:
    """Fails for a step without a case in the matrix."""
    work = Work(cast(ActivityName, "polish_books"), PolicyName.STEP, "polish")
    polish = Step(cast(StepName, "polish"), "Polish", (work,))
    with pytest.raises(LookupError, match="polish_books"):
        cases([*STEPS, polish], ActivityName)
    unpolish = Compensation(cast(ActivityName, "unpolish_books"), PolicyName.STEP, "", EventKind.CLONE_DROPPED)
    undoing = Step(cast(StepName, "polish"), "Polish", compensation=unpolish)
    with pytest.raises(LookupError, match="unpolish_books"):
        cases([*STEPS, undoing], ActivityName)
    waiting = Step(cast(StepName, "ponder"), "Ponder")
    with pytest.raises(LookupError, match="ponder"):
        cases([*STEPS, waiting], ActivityName)


def test_every_activity_of_every_step_has_every_failure() -> None:
    """Tries every failure of every activity."""
    made = {(case.where, case.kind) for case in CASES}
    named = set(ActivityName)
    missing = {(name, kind) for name in named for kind in Kind} - made
    assert missing == {(ActivityName.CLOSE_MAILBOX_FORWARDING, Kind.CANCELLED)}
