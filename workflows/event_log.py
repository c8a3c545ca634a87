"""What a workflow writes into the story of its transfer; refusals, which anybody can cause without end, in measure."""

from datetime import datetime, timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.event_log import EventLogActivities
from domain import messages as m
from domain.errors import NotItsTransfer, WrongMoment
from domain.events import EventKind
from workflows import policies
from workflows.activity_calls import failed_with, is_cancel, perform
from workflows.progress import TransferProgress

# So many refusals are written one by one, and one more for each pause; what comes beyond that is counted. A line costs
# six events of a history, and each that is under way counts against the 2,000 that a workflow may have.
_ONE_BY_ONE: Final = 24
_ANOTHER_EACH: Final = timedelta(minutes=10)
_LONGEST_NAME: Final = 60


class TransferLog:
    """Writes lines into the event log of one transfer."""

    def __init__(self, progress: TransferProgress) -> None:
        self._progress = progress
        self._left = float(_ONE_BY_ONE)
        self._filled_at: datetime | None = None
        self.counted = 0
        """How many refusals have not been written down."""

    def remember(self) -> dict[str, Any]:
        """Return what the next run has to know."""
        return {
            "refusals_counted": self.counted,
            "refusals_left": self._left,
            "refusals_filled_at": self._filled_at,
        }

    def resume(self, memory: m.TransferMemory) -> None:
        """Go on where an earlier run stopped."""
        self.counted = memory.refusals_counted
        if memory.refusals_left is not None:
            self._left, self._filled_at = memory.refusals_left, memory.refusals_filled_at

    async def refuse(self, what: str, actor: str, why: str, code: str = WrongMoment.code()) -> None:
        """Write down what came at the wrong moment, or malformed; it is not remembered for later.

        Args:
            what: A signal's name, or `cancel`.
            actor: Who sent it, as far as it says so.
            why: What is wrong with it.
            code: The code of the error that it is.
        """
        self._progress.refuse(what, actor, why)
        if not self._may_write():
            self.counted += 1
            return
        self._left -= 1
        await self.tell_counted()
        kind = f"{what}_refused"
        if kind not in set(EventKind):
            kind, why = EventKind.SIGNAL_REFUSED, f"{what[:_LONGEST_NAME]}: {why}"
        await self.record(actor or "unknown", kind, why, code)

    async def tell_counted(self) -> None:
        """Write down how many refusals were counted since the last time, if any."""
        if counted := self.counted:
            self.counted = 0
            await self.record("sb-transfer", EventKind.REFUSALS_COUNTED, f"{counted} more were refused")

    def _may_write(self) -> bool:
        now = workflow.now()
        if self._filled_at is not None:
            self._left = min(float(_ONE_BY_ONE), self._left + (now - self._filled_at) / _ANOTHER_EACH)
        self._filled_at = now
        return self._left >= 1

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
                if failed_with(error, NotItsTransfer):
                    return None
            await workflow.sleep(policies.PAUSE_BETWEEN_ROUNDS, summary=f"before {kind} is written down again")
