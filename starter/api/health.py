"""Whether the process lives, and whether it can serve."""

from typing import Literal

from fastapi import APIRouter, Response

from adapters.observability.readiness import OK, Readiness, readiness
from domain.messages import Message
from starter.api.dependencies import ApiContext, Context


class Liveness(Message):
    """The process answers."""

    status: Literal["ok"] = "ok"


router = APIRouter(tags=["health"])


@router.get("/livez", summary="The process lives")
async def get_liveness() -> Liveness:
    """Answer, which is all that this proves."""
    return Liveness()


@router.get("/readyz", summary="The service can serve", responses={503: {"model": Readiness}})
async def get_readiness(context: Context, response: Response) -> Readiness:
    """Ask the database and Temporal; 503 when one does not answer or migrations are missing."""
    found = await readiness(context.pool, _temporal(context), context.key_ids)
    response.headers["Cache-Control"] = "no-store"
    if not found.ready:
        response.status_code = 503
    return found


async def _temporal(context: ApiContext) -> str:
    return OK if await context.client.temporal_answers() else "is not healthy"
