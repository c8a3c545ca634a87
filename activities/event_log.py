"""Writing the story of a transfer."""

from temporalio import activity

from activities.caller import CANCEL, sent_by
from domain import messages as m
from domain.events import EventKind
from domain.ports import TransferEventLog
from domain.steps import ActivityName
from domain.vocabulary import UndoReason

_UNDOES = {UndoReason.REJECTED: "reject", UndoReason.CANCELLED: CANCEL}
_DOES = {
    EventKind.START_NOW: "start_now",
    EventKind.MAIL_RESEND_REQUESTED: "resend_mail",
    EventKind.HURRIED: "hurry",
}
_REFUSED = "_refused"


class EventLogActivities:
    """Keeps the append-only story, and marks the beginning and the end of an undo."""

    def __init__(self, log: TransferEventLog) -> None:
        self._log = log

    @activity.defn(name=ActivityName.RECORD_EVENT)
    async def record_event(self, order: m.RecordEvent) -> None:
        signal = _signal_told(order)
        await self._log.record(order.model_copy(update={"sent_by": await sent_by(signal)}) if signal else order)

    @activity.defn(name=ActivityName.BEGIN_UNDO)
    async def begin_undo(self, order: m.BeginUndo) -> None:
        asked = _UNDOES.get(order.reason)
        await self._log.begin_undo(order.model_copy(update={"sent_by": await sent_by(asked)}) if asked else order)

    @activity.defn(name=ActivityName.FINISH_UNDO)
    async def finish_undo(self, order: m.FinishUndo) -> None:
        await self._log.finish_undo(order)


def _signal_told(order: m.RecordEvent) -> str:
    """Return which signal or update an event tells of, or a cancel; nothing for what nobody sent."""
    if order.kind == EventKind.SIGNAL_REFUSED:
        return order.reason.partition(":")[0]
    if order.kind.endswith(_REFUSED):
        return order.kind.removesuffix(_REFUSED)
    return next((name for kind, name in _DOES.items() if kind == order.kind), "")
