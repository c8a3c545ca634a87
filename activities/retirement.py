"""Planning, calling back and carrying out the end of an old environment."""

from temporalio import activity

from activities.caller import sent_by, started_by
from activities.heartbeat import heartbeats
from domain import messages as m
from domain.ports import Retirements


class RetirementActivities:
    """Removes old environments."""

    def __init__(self, retirements: Retirements) -> None:
        self._retirements = retirements

    @activity.defn
    async def plan_retirement(self, order: m.RetirementInput) -> m.RetirementPlanned:
        return await self._retirements.plan(order.model_copy(update={"started_by": await started_by()}))

    @activity.defn
    async def call_back_retirement(self, order: m.EndRetirement) -> bool:
        return await self._retirements.call_back(order.model_copy(update={"sent_by": await sent_by("call_back")}))

    @activity.defn
    async def retire_environment(self, order: m.EndRetirement) -> m.RetirementResult:
        async with heartbeats():
            return await self._retirements.retire(order)
