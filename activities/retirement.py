"""Planning, calling back and carrying out the end of an old environment."""

from temporalio import activity

from activities.heartbeat import heartbeats
from domain import messages as m
from domain.ports import Retirements


class RetirementActivities:
    """Removes old environments."""

    def __init__(self, retirements: Retirements) -> None:
        self._retirements = retirements

    @activity.defn
    async def plan_retirement(self, order: m.RetirementInput) -> m.RetirementPlanned:
        return await self._retirements.plan(order)

    @activity.defn
    async def call_back_retirement(self, order: m.EndRetirement) -> bool:
        return await self._retirements.call_back(order)

    @activity.defn
    async def retire_environment(self, order: m.EndRetirement) -> m.RetirementResult:
        async with heartbeats():
            return await self._retirements.retire(order)
