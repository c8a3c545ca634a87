"""The manual's check lists: what to compare before the release and to do after it, ticked by name."""

from fastapi import APIRouter, Response

from domain import errors as e
from domain.authority import Action
from domain.checklist import Phase, checklist_of
from domain.events import EventKind
from domain.vocabulary import TransferState
from starter.api.dependencies import ApiContext, Context, CurrentCaller, actor_name
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import refusals
from starter.api.requests import NO_STORE, IdempotencyKey, TickBody, TransferId
from starter.api.responses import ChecklistLine, ChecklistView
from starter.http.problems import ReasonMissing

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["transfers"])


@router.get(
    "/transfers/{transfer_id}/checklist",
    summary="The manual's check lists",
    responses=refusals(e.TransferUnknown, e.WrongMoment),
)
async def get_checklist(
    transfer_id: TransferId, caller: CurrentCaller, context: Context, response: Response
) -> ChecklistView:
    """Return every point, and who has ticked it."""
    record = await context.transfer(caller, Action.COMPARE, transfer_id)
    response.headers.update(NO_STORE)
    return await _lists(context, record.transfer_id)


@router.post(
    "/transfers/{transfer_id}/checklist",
    summary="Tick a point, or clear it",
    responses=refusals(e.TransferUnknown, e.WrongMoment, ReasonMissing, repeats=True),
)
async def tick_checklist(
    transfer_id: TransferId, body: TickBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> ChecklistView:
    """Write down that a point was looked at or done, and by whom; what comes after the release waits for it."""
    record = await context.change(caller, Action.TICK, transfer_id, body.reason)
    point = next((one for one in checklist_of(record.scenario) if one.item is body.item), None)
    if point is None or (point.phase is Phase.AFTER_RELEASE and record.state is not TransferState.RELEASED):
        raise e.WrongMoment
    kind = EventKind.CHECK_TICKED if body.done else EventKind.CHECK_CLEARED
    await context.client.record_event(transfer_id, actor=actor_name(caller), kind=kind, item=body.item.value)
    return await _lists(context, transfer_id)


async def _lists(context: ApiContext, transfer_id: TransferId) -> ChecklistView:
    record = await context.queries.transfer(transfer_id)
    if record is None:
        raise e.TransferUnknown
    ticks = {one.item: one for one in await context.queries.ticks(transfer_id) if one.kind == EventKind.CHECK_TICKED}
    points = checklist_of(record.scenario)
    return ChecklistView(
        items=[
            ChecklistLine(
                item=point.item,
                phase=point.phase,
                ticked_by=ticks[point.item].actor if point.item in ticks else None,
                ticked_at=ticks[point.item].at if point.item in ticks else None,
            )
            for point in points
        ]
    )
