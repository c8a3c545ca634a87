"""The platform's entrance for mail and scans: what comes while an environment moves is kept, and never lost."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from adapters.inbox.entrance import LARGEST_ITEM_BYTES, PostgresEntrance
from domain import errors as e
from domain.authority import Action
from starter.api.dependencies import Context, CurrentCaller
from starter.api.openapi import refusals
from starter.api.requests import NO_STORE, MailDelivery, ScanDelivery, TransferId
from starter.api.responses import DeliveryView, HeldAnywherePage, HeldItemsView, held_anywhere_view, held_view
from starter.http.problems import ItemTooLarge, NotAllowed
from starter.http.strict_query import StrictQueryRoute

# No IdempotentRoute: an item is its own key.
router = APIRouter(prefix="/v1", route_class=StrictQueryRoute, tags=["deliveries"])
_MOST = 500


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


@router.get(
    "/transfers/{transfer_id}/held-items",
    summary="Mail and scans that wait for the end of a transfer",
    responses=refusals(e.TransferUnknown),
)
async def list_held_items(  # noqa: PLR0917 - FastAPI names them
    transfer_id: TransferId,
    caller: CurrentCaller,
    context: Context,
    response: Response,
    after: Annotated[int, Query(ge=0, lt=2**63, description="`next_after` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
) -> HeldItemsView:
    """Return what came while the environment moved, in its order: the release or the undo puts it in. No contents."""
    record = await context.transfer(caller, Action.SEE_HELD, transfer_id)
    response.headers.update(NO_STORE)
    found = await context.queries.held_items(transfer_id, after=after, limit=limit + 1)
    return held_view(found, limit, record, caller)


@router.get("/held-items", summary="Mail and scans that wait for the end of any transfer", responses=refusals())
async def list_all_held_items(
    caller: CurrentCaller,
    context: Context,
    response: Response,
    after: Annotated[int, Query(ge=0, lt=2**63, description="`next_after` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
) -> HeldAnywherePage:
    """Return what came for environments that moved, in its order, of all licences. No contents."""
    context.require(caller, Action.SEE_HELD)
    if not caller.sees_everything():
        raise NotAllowed
    response.headers.update(NO_STORE)
    return held_anywhere_view(await context.queries.all_held_items(after=after, limit=limit + 1), limit)
