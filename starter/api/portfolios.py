"""Many environments to one licence: a dry run for all first, then the ordinary transfers."""

import json
from typing import Annotated, Literal
from uuid import UUID, uuid5

from fastapi import APIRouter, Query, Response

from domain import errors as e
from domain.authority import Action, Caller
from domain.portfolio import MovePortfolio, PortfolioStanding
from starter.api.dependencies import ApiContext, Context, CurrentCaller, actor_name
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import refusals
from starter.api.requests import IdempotencyKey, PortfolioBody, PortfolioId, PortfolioQuery, ReasonBody
from starter.http.problems import ReasonMissing

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["portfolios"])
# Names a portfolio by who asked for it with which key: a repetition finds what an unanswered request has begun.
_REQUESTS = UUID("3c9e7f0a-2d5b-5c41-8a7e-9b0f4d6e1a35")
_DECIDED = refusals(e.PortfolioUnknown, e.WrongMoment, ReasonMissing, repeats=True)
_LOCATION = {"Location": {"description": "Where its state can be asked.", "schema": {"type": "string"}}}


@router.post(
    "/portfolios",
    status_code=202,
    summary="Move many environments to one licence: look at all of them first",
    responses={
        **refusals(e.EnvironmentUnknown, e.LicenceUnknown, ReasonMissing, repeats=True),
        202: {
            "description": "It is being looked at. Ask `Location` until nothing is `waiting`, then begin.",
            "headers": _LOCATION,
        },
    },
)
async def create_portfolio(
    body: PortfolioBody, caller: CurrentCaller, context: Context, response: Response, key: IdempotencyKey
) -> PortfolioStanding:
    """Look whether each environment could move, and why not; `begin` moves those that can."""
    context.require(caller, Action.MOVE_PORTFOLIO)
    context.require_reason(caller, Action.MOVE_PORTFOLIO, body.reason)
    if await context.queries.licence_kind(body.licence) is None:
        raise e.LicenceUnknown
    named = uuid5(_REQUESTS, json.dumps([caller.subject, key]))
    await context.portfolios.create(
        named,
        licence=body.licence,
        environments=body.environments,
        from_licence=body.from_licence,
        name_pattern=body.name_pattern,
        first_evening=body.first_evening,
        per_night=body.per_night,
        created_by=f"{actor_name(caller)}: {body.reason}" if body.reason else actor_name(caller),
    )
    await context.client.lead_portfolio(MovePortfolio(portfolio_id=named, at_once=body.at_once, begin=body.begin))
    response.headers["Location"] = f"/v1/portfolios/{named}"
    return await context.portfolios.standing(named)


@router.get("/portfolios/{portfolio_id}", summary="Where a portfolio stands", responses=refusals(e.PortfolioUnknown))
async def get_portfolio(
    portfolio_id: PortfolioId, caller: CurrentCaller, context: Context, wanted: Annotated[PortfolioQuery, Query()]
) -> PortfolioStanding:
    """Return how many are in which state, and a page of its environments with what is wrong with each."""
    context.require(caller, Action.SEE_PORTFOLIO)
    return await context.portfolios.standing(portfolio_id, after=wanted.after, limit=wanted.limit)


@router.post("/portfolios/{portfolio_id}/begin", summary="Move all that can be moved", responses=_DECIDED)
async def begin_portfolio(
    portfolio_id: PortfolioId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> PortfolioStanding:
    """Go on after the dry run."""
    return await _decide(context, caller, portfolio_id, "begin", body.reason)


@router.post("/portfolios/{portfolio_id}/release", summary="Release all that are equal", responses=_DECIDED)
async def release_portfolio(
    portfolio_id: PortfolioId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> PortfolioStanding:
    """Release every environment that awaits it and in which the comparison found no difference."""
    return await _decide(context, caller, portfolio_id, "release_equal", body.reason)


@router.post("/portfolios/{portfolio_id}/retry", summary="Try again what was refused", responses=_DECIDED)
async def retry_portfolio(
    portfolio_id: PortfolioId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> PortfolioStanding:
    """Look once more at what was refused, and move what can be moved now."""
    return await _decide(context, caller, portfolio_id, "retry", body.reason)


@router.post("/portfolios/{portfolio_id}/cancel", summary="Cancel what has not begun", responses=_DECIDED)
async def cancel_portfolio(
    portfolio_id: PortfolioId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> PortfolioStanding:
    """Begin nothing more, and undo what is not being cloned yet."""
    return await _decide(context, caller, portfolio_id, "cancel_rest", body.reason)


async def _decide(
    context: ApiContext,
    caller: Caller,
    portfolio_id: UUID,
    decision: Literal["begin", "release_equal", "retry", "cancel_rest"],
    reason: str,
) -> PortfolioStanding:
    context.require(caller, Action.MOVE_PORTFOLIO)
    standing = await context.portfolios.standing(portfolio_id)
    context.require_reason(caller, Action.MOVE_PORTFOLIO, reason)
    by = f"{actor_name(caller)}: {reason}" if reason else actor_name(caller)
    await context.client.tell_portfolio(portfolio_id, decision, by=by)
    return standing
