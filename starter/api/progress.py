"""Live progress as server-sent events: a line whenever something has changed, until the transfer has ended."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from sse_starlette import EventSourceResponse, ServerSentEvent

from domain.authority import Caller
from domain.errors import TransferUnknown, Unavailable
from domain.vocabulary import TransferState
from starter.api.dependencies import ApiContext, Context, CurrentCaller
from starter.api.openapi import refusals
from starter.api.requests import TransferId
from starter.api.responses import transfer_view
from starter.client.polling import pause_seconds
from starter.http.problems import TooManyAttempts
from starter.http.strict_query import StrictQueryRoute

router = APIRouter(prefix="/v1", route_class=StrictQueryRoute, tags=["transfers"])
# A proxy that compresses or buffers would keep the lines to itself.
_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
_PING_SECONDS = 15
# A token lives for minutes and a transfer for weeks: the browser connects again with a fresh one after this.
_LONGEST_STREAM_SECONDS = 15 * 60
# Each one asks the database every other second; a person has a few pages open.
_MOST_STREAMS = 20


@router.get(
    "/transfers/{transfer_id}/progress",
    summary="Live progress (server-sent events)",
    response_class=EventSourceResponse,
    responses={
        **refusals(TransferUnknown, TooManyAttempts),
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string", "title": "Stream"}}},
            "description": "`status` events, each a TransferView; its id stands for what it says.",
        },
    },
)
async def follow_transfer(
    transfer_id: TransferId,
    caller: CurrentCaller,
    context: Context,
    last_event_id: Annotated[
        str, Header(alias="Last-Event-ID", max_length=100, description="what was heard last: it is not sent again")
    ] = "",
) -> EventSourceResponse:
    """Send the transfer's status now and whenever it changes; the stream ends with the transfer."""
    await context.standing(caller, transfer_id)
    if context.open_streams[caller.subject] >= _MOST_STREAMS:
        raise TooManyAttempts
    stream = _stream(context, caller, transfer_id, last_event_id)
    return EventSourceResponse(stream, ping=_PING_SECONDS, headers=_HEADERS)


async def _stream(context: ApiContext, caller: Caller, transfer_id: UUID, heard: str) -> AsyncIterator[ServerSentEvent]:
    context.open_streams[caller.subject] += 1
    try:
        async for event in _changes(context, caller, transfer_id, heard):
            yield event
    finally:
        context.open_streams[caller.subject] -= 1
        if not context.open_streams[caller.subject]:
            del context.open_streams[caller.subject]


async def _changes(
    context: ApiContext, caller: Caller, transfer_id: UUID, heard: str
) -> AsyncIterator[ServerSentEvent]:
    """Yield what the status route answers, each time that it differs; an event's id stands for what it says."""
    clock = asyncio.get_running_loop().time
    until = clock() + _LONGEST_STREAM_SECONDS
    pause = 0.0
    while clock() < until:
        try:
            # The caller's half is looked up each time: the upload makes the new one theirs.
            standing = await context.standing(caller, transfer_id)
            seen = transfer_view(await context.client.snapshot_of(standing), standing, caller)
        except TransferUnknown:
            return
        except Unavailable:  # a server that is away for a while is waited for
            await asyncio.sleep(pause or pause_seconds(TransferState.SCHEDULED))
            continue
        said = seen.model_dump_json()
        name = sha256(said.encode()).hexdigest()[:16]
        if name != heard:
            heard = name
            yield ServerSentEvent(said, event="status", id=name)
        if seen.state.is_final:
            return
        pause = pause_seconds(seen.state)
        await asyncio.sleep(pause)
