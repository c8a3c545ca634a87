"""What the move changes in the new environment, and the comparison that people are asked to make."""

from temporalio import activity

from activities.heartbeat import heartbeats
from domain import messages as m
from domain.ports import TargetSetup
from domain.steps import ActivityName


class TargetSetupActivities:
    """Brings the new environment into the state that the manual describes."""

    def __init__(self, desk: TargetSetup) -> None:
        self._desk = desk

    @activity.defn(name=ActivityName.RECONNECT_BANKS)
    async def reconnect_banks(self, order: m.ReconnectBanks) -> m.BanksReconnected:
        return await self._desk.reconnect_banks(order)

    @activity.defn(name=ActivityName.APPLY_CONSEQUENCES)
    async def apply_consequences(self, order: m.ApplyConsequences) -> m.ConsequencesApplied:
        return await self._desk.apply_consequences(order)

    @activity.defn(name=ActivityName.COMPARE_ENVIRONMENTS)
    async def compare_environments(self, order: m.CompareEnvironments) -> m.ComparisonSummary:
        async with heartbeats():
            return await self._desk.compare(order)
