"""Who is told of transfers: webhooks, and the feed for those who ask or have missed something."""

import json
from typing import Annotated
from uuid import UUID, uuid5

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, Field

from adapters.webhooks.endpoints import Endpoint
from domain import errors as e
from domain.authority import Action, Caller
from domain.webhooks import CloudEvent, DisabledBecause
from starter.api.dependencies import ApiContext, Context, CurrentCaller, actor_name
from starter.api.idempotency import IdempotentRoute
from starter.api.openapi import refusals
from starter.api.requests import (
    NO_STORE,
    EventQuery,
    IdempotencyKey,
    RedeliverBody,
    WebhookBody,
    WebhookChanges,
    WebhookId,
    WebhookQuery,
)
from starter.api.responses import View

router = APIRouter(prefix="/v1", route_class=IdempotentRoute, tags=["events"])
# Names an endpoint by who asked for it with which key: a repetition finds what an unanswered request has made.
_REQUESTS = UUID("8d0d2f0c-5f0e-5a53-9d1b-6a2f6b0c7e21")
_OF_ONE = refusals(e.WebhookUnknown)


class EventPage(View):
    """Events in the order in which they became readable, and where to go on."""

    items: list[CloudEvent]
    after: int = Field(description="for the next page; keep it, and nothing is missed")
    more: bool = Field(description="whether there may be more by now")


class WebhookView(View):
    """An endpoint, and how its deliveries go."""

    webhook_id: UUID
    url: str
    licence: str | None = Field(description="whose half is told; null for everything")
    types: list[str] = Field(description="only events of these types; all when empty")
    description: str
    enabled: bool
    disabled_because: DisabledBecause | None = Field(
        description="`gave_up`: it took an event for three days not; `gone`: it answered 410; `by_hand`"
    )
    disabled_at: AwareDatetime | None
    failing_since: AwareDatetime | None = Field(description="since when an event waits that it does not take")
    last_problem: str | None = Field(description="a code such as `status_500`, `timed_out` or `address_inside`")
    last_delivered_at: AwareDatetime | None
    next_attempt_at: AwareDatetime | None = Field(description="when what waits is tried again")
    pending: int = Field(description="events that wait, a thousand at most; the rest waits in the log")
    previous_secret_until: AwareDatetime | None = Field(description="until when two secrets sign")
    created_at: AwareDatetime


class WebhookSecret(WebhookView):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(description="`whsec_` and base64: check `webhook-signature` with it (Standard Webhooks)")


class WebhookPage(View):
    """Webhooks by their id."""

    items: list[WebhookView]
    next_cursor: UUID | None = Field(description="for the next page; null on the last one")


@router.get("/events", summary="What happened to transfers, from a position on", responses=refusals())
async def list_all_events(caller: CurrentCaller, context: Context, wanted: Annotated[EventQuery, Query()]) -> EventPage:
    """Return the next events; a licence's users hear of their own half."""
    context.require(caller, Action.SEE)
    licence = caller.licence_number if caller.is_bound_to_licence else None
    page = await context.feed.page(after=wanted.after, limit=wanted.limit, licence=licence, types=wanted.type)
    return EventPage(items=list(page.events), after=page.after, more=page.more)


@router.get("/webhooks", summary="List webhooks", responses=refusals())
async def list_webhooks(
    caller: CurrentCaller, context: Context, wanted: Annotated[WebhookQuery, Query()]
) -> WebhookPage:
    """Return a page of webhooks; a licence's users meet their own only."""
    context.require(caller, Action.SEE_WEBHOOKS)
    licence, bound = wanted.licence, caller.is_bound_to_licence
    if bound and licence not in (None, caller.licence_number):
        return WebhookPage(items=[], next_cursor=None)
    found = await context.webhooks.listed(
        licence=caller.licence_number if bound else licence,
        everything=not bound,
        after=wanted.cursor,
        limit=wanted.limit + 1,
    )
    page = found[: wanted.limit]
    return WebhookPage(
        items=[_view(one) for one in page],
        next_cursor=page[-1].webhook_id if len(found) > wanted.limit else None,
    )


@router.post(
    "/webhooks",
    status_code=201,
    summary="Register a webhook",
    responses=refusals(e.WebhookUrlRefused, e.TooManyWebhooks, repeats=True),
)
async def create_webhook(
    body: WebhookBody, caller: CurrentCaller, context: Context, response: Response, key: IdempotencyKey
) -> WebhookSecret:
    """Register an endpoint and show its secret, which is kept sealed; a repetition shows another for the same one."""
    context.require(caller, Action.CHANGE_WEBHOOKS)
    licence = body.licence or (caller.licence_number if caller.is_bound_to_licence else None)
    if not caller.may_for_licence(Action.CHANGE_WEBHOOKS, licence):
        raise e.WebhookUnknown
    await _limit(context, caller)
    named = uuid5(_REQUESTS, json.dumps([caller.subject, key, body.url, licence]))
    endpoint, secret = await context.webhooks.register(
        named,
        licence=licence,
        url=body.url,
        types=body.types,
        description=body.description,
        created_by=actor_name(caller),
        after=body.after,
    )
    await context.client.deliver_webhooks()
    response.headers.update(NO_STORE)
    return _shown(endpoint, secret)


