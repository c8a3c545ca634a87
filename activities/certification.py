"""Hashing what was frozen, certifying what was opened, and looking once more before the release."""

from functools import partial

from temporalio import activity

from activities.heartbeat import heartbeats
from domain import messages as m
from domain.ports import Certifier, SightBoard
from domain.steps import ActivityName, StepName


class CertificationActivities:
    """What makes sure that nothing changes unseen between the freeze and the release."""

    def __init__(self, certifier: Certifier, board: SightBoard) -> None:
        self._certifier = certifier
        self._board = board

    @activity.defn(name=ActivityName.HASH_FROZEN)
    async def hash_frozen(self, order: m.HashFrozen) -> m.FrozenHashed:
        async with heartbeats(StepName.HASH, partial(self._board.show, order.transfer_id)) as report:
            return await self._certifier.hash_frozen(order, report)

    @activity.defn(name=ActivityName.ISSUE_CERTIFICATE)
    async def issue_certificate(self, order: m.IssueCertificate) -> m.CertificateIssued:
        async with heartbeats(StepName.CERTIFY, partial(self._board.show, order.transfer_id)) as report:
            return await self._certifier.certify(order, report)

    @activity.defn(name=ActivityName.CHECK_UNCHANGED)
    async def check_unchanged(self, order: m.CheckUnchanged) -> m.UnchangedChecked:
        async with heartbeats(StepName.CHECK, partial(self._board.show, order.transfer_id)) as report:
            return await self._certifier.check(order, report)
