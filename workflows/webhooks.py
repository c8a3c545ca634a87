"""Keeps deliverers of webhooks at work for as long as there are endpoints."""

import asyncio
from typing import Any, Final

from temporalio import workflow

from activities.webhooks import WebhookActivities
from domain.webhooks import WEBHOOKS_WORKFLOW, DeliverWebhooks, WebhooksDelivered
from workflows import policies
from workflows.activity_calls import perform
from workflows.refusals import asked
from workflows.renewal import REFUSED, grow, is_long
from workflows.unknown_signals import LeavesUnknownSignals

# In two processes, if there are two: when one of them dies the other goes on.
DELIVERERS: Final = 2
# Shifts of one run: a history of some thousand lines, once in about eight hours.
_SHIFTS: Final = 100


@workflow.defn(name=WEBHOOKS_WORKFLOW)
class WebhooksWorkflow(LeavesUnknownSignals):
    """Runs deliverers, shift after shift; ends when there is nobody to tell. Whoever registers an endpoint starts it.

    What has to be delivered, and whose turn it is, stands in the database: docs/decisions/0015-webhooks.md.
    """

    def __init__(self) -> None:
        self._asked = True
        self._newest = WebhooksDelivered(endpoints=0)

    @workflow.run
    async def run(self, *given: Any) -> WebhooksDelivered:
        """Deliver until no endpoint is left.

        Raises:
            ApplicationError: This is no order to deliver.
        """
        order = asked(given, DeliverWebhooks)
        for _ in range(_SHIFTS):
            self._asked = False
            shifts = [
                perform(WebhookActivities.deliver_webhooks, order, policies.WEBHOOKS, f"deliverer {number}")
                for number in range(1, DELIVERERS + 1)
            ]
            self._newest = _together(await asyncio.gather(*shifts))
            workflow.set_current_details(_details(self._newest))
            if not self._newest.endpoints and not self._asked:
                return self._newest
            if is_long():
                break
        return workflow.continue_as_new(order)

    @workflow.signal(description="An endpoint was registered or switched on.")
    def endpoint_added(self, *given: Any) -> None:  # noqa: ARG002 - whatever is sent, this is what it means
        """Go on, for there is somebody to tell."""
        grow(REFUSED)
        self._asked = True


def _together(shifts: list[WebhooksDelivered]) -> WebhooksDelivered:
    return WebhooksDelivered(
        endpoints=max(shift.endpoints for shift in shifts),
        delivered=sum(shift.delivered for shift in shifts),
        failed=sum(shift.failed for shift in shifts),
    )


def _details(newest: WebhooksDelivered) -> str:
    return (
        f"**{newest.endpoints}** endpoints are told of transfers. In the newest shift **{newest.delivered}** events "
        f"were delivered and **{newest.failed}** attempts failed. `GET /v1/webhooks` tells how each endpoint does."
    )
