"""Undoing and persisting: what makes a transfer end whole, whatever happens on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.event_log import EventLogActivities
from domain import messages as m
from domain.errors import TransferError
from domain.steps import STEPS, Step, StepName, StepState
from domain.vocabulary import TransferState, UndoReason
from workflows import policies
from workflows.activity_calls import failed_with, innermost, is_cancel, perform, perform_work, root_cause
from workflows.event_log import TransferLog
from workflows.progress import TransferProgress
from workflows.renewal import renew_if_due

_Answer = TypeVar("_Answer")
_STEPS = MappingProxyType({step.name: step for step in STEPS})


class Undo(Exception):
    """The story turns back: why, and on whose word."""

    def __init__(
        self, reason: UndoReason, detail: str = "", requested_by: str = "", *, code: str = "", detail_nl: str = ""
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.detail_nl = detail_nl
        self.requested_by = requested_by
        self.code = code

    @classmethod
    def because_of(cls, error: BaseException, cancel: m.ExplainCancel | None = None) -> "Undo":
        """Return why an exception ends the transfer; `cancel` is what was said before a cancel."""
        if isinstance(error, Undo):
            return error
        if is_cancel(error):
            if cancel is not None:
                return cls(UndoReason.CANCELLED, cancel.reason, cancel.requested_by)
            return cls(UndoReason.CANCELLED, workflow.cancellation_reason() or "")
        cause = innermost(error)
        if not isinstance(cause, ApplicationError):
            return cls(UndoReason.FAILED, root_cause(error))
        match cause.details:
            case [str(), str(dutch)] if dutch != cause.message:  # an error of the domain, told in both languages
                return cls(UndoReason.FAILED, root_cause(error), code=cause.type or "", detail_nl=dutch)
        return cls(UndoReason.FAILED, root_cause(error), code=cause.type or "")


class Saga:
    """The compensations of one transfer, and the patience to see them through."""

    def __init__(self, progress: TransferProgress, log: TransferLog) -> None:
        self._progress = progress
        self._log = log
        self._to_undo: list[Step] = []
        self._undo_requested_by = ""

    @contextmanager
    def step(self, name: StepName) -> Iterator[None]:
        """Take a step: what undoes it is registered first, for it may half-run and never tell."""
        self.will_undo(name)
        with self._progress.step(name):
            yield

    def will_undo(self, name: StepName) -> None:
        """Undo a step, if it has anything to undo, when the transfer is undone; one that runs again is undone once."""
        step = _STEPS[name]
        if step.compensation and step not in self._to_undo:
            self._to_undo.append(step)

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know."""
        steps = [step.name for step in self._to_undo]
        return {"to_undo": steps, "undo_requested_by": self._undo_requested_by}

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped.

        Raises:
            Undo: It had turned back.
        """
        for step in memory.to_undo:
            self.will_undo(step)
        status = memory.status
        if status.state is TransferState.UNDOING and status.undo_reason is not None:
            raise Undo(status.undo_reason, status.undo_detail, memory.undo_requested_by, code=status.undo_code)

    async def undo(self, undo: Undo, *, unless: Collection[type[TransferError]] = ()) -> None:
        """Bar every forward step, then run the compensations in reverse.

        Raises:
            ActivityError: One of the errors in `unless`: the transfer is not where this workflow believes it is.
        """
        progress = self._progress
        progress.undo_reason = undo.reason
        progress.undo_code, progress.undo_detail = undo.code, undo.detail
        self._undo_requested_by = undo.requested_by
        progress.enter(TransferState.UNDOING)
        begin = m.BeginUndo(
            transfer_id=progress.transfer_id,
            environment_id=progress.environment_id,
            workflow_id=workflow.info().workflow_id,
            reason=undo.reason,
            detail=undo.detail,
            detail_nl=undo.detail_nl,
            requested_by=undo.requested_by,
        )
        await self.until_it_works(
            StepName.FREEZE,
            lambda: perform(EventLogActivities.begin_undo, begin, policies.MUST_HAPPEN, "bar every forward step"),
            unless=unless,
        )
        order = m.TakeStep(transfer_id=progress.transfer_id, environment_id=progress.environment_id)
        while self._to_undo:
            step = self._to_undo[-1]
            if compensation := step.compensation:
                progress.mark(step.name, StepState.UNDOING)
                await self.until_it_works(step.name, partial(perform_work, compensation, order))
                progress.mark(step.name, StepState.UNDONE)
            self._to_undo.pop()
        finish = m.FinishUndo(transfer_id=progress.transfer_id)
        await self.until_it_works(
            StepName.FREEZE,
            lambda: perform(EventLogActivities.finish_undo, finish, policies.MUST_HAPPEN, "all undone"),
            unless=unless,
        )
        progress.enter(TransferState.UNDONE)

    async def until_it_works(
        self,
        step: StepName,
        act: Callable[[], Awaitable[_Answer]],
        *,
        unless: Collection[type[TransferError]] = (),
    ) -> _Answer:
        """Run what must happen in the end; between rounds say that an operator has to look, then go on by itself.

        Raises:
            ActivityError: One of the errors in `unless`, which another round would meet again.
        """
        progress = self._progress
        while True:
            try:
                answer = await act()
            except ActivityError as error:
                if failed_with(error, *unless):
                    raise
                progress.needs = f"an operator: {_STEPS[step].title} does not succeed"
                progress.detail(step, f"needs an operator, is tried again by itself: {root_cause(error)}")
            else:
                progress.needs = ""
                return answer
            renew_if_due()
            await workflow.sleep(policies.PAUSE_BETWEEN_ROUNDS, summary=f"before {step.value} is tried again")

    async def run_uncancellable(self, work: Coroutine[Any, Any, None]) -> None:
        """Finish work that a cancel may not stop: an undo that runs, or everything after the release."""
        task = asyncio.create_task(work)
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                if not task.done():
                    await self._log.refuse("cancel", "", f"the transfer is {self._progress.state.value} and goes on")
        await task