@router.get("/webhooks/{webhook_id}", summary="How a webhook's deliveries go", responses=_OF_ONE)
async def get_webhook(webhook_id: WebhookId, caller: CurrentCaller, context: Context) -> WebhookView:
    """Return an endpoint: since when it fails, why, and what waits."""
    return _view(await _own(context, caller, Action.SEE_WEBHOOKS, webhook_id))


@router.patch(
    "/webhooks/{webhook_id}", summary="Change a webhook", responses=refusals(e.WebhookUnknown, e.WebhookUrlRefused)
)
async def change_webhook(
    webhook_id: WebhookId, body: WebhookChanges, caller: CurrentCaller, context: Context
) -> WebhookView:
    """Change an endpoint's address or types, or switch it off or on; switched on it goes on where it stopped."""
    await _own(context, caller, Action.CHANGE_WEBHOOKS, webhook_id)
    await _limit(context, caller)
    changed = await context.webhooks.change(
        webhook_id, url=body.url, types=body.types, description=body.description, enabled=body.enabled
    )
    await context.client.deliver_webhooks()
    return _view(changed)


@router.delete("/webhooks/{webhook_id}", status_code=204, summary="Delete a webhook", responses=_OF_ONE)
async def delete_webhook(webhook_id: WebhookId, caller: CurrentCaller, context: Context) -> None:
    """Forget an endpoint, its secret, and what it has not got."""
    await _own(context, caller, Action.CHANGE_WEBHOOKS, webhook_id)
    await _limit(context, caller)
    await context.webhooks.delete(webhook_id)


@router.post(
    "/webhooks/{webhook_id}/secret",
    summary="Give a webhook another secret",
    responses=refusals(e.WebhookUnknown, repeats=True),
)
async def rotate_webhook_secret(
    webhook_id: WebhookId, caller: CurrentCaller, context: Context, response: Response, _: IdempotencyKey
) -> WebhookSecret:
    """Make another secret and show it once; for a day the one before it signs as well, so that none is refused."""
    await _own(context, caller, Action.CHANGE_WEBHOOKS, webhook_id)
    await _limit(context, caller)
    endpoint, secret = await context.webhooks.rotate(webhook_id)
    response.headers.update(NO_STORE)
    return _shown(endpoint, secret)


@router.post(
    "/webhooks/{webhook_id}/redeliver", summary="Send events again", responses=refusals(e.WebhookUnknown, repeats=True)
)
async def redeliver_events(
    webhook_id: WebhookId, body: RedeliverBody, caller: CurrentCaller, context: Context, _: IdempotencyKey
) -> WebhookView:
    """Send everything behind a position in the feed once more; each event keeps its id."""
    await _own(context, caller, Action.CHANGE_WEBHOOKS, webhook_id)
    await _limit(context, caller)
    endpoint = await context.webhooks.redeliver(webhook_id, after=body.after)
    await context.client.deliver_webhooks()
    return _view(endpoint)


async def _own(context: ApiContext, caller: Caller, action: Action, webhook_id: UUID) -> Endpoint:
    """Return an endpoint with which the caller may do this.

    Raises:
        NotAllowed: The caller's role never may.
        WebhookUnknown: There is none, or it is somebody else's; the two look the same.
    """
    context.require(caller, action)
    endpoint = await context.webhooks.one(webhook_id)
    if not caller.may_for_licence(action, endpoint.licence_number):
        raise e.WebhookUnknown
    return endpoint


async def _limit(context: ApiContext, caller: Caller) -> None:
    whose = caller.licence_number if caller.is_bound_to_licence else caller.subject
    await context.limit_rate(caller, {f"change of webhooks by {whose}"[:500]: context.limits.changes})


def _view(endpoint: Endpoint) -> WebhookView:
    return WebhookView(**_fields(endpoint))


def _shown(endpoint: Endpoint, secret: str) -> WebhookSecret:
    return WebhookSecret(**_fields(endpoint), secret=secret)


def _fields(endpoint: Endpoint) -> dict[str, object]:
    shared = endpoint.model_dump(exclude={"licence_number", "previous_until"})
    return {
        **shared,
        "licence": endpoint.licence_number,
        "enabled": endpoint.disabled_at is None,
        "previous_secret_until": endpoint.previous_until,
    }
