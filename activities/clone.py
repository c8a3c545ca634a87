"""Copying an environment, proving the copy, and taking it away again."""

from functools import partial

from temporalio import activity

from activities.heartbeat import heartbeats
from domain import messages as m
from domain.ports import CloneEngine, SightBoard, Verifier
from domain.steps import ActivityName, StepName


class CloneActivities:
    """The heavy database work."""

    def __init__(self, engine: CloneEngine, verifier: Verifier, board: SightBoard) -> None:
        self._engine = engine
        self._verifier = verifier
        self._board = board

    @activity.defn(name=ActivityName.CLONE_ADMINISTRATIONS)
    async def clone_administrations(self, order: m.CloneAdministrations) -> m.CloneFinished:
        async with heartbeats(StepName.CLONE, partial(self._board.show, order.transfer_id)) as report:
            return await self._engine.clone(order, report, activity.is_worker_shutdown)

    @activity.defn(name=ActivityName.VERIFY_CLONE)
    async def verify_clone(self, order: m.VerifyClone) -> m.Verification:
        async with heartbeats(StepName.VERIFY, partial(self._board.show, order.transfer_id)) as report:
            return await self._verifier.verify(order, report)

    @activity.defn(name=ActivityName.DROP_CLONE)
    async def drop_clone(self, order: m.DropClone) -> None:
        async with heartbeats():
            await self._engine.drop(order)
