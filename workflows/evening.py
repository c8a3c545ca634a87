"""The evening: what happens between the opening and the closing of the window, and what when that is too short.

`TransferWorkflow.run` calls the verbs of `EveningMove`; the steps that have to fit in one evening are `EveningSteps`.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.scheduling import SchedulingActivities
from activities.tickets import UploadActivities
from domain import messages as m
from domain.errors import BegunAgain, Superseded, WindowTooShort
from domain.steps import StepName, StepState
from domain.vocabulary import MailKind, TransferState, UndoReason
from workflows import policies
from workflows.activity_calls import failed_with, perform, root_cause
from workflows.certification import Certification
from workflows.evening_steps import EveningSteps
from workflows.mail import MailDispatcher
from workflows.progress import TransferProgress
from workflows.saga import Undo
from workflows.waiting import done_before, wait_until

# More often than a stray attempt of a run from before a reset can be in the way.
_LOOKS: Final = 3
_BEFORE_ALL: Final = 9
# A thousand that woke at once would keep the worker from the first that goes on. One firm's come one after the other,
# ten in a second: more than any worker has places for, and a firm of ten is through in one.
_BETWEEN: Final = timedelta(milliseconds=100)


class EveningMove:
    """One transfer's evenings, the planned one and those before it."""

    def __init__(
        self, progress: TransferProgress, steps: EveningSteps, certification: Certification, mail: MailDispatcher
    ) -> None:
        self._progress = progress
        self._certification = certification
        self._steps = steps
        self._mail = mail
        self._number = 1
        self.planning = asyncio.Lock()
        """Whoever changes what the evening begins with holds it, and it does not begin meanwhile."""
        self._begun = False
        self._all_is_done = False
        self._tried = False
        self._looks = 0
        self._hurried = False
        self._asked_for: m.StartNow | None = None
        self._grace_until: datetime | None = None
        self._behind = 0

    def _plan(self, starts_at: datetime, planned: m.StartPlanned | m.ReservationMade) -> None:
        """Wait for an evening from now on."""
        self._progress.starts_at = starts_at
        self._progress.closes_at = planned.closes_at
        self._grace_until = planned.grace_until
        self._behind = planned.behind
        self._progress.enter(TransferState.SCHEDULED)

    def go_on_with(self, planned: m.ReservationMade) -> None:
        """Wait for the evening of a reservation; after a reset it may have begun, or be over with all done in time."""
        self._number, self._begun, self._all_is_done = planned.evening, planned.begun, planned.certified
        self._plan(planned.accepted.starts_at, planned)
        if planned.begun:
            self._progress.mark(StepName.WAIT_FOR_EVENING, StepState.DONE, "it had begun before the reset")

    async def sleep_until_it_begins(self) -> None:
        """The manual: "Dit proces starten wij 's avonds om 22:00"."""
        if self._progress.is_done(StepName.WAIT_FOR_EVENING):  # in an earlier run
            return
        with self._progress.step(StepName.WAIT_FOR_EVENING):
            while not await self._begins():
                continue

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know."""
        return {
            "evening": self._number,
            "all_is_done": self._all_is_done,
            "hurried": self._hurried,
            "grace_until": self._grace_until,
            "behind": self._behind,
        }

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        self._number, self._all_is_done = memory.evening, memory.all_is_done
        self._hurried, self._grace_until, self._behind = memory.hurried, memory.grace_until, memory.behind

    async def _begins(self) -> bool:
        """Sleep until the planned start, or until somebody asks for another; tell whether the evening begins."""
        starts_at = self._progress.starts_at
        if starts_at is None:
            raise AssertionError("the upload sets the start")
        behind = self._behind
        remaining = (starts_at + self._turn() - workflow.now()).total_seconds()
        if remaining > 0 and self._asked_for is None:
            try:
                await wait_until(
                    lambda: self._is_woken(starts_at) or self._behind != behind,
                    timeout_seconds=remaining,
                    summary=f"sleep until {starts_at:%Y-%m-%d %H:%M %Z}",
                )
            except TimeoutError:
                if self._number == 1:  # later on it is worth more to read why this is not the first
                    self._progress.detail(StepName.WAIT_FOR_EVENING, "the evening window opened")
        await self._certification.raise_refusal()
        async with self.planning:  # whoever is choosing another evening at this moment gets it
            is_time = (self._progress.starts_at, self._behind) == (starts_at, behind)
            self._begun |= self._asked_for is not None or is_time
            return self._begun

    def _turn(self) -> timedelta:
        """Return how long after the opening it begins: its firm's come one after the other."""
        starts_at, closes_at = self._progress.starts_at, self._progress.closes_at
        turn = self._behind * _BETWEEN
        return min(turn, max((closes_at - starts_at) / 2, timedelta())) if starts_at and closes_at else turn

    def _is_woken(self, starts_at: datetime) -> bool:
        woken = self._begun or self._asked_for is not None or self._progress.starts_at != starts_at
        return woken or self._certification.has_refused

    def start_now(self, order: m.StartNow) -> None:
        """Begin at once."""
        self._asked_for = order
        self._progress.detail(StepName.WAIT_FOR_EVENING, f"started early by {order.requested_by}")

    async def reschedule(self, order: m.Reschedule) -> m.StartPlanned | None:
        """Wait for another evening, or return None: there is no wait, or it is over.

        Raises:
            ActivityError: The evening is refused, or the transfer turned back meanwhile.
        """
        asked_at = workflow.now()
        event_key = workflow.uuid4()
        async with self.planning:
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
            self._plan(planned.starts_at, planned)
            self._mail.send_once_settled(MailKind.UPLOAD_ACCEPTED)  # it tells both sides when the move starts
            return planned

    def hurry(self) -> None:
        """Go before all others from now on, wherever several wait for a place."""
        self._hurried = True
        self._behind = 0

    @property
    def _ahead(self) -> int:
        """Return before how many others it goes: whom an evening was too short for goes before those who come new."""
        return _BEFORE_ALL if self._hurried else int(self._number > 1)

    @property
    def number(self) -> int:
        """Return which planned start is waited for."""
        return self._number

    @property
    def is_awaited(self) -> bool:
        """Tell whether the transfer waits for an evening, which may still become another one."""
        return self._progress.state is TransferState.SCHEDULED and not self._begun and self._asked_for is None

    async def move_before_the_window_closes(self) -> str:
        """Move in the evening and return nothing, or return why another evening is needed.

        A start that support asks for has no closing time: it is outside the window on purpose, while somebody looks.
        """
        if self._progress.is_done(StepName.CERTIFY):  # in an earlier run
            return ""
        closes_at = None if self._asked_for or self._all_is_done else self._progress.closes_at
        if closes_at is not None and workflow.now() >= closes_at:
            return "nobody was at work while the window was open"
        self._progress.evenings_tried += 1
        self._tried = True
        try:
            work = self._steps.take_all(self._number, self._ahead, closes_at, self._grace_until)
            if await done_before(closes_at, work, self._grace):
                return ""
        except ActivityError as error:
            if failed_with(error, WindowTooShort):
                return root_cause(error)
            if not failed_with(error, Superseded):
                raise
            await self._catch_up(error)
            await self.sleep_until_it_begins()
            return await self.move_before_the_window_closes()
        tried, reached = self._progress.evenings_tried, self._progress.step_that_failed() or "Hash what was frozen"
        return f"evening {tried} of {policies.EVENINGS} did not suffice: the window closed during '{reached}'"

    def _grace(self) -> datetime | None:
        """Return until when this evening may go on when its window closes: a proof that is nearly done is let end."""
        end = self._steps.likely_end()
        return self._grace_until if end and self._grace_until and end <= self._grace_until else None

    async def plan_another(self, why: str) -> None:
        """Drop what there is of the clone and go back to waiting; the reservation and the freeze stay.

        Raises:
            Undo: It has had its evenings. One on which its clone never began is none of them.
        """
        closes_at = self._progress.closes_at
        if closes_at is None:
            raise AssertionError("only a window that closes puts a move off")
        self._progress.needs = f"the next evening to be planned: {why}"
        self._progress.show()
        try:
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
        except ActivityError as error:
            if not failed_with(error, Superseded, BegunAgain):
                raise
            await self._catch_up(error)
        else:
            self._number = planned.evening
            self._count(planned, why)
            self._begin_anew()
            self._progress.detail(StepName.WAIT_FOR_EVENING, why)
            self._plan(planned.starts_at, planned)
            self._mail.send_once_settled(MailKind.UPLOAD_ACCEPTED)

    def _count(self, planned: m.StartPlanned, why: str) -> None:
        tried = self._progress.evenings_tried
        if self._tried and not planned.had_begun:  # all places were taken, or no worker was there
            self._progress.evenings_tried -= 1
        elif tried >= policies.EVENINGS:
            said = f"{tried} evenings did not suffice: {why}. Ask support to start the next attempt outside the window."
            raise Undo(UndoReason.FAILED, said)

    def _begin_anew(self) -> None:
        self._begun = self._tried = False
        self._steps.begin_anew()

    async def _catch_up(self, error: ActivityError) -> None:
        """Go on from where the database says that the transfer is: this run was reset to before that.

        Raises:
            ActivityError: It is being undone, or released; or looking again and again leads nowhere.
        """
        self._looks += 1
        found = None if self._looks > _LOOKS else await self.look()
        if found is None:
            raise error
        self._begin_anew()
        self.go_on_with(found)

    async def catch_up(self) -> None:
        """Look whether the evening that is waited for has begun, or everything in it is done.

        This run may have been reset to before that; or the last activity is done, and has not been heard of.

        Raises:
            ActivityError: The transfer is released already, or being undone.
        """
        found = await self.look()
        if found is not None and found.certified and found.evening == self._number:
            await workflow.wait_condition(lambda: not self._certification.ends_the_evening)
        if found is not None and self.is_awaited and (found.begun or found.evening != self._number):
            self._begin_anew()
            self.go_on_with(found)

    async def look(self) -> m.ReservationMade | None:
        """Ask the database what was reserved and how far that has come."""
        return await perform(
            UploadActivities.read_reservation,
            m.ReadReservation(transfer_id=self._progress.transfer_id),
            policies.STEP,
            "how far the transfer is",
        )
