"""Looking into an environment for those who may not: callers have no right to read the books."""

from temporalio import activity

from domain import messages as m
from domain.ports import Previewer


class PreviewActivities:
    """Tells what a move will do; called by no workflow, but by whoever asks."""

    def __init__(self, previewer: Previewer) -> None:
        self._previewer = previewer

    @activity.defn
    async def preview_environment(self, order: m.PreviewEnvironment) -> m.Preview:
        return await self._previewer.preview(order.environment_id)
