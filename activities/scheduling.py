"""Putting a start off to another evening."""

from temporalio import activity

from activities.caller import sent_by
from domain import messages as m
from domain.ports import EveningPlanner
from domain.steps import ActivityName


class SchedulingActivities:
    """Takes an evening back that did not suffice, and plans one that somebody chose."""

    def __init__(self, planner: EveningPlanner) -> None:
        self._planner = planner

    @activity.defn(name=ActivityName.POSTPONE_START)
    async def postpone_start(self, order: m.PostponeStart) -> m.StartPlanned:
        return await self._planner.postpone(order)

    @activity.defn(name=ActivityName.RESCHEDULE_START)
    async def reschedule_start(self, order: m.RescheduleStart) -> m.StartPlanned:
        return await self._planner.reschedule(order.model_copy(update={"sent_by": await sent_by("reschedule")}))
