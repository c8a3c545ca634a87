"""Writing the story of a transfer."""

from temporalio import activity

from domain import messages as m
from domain.ports import TransferEventLog
from domain.steps import ActivityName


class EventLogActivities:
    """Keeps the append-only story, and marks the beginning and the end of an undo."""

    def __init__(self, log: TransferEventLog) -> None:
        self._log = log

    @activity.defn(name=ActivityName.RECORD_EVENT)
    async def record_event(self, order: m.RecordEvent) -> None:
        await self._log.record(order)

    @activity.defn(name=ActivityName.BEGIN_UNDO)
    async def begin_undo(self, order: m.BeginUndo) -> None:
        await self._log.begin_undo(order)

    @activity.defn(name=ActivityName.FINISH_UNDO)
    async def finish_undo(self, order: m.FinishUndo) -> None:
        await self._log.finish_undo(order)
