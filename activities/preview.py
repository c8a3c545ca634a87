"""Looking into an environment for those who may not: callers have no right to read the books."""

from temporalio import activity

from activities.heartbeat import heartbeats
from domain import messages as m
from domain.ports import Auditor, Previewer


class PreviewActivities:
    """Tells what a move will do, and writes books down; called by no workflow, but by whoever asks."""

    def __init__(self, previewer: Previewer, auditor: Auditor) -> None:
        self._previewer = previewer
        self._auditor = auditor

    @activity.defn
    async def preview_environment(self, order: m.PreviewEnvironment) -> m.Preview:
        async with heartbeats():
            return await self._previewer.preview(order.environment_id)

    @activity.defn
    async def write_auditfile(self, order: m.WriteAuditfile) -> m.AuditfileWritten:
        async with heartbeats():
            return await self._auditor.write(order)
