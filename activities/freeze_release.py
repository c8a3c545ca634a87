"""Freezing, unfreezing, opening and releasing an environment."""

from temporalio import activity

from activities.caller import sent_by, started_by
from domain import messages as m
from domain.ports import EnvironmentAccess
from domain.steps import ActivityName


class FreezeReleaseActivities:
    """Shuts and opens environments to writers."""

    def __init__(self, gate: EnvironmentAccess) -> None:
        self._gate = gate

    @activity.defn(name=ActivityName.FREEZE_ENVIRONMENT)
    async def freeze_environment(self, order: m.FreezeEnvironment) -> m.EnvironmentFrozen:
        return await self._gate.freeze(order.model_copy(update={"started_by": await started_by()}))

    @activity.defn(name=ActivityName.UNFREEZE_ENVIRONMENT)
    async def unfreeze_environment(self, order: m.UnfreezeEnvironment) -> None:
        await self._gate.unfreeze(order)

    @activity.defn(name=ActivityName.OPEN_FOR_INSPECTION)
    async def open_for_inspection(self, order: m.OpenForInspection) -> m.OpenedForInspection:
        return await self._gate.open_for_inspection(order)

    @activity.defn(name=ActivityName.RELEASE_ENVIRONMENT)
    async def release_environment(self, order: m.ReleaseEnvironment) -> m.EnvironmentReleased:
        return await self._gate.release(order.model_copy(update={"sent_by": await sent_by("release")}))

    @activity.defn(name=ActivityName.CLOSE_MAILBOX_FORWARDING)
    async def close_mailbox_forwarding(self, order: m.CloseMailboxForwarding) -> None:
        await self._gate.close_forwarding(order)
