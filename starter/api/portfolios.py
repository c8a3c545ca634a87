"""Many environments to one licence: a dry run for all first, then the ordinary transfers."""

import json
from typing import Annotated, Literal
from uuid import UUID, uuid5

from fastapi import APIRouter, Query, Response

from domain import errors as e
from domain.authority import Action, Caller
from domain.portfolio import MovePortfolio, PortfolioPage, PortfolioStanding
from starter.api.dependencies import ApiContext, Context, CurrentCaller, actor_name
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import TICKET_FILE, refusals
from starter.api.requests import (
    NO_STORE,
    IdempotencyKey,
    PortfolioBody,
    PortfolioId,
    PortfolioListQuery,
    PortfolioQuery,
    ReasonBody,
    RejectItemBody,
    RetryBody,
)
from starter.client.tickets_file import tickets_file
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
        **refusals(e.EnvironmentUnknown, e.LicenceUnknown, e.EveningInvalid, ReasonMissing, repeats=True),
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
        uploads=body.upload,
        created_by=f"{actor_name(caller)}: {body.reason}" if body.reason else actor_name(caller),
    )
    await context.client.lead_portfolio(MovePortfolio(portfolio_id=named, at_once=body.at_once, begin=body.begin))
    response.headers["Location"] = f"/v1/portfolios/{named}"
    return await context.portfolios.standing(named)


@router.get("/portfolios", summary="List portfolios, from new to old", responses=refusals())
async def list_portfolios(
    caller: CurrentCaller, context: Context, wanted: Annotated[PortfolioListQuery, Query()]
) -> PortfolioPage:
    """Return a page of portfolios, each with how many of its environments are in which state."""
    context.require(caller, Action.SEE_PORTFOLIO)
    found = await context.portfolios.listed(after=wanted.cursor, limit=wanted.limit + 1)
    page = found[: wanted.limit]
    more = len(found) > wanted.limit
    return PortfolioPage(items=tuple(page), next_cursor=page[-1].portfolio_id if more else None)


@router.get("/portfolios/{portfolio_id}", summary="Where a portfolio stands", responses=refusals(e.PortfolioUnknown))
async def get_portfolio(
    portfolio_id: PortfolioId, caller: CurrentCaller, context: Context, wanted: Annotated[PortfolioQuery, Query()]
) -> PortfolioStanding:
    """Return how many are in which state, and a page of its environments with what is wrong with each."""
    context.require(caller, Action.SEE_PORTFOLIO)
    return await context.portfolios.standing(portfolio_id, after=wanted.after, limit=wanted.limit, state=wanted.state)


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
    portfolio_id: PortfolioId, body: RetryBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> PortfolioStanding:
    """Look once more at what was refused, or at one item, and move what can be moved now."""
    return await _decide(context, caller, portfolio_id, "retry", body.reason, number=body.number)


@router.post(
    "/portfolios/{portfolio_id}/reject",
    summary="Undo one item after comparing",
    responses=refusals(e.PortfolioUnknown, e.WrongMoment, e.AlreadyReleased, ReasonMissing, repeats=True),
)
async def reject_portfolio_item(
    portfolio_id: PortfolioId, body: RejectItemBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> PortfolioStanding:
    """Reject the environment of one item, which awaits its release: its transfer is undone, all others go on."""
    context.require(caller, Action.MOVE_PORTFOLIO)
    transfer_id = await context.portfolios.transfer_of(portfolio_id, body.number)
    await context.change(caller, Action.REJECT, transfer_id, body.reason)
    await context.client.reject(str(transfer_id), by=actor_name(caller), reason=body.reason)
    return await context.portfolios.standing(portfolio_id, after=body.number - 1, limit=1)


@router.post("/portfolios/{portfolio_id}/cancel", summary="Cancel what has not begun", responses=_DECIDED)
async def cancel_portfolio(
    portfolio_id: PortfolioId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> PortfolioStanding:
    """Begin nothing more, and undo what is not being cloned yet."""
    return await _decide(context, caller, portfolio_id, "cancel_rest", body.reason)


@router.post(
    "/portfolios/{portfolio_id}/tickets",
    summary="Make the tickets as one file",
    response_class=Response,
    responses={
        **_DECIDED,
        200: {
            "content": {TICKET_FILE: {"schema": {"type": "string", "format": "binary", "title": "Tickets"}}},
            "description": "A zip of ticket files, each with its number before its name.",
        },
    },
)
async def make_portfolio_tickets(
    portfolio_id: PortfolioId, body: ReasonBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> Response:
    """Return the tickets that the new side has to upload, as a zip; those that were made before stop working."""
    context.require(caller, Action.MOVE_PORTFOLIO)
    await context.portfolios.standing(portfolio_id, limit=1)
    context.require_reason(caller, Action.MOVE_PORTFOLIO, body.reason)
    waiting = await context.portfolios.waiting_for_upload(portfolio_id)
    by = f"{actor_name(caller)}: {body.reason}" if body.reason else actor_name(caller)
    content = await tickets_file(context.client, waiting, by=by)
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="{portfolio_id}-overdracht-tickets.zip"'}
    return Response(content, media_type=TICKET_FILE, headers=headers)


async def _decide(
    context: ApiContext,
    caller: Caller,
    portfolio_id: UUID,
    decision: Literal["begin", "release_equal", "retry", "cancel_rest"],
    reason: str,
    *,
    number: int | None = None,
) -> PortfolioStanding:
    context.require(caller, Action.MOVE_PORTFOLIO)
    standing = await context.portfolios.standing(portfolio_id)
    context.require_reason(caller, Action.MOVE_PORTFOLIO, reason)
    by = f"{actor_name(caller)}: {reason}" if reason else actor_name(caller)
    await context.client.tell_portfolio(portfolio_id, decision, by=by, number=number)
    return standing
