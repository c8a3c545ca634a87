"""Reading what came under a key that was not there."""

from temporalio import activity

from domain import messages as m
from domain.ports import PayloadOpener
from domain.running import OPEN_PAYLOAD


class PayloadActivities:
    """Opens what a workflow could not read."""

    def __init__(self, opener: PayloadOpener) -> None:
        self._opener = opener

    @activity.defn(name=OPEN_PAYLOAD)
    async def open_payload(self, order: m.OpenPayload) -> m.PayloadOpened:
        return await self._opener.open(order)
