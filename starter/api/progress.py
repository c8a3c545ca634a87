"""Live progress as server-sent events: a line whenever something has changed, until the transfer has ended."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from sse_starlette import EventSourceResponse, ServerSentEvent

from domain import messages as m
from domain.authority import Action, Caller
from domain.errors import TransferUnknown
from starter.api.dependencies import ApiContext, Context, CurrentCaller
from starter.api.openapi import refusals
from starter.api.requests import TransferId
from starter.api.responses import transfer_view
from starter.client.polling import snapshots
from starter.http.problems import TooManyAttempts
from starter.http.strict_query import StrictQueryRoute

router = APIRouter(prefix="/v1", route_class=StrictQueryRoute, tags=["transfers"])
# A proxy that compresses or buffers would keep the lines to itself.
_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
_PING_SECONDS = 15
# A token lives for minutes and a transfer for weeks: the browser connects again with a fresh one after this.
_LONGEST_STREAM_SECONDS = 15 * 60
# Each one asks the workflow every other second; a person has a few pages open.
_MOST_STREAMS = 20


@router.get(
    "/transfers/{transfer_id}/progress",
    summary="Live progress (server-sent events)",
    response_class=EventSourceResponse,
    responses={
        **refusals(TransferUnknown, TooManyAttempts),
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": "`status` events, each a TransferView.",
        },
    },
)
async def progress(transfer_id: TransferId, caller: CurrentCaller, context: Context) -> EventSourceResponse:
    """Send the transfer's status now and whenever it changes; the stream ends with the transfer."""
    record = await context.transfer(caller, Action.SEE, transfer_id)
    if context.open_streams[caller.subject] >= _MOST_STREAMS:
        raise TooManyAttempts
    return EventSourceResponse(_stream(context, caller, record), ping=_PING_SECONDS, headers=_HEADERS)


async def _stream(context: ApiContext, caller: Caller, record: m.TransferRecord) -> AsyncIterator[ServerSentEvent]:
    context.open_streams[caller.subject] += 1
    try:
        async for event in _changes(context, caller, record):
            yield event
    finally:
        context.open_streams[caller.subject] -= 1
        if not context.open_streams[caller.subject]:
            del context.open_streams[caller.subject]


async def _changes(context: ApiContext, caller: Caller, record: m.TransferRecord) -> AsyncIterator[ServerSentEvent]:
    shown = None
    number = 0
    clock = asyncio.get_running_loop().time
    until = clock() + _LONGEST_STREAM_SECONDS
    async for snapshot in snapshots(context.client, str(record.transfer_id)):
        try:
            # Looked up each time: the upload makes the new side's half theirs.
            record = await context.transfer(caller, Action.SEE, record.transfer_id)
        except TransferUnknown:
            return
        seen = transfer_view(snapshot, record, caller)
        if seen != shown:
            shown = seen
            number += 1
            yield ServerSentEvent(seen.model_dump_json(), event="status", id=str(number))
        if clock() > until:
            return
