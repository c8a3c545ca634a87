"""The platform's entrance for mail and scans: what comes while an environment moves is kept, and never lost."""

from fastapi import APIRouter, Response

from adapters.inbox.entrance import LARGEST_ITEM_BYTES, PostgresEntrance
from domain.authority import Action
from starter.api.dependencies import Context, CurrentCaller
from starter.api.openapi import refusals
from starter.api.requests import NO_STORE, MailDelivery, ScanDelivery
from starter.api.responses import DeliveryView
from starter.http.problems import ItemTooLarge

# No IdempotentRoute: an item is its own key.
router = APIRouter(prefix="/v1", tags=["deliveries"])


@router.post("/deliveries", summary="Deliver a mail or a scan", responses=refusals(ItemTooLarge))
async def deliver_item(
    item: MailDelivery | ScanDelivery, caller: CurrentCaller, context: Context, response: Response
) -> DeliveryView:
    """Put an item where its address leads, or hold it while that environment moves; once, however often it is sent.

    `delivered`: it is in the environment. `held`: it will be. `duplicate`: it was taken in before. `closed`: the
    address belongs to nobody any more. `unknown`: it never did. Refuse the last two to the sender (550 5.1.1).
    """
    context.require(caller, Action.DELIVER)
    entrance = PostgresEntrance(context.pool)
    content = item.raw if isinstance(item, MailDelivery) else item.content
    if len(content) > LARGEST_ITEM_BYTES:
        raise ItemTooLarge
    if isinstance(item, MailDelivery):
        outcome = await entrance.mail(item.address, item.message_id, item.raw, item.received_at)
    else:
        outcome = await entrance.scan(item.address, item.document_id, item.name, item.content, item.received_at)
    response.headers.update(NO_STORE)
    return DeliveryView(outcome=outcome)
