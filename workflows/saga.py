"""Undoing and persisting: what makes a transfer end whole, whatever happens on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from activities.event_log import EventLogActivities
from domain import messages as m
from domain.errors import TransferError, WrongMoment
from domain.steps import STEPS, Step, StepName, StepState
from domain.vocabulary import TransferState, UndoReason
from workflows import policies
from workflows.activity_calls import is_cancel, perform, perform_work
from workflows.progress import TransferProgress

_Answer = TypeVar("_Answer")
_STEPS = {step.name: step for step in STEPS}


class Undo(Exception):
    """The story turns back: why, and on whose word."""

    def __init__(self, reason: UndoReason, detail: str = "", requested_by: str = "", *, code: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.requested_by = requested_by
        self.code = code

    @classmethod
    def because_of(cls, error: BaseException, cancel: m.ExplainCancel | None = None) -> "Undo":
        """Return why an exception ends the transfer; `cancel` is what was said before a cancel."""
        if isinstance(error, Undo):
            return error
        if is_cancel(error):
            if cancel is not None:
                return cls(UndoReason.CANCELLED, str(cancel), cancel.requested_by)
            return cls(UndoReason.CANCELLED, workflow.cancellation_reason() or "")
        innermost = _innermost(error)
        code = innermost.type if isinstance(innermost, ApplicationError) else None
        return cls(UndoReason.FAILED, root_cause(error), code=code or "")


def root_cause(error: BaseException) -> str:
    """Return the innermost message: what went wrong, without the wrapping."""
    error = _innermost(error)
    return error.message if isinstance(error, FailureError) else str(error)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, FailureError) and error.cause is not None:
        error = error.cause
    return error


def failed_with(error: ActivityError, kind: type[TransferError]) -> bool:
    """Tell whether an activity ended with this error of the domain."""
    return isinstance(error.cause, ApplicationError) and error.cause.type == kind.code()


class Saga:
    """The compensations of one transfer, and the patience to see them through."""

    def __init__(self, progress: TransferProgress, environment_id: UUID) -> None:
        self._progress = progress
        self._environment_id = environment_id
        self._to_undo: list[Step] = []

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

    async def undo(self, undo: Undo, *, unless: Collection[type[TransferError]] = ()) -> None:
        """Bar every forward step, then run the compensations in reverse.

        Raises:
            ActivityError: One of the errors in `unless`: the transfer is not where this workflow believes it is.
        """
        progress = self._progress
        progress.undo_reason = undo.reason
        progress.undo_code, progress.undo_detail = undo.code, undo.detail
        progress.enter(TransferState.UNDOING)
        begin = m.BeginUndo(
            transfer_id=progress.transfer_id,
            environment_id=self._environment_id,
            workflow_id=workflow.info().workflow_id,
            reason=undo.reason,
            detail=undo.detail,
            requested_by=undo.requested_by,
        )
        await self.until_it_works(
            StepName.FREEZE,
            lambda: perform(EventLogActivities.begin_undo, begin, policies.MUST_HAPPEN, "bar every forward step"),
            unless=unless,
        )
        order = m.TakeStep(transfer_id=progress.transfer_id, environment_id=self._environment_id)
        while self._to_undo:
            step = self._to_undo.pop()
            if compensation := step.compensation:
                progress.mark(step.name, StepState.UNDOING)
                await self.until_it_works(step.name, partial(perform_work, compensation, order))
                progress.mark(step.name, StepState.UNDONE)
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
                if any(failed_with(error, kind) for kind in unless):
                    raise
                progress.needs = f"an operator: {_STEPS[step].title} does not succeed"
                progress.detail(step, f"needs an operator, is tried again by itself: {root_cause(error)}")
            else:
                progress.needs = ""
                return answer
            await workflow.sleep(policies.PAUSE_BETWEEN_ROUNDS, summary=f"before {step.value} is tried again")

    async def run_uncancellable(self, work: Coroutine[Any, Any, None]) -> None:
        """Finish work that a cancel may not stop: an undo that runs, or everything after the release."""
        task = asyncio.create_task(work)
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                if not task.done():
                    await self.refuse("cancel", "", f"the transfer is {self._progress.state.value} and goes on")
        await task

    async def refuse(self, kind: str, actor: str, why: str, code: str = WrongMoment.code()) -> None:
        """Write a signal that came at the wrong moment into the story; it is not remembered for later."""
        await self.record(actor or "unknown", f"{kind}_refused", why, code)

    async def record(self, actor: str, kind: str, reason: str = "", code: str = "") -> None:
        """Write a line into the story."""
        event = m.RecordEvent(
            event_key=workflow.uuid4(),
            transfer_id=self._progress.transfer_id,
            actor=actor,
            kind=kind,
            reason=reason,
            code=code,
        )
        while True:
            try:
                return await perform(EventLogActivities.record_event, event, policies.RECORD, kind)
            except ActivityError as error:
                # Raised in a signal's handler it would end the workflow, with everything where it is.
                if is_cancel(error):
                    raise
            await workflow.sleep(policies.PAUSE_BETWEEN_ROUNDS, summary=f"before {kind} is written down again")
