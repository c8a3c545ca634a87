"""The end of an old environment: "dan kan het vorige kantoor de oude klantomgeving verwijderen" (manual)."""

from uuid import UUID

from fastapi import APIRouter, Response

from domain import errors as e
from domain.authority import Action
from starter.api.dependencies import Context, CurrentCaller, actor_name
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import LOCATION, refusals
from starter.api.requests import NO_STORE, IdempotencyKey, ReasonBody
from starter.api.responses import CalledBackView, RetirementStandingView, RetirementView
from starter.http.problems import ReasonMissing

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["environments"])


@router.post(
    "/environments/{environment_id}/retirement",
    status_code=202,
    summary="Remove an old environment after a while",
    responses={
        **refusals(
            e.EnvironmentUnknown,
            e.NotMovedAway,
            e.StillForwarded,
            e.StillInTransfer,
            e.AlreadyRetired,
            ReasonMissing,
            repeats=True,
        ),
        202: {"description": "Planned. The events of the transfer at `Location` tell what comes.", "headers": LOCATION},
    },
)
async def retire_environment(
    environment_id: UUID,
    body: ReasonBody,
    caller: CurrentCaller,
    context: Context,
    response: Response,
    _: IdempotencyKey,
) -> RetirementView:
    """Tell both sides, and drop what is left of the environment at `due_at`, unless it is called back until then."""
    await context.environment(caller, Action.RETIRE, environment_id)
    context.require_reason(caller, Action.RETIRE, body.reason)
    await context.limit_rate(caller, {f"retirement of {environment_id}": context.limits.changes})
    planned = await context.client.retire(str(environment_id), by=actor_name(caller), reason=body.reason)
    response.headers["Location"] = f"/v1/transfers/{planned.transfer_id}"
    return RetirementView(environment_id=environment_id, transfer_id=planned.transfer_id, due_at=planned.due_at)


@router.get(
    "/environments/{environment_id}/retirement",
    summary="How far the end of an old environment is",
    responses=refusals(e.EnvironmentUnknown),
)
async def get_retirement(
    environment_id: UUID, caller: CurrentCaller, context: Context, response: Response
) -> RetirementStandingView:
    """Tell whether an environment is to be removed and when, or was."""
    await context.environment(caller, Action.SEE, environment_id)
    response.headers.update(NO_STORE)
    return RetirementStandingView(
        environment_id=environment_id, **dict(await context.queries.retirement(environment_id))
    )


@router.post(
    "/environments/{environment_id}/retirement/call-back",
    summary="Keep an old environment after all",
    responses=refusals(e.EnvironmentUnknown, e.WrongMoment, ReasonMissing, repeats=True),
)
async def call_back_retirement(
    environment_id: UUID, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> CalledBackView:
    """Call a planned removal back, while its environment is still there."""
    await context.environment(caller, Action.RETIRE, environment_id)
    context.require_reason(caller, Action.RETIRE, body.reason)
    await context.limit_rate(caller, {f"retirement of {environment_id}": context.limits.changes})
    await context.client.call_back(str(environment_id), by=actor_name(caller), reason=body.reason)
    return CalledBackView(environment_id=environment_id)
