"""Looking for what is half-moved, and putting it right."""

from temporalio import activity

from activities.heartbeat import heartbeats
from domain.ports import Inspector, Repairer
from domain.reconciliation import (
    Findings,
    FindingsPage,
    Healing,
    Inspect,
    ReadFindings,
    ReadStanding,
    ReconcileActivityName,
    Repair,
    Standing,
)


class ReconcileActivities:
    """Inspects and heals; not part of any transfer's own story."""

    def __init__(self, inspector: Inspector, repairer: Repairer) -> None:
        self._inspector = inspector
        self._repairer = repairer

    @activity.defn(name=ReconcileActivityName.INSPECT_EVERYTHING)
    async def inspect_everything(self, order: Inspect) -> Findings:
        async with heartbeats():
            return await self._inspector.inspect(order)

    @activity.defn(name=ReconcileActivityName.READ_FINDINGS)
    async def read_findings(self, order: ReadFindings) -> FindingsPage:
        return await self._inspector.findings(order)

    @activity.defn(name=ReconcileActivityName.READ_STANDING)
    async def read_standing(self, order: ReadStanding) -> Standing:
        return await self._repairer.standing(order)

    @activity.defn(name=ReconcileActivityName.REPAIR)
    async def repair(self, order: Repair) -> Healing:
        return await self._repairer.repair(order)
