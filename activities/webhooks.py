"""Telling endpoints what happens to transfers."""

from datetime import timedelta
from typing import Final

from temporalio import activity

from activities.heartbeat import heartbeats
from domain.ports import WebhookDeliverer
from domain.webhooks import DELIVER_WEBHOOKS, DeliverWebhooks, WebhooksDelivered

# Short, so that a history that grows by a few lines with each is renewed once in hours.
SHIFT: Final = timedelta(minutes=5)


class WebhookActivities:
    """Delivers events; part of no transfer's own story."""

    def __init__(self, deliverer: WebhookDeliverer, shift: timedelta = SHIFT) -> None:
        self._deliverer = deliverer
        self._shift = shift

    @activity.defn(name=DELIVER_WEBHOOKS)
    async def deliver_webhooks(self, order: DeliverWebhooks) -> WebhooksDelivered:  # noqa: ARG002 - each has one message
        async with heartbeats():
            return await self._deliverer.deliver(self._shift, activity.is_worker_shutdown)
