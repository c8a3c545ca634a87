"""How an evening goes: for whoever keeps the service running, and for the platform's own pages."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path

from domain.authority import Action
from starter.api.dependencies import Context, CurrentCaller
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import refusals
from starter.api.responses import EveningView

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["evenings"])
Day = Annotated[
    date,
    Path(ge=date(2000, 1, 1), le=date(2199, 12, 31), description="the day on which the window opens, on its own clock"),
]


@router.get(
    "/evenings/{evening}", summary="How far an evening is, and when its last move will be ready", responses=refusals()
)
async def get_evening(evening: Day, caller: CurrentCaller, context: Context) -> EveningView:
    """Count the moves of an evening, before, during and after it; those of every licence."""
    context.require(caller, Action.AUDIT)
    return EveningView.model_validate(dict(await context.client.evening(evening)))
