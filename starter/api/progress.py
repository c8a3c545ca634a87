"""Live progress as server-sent events: a line whenever something has changed, until the transfer has ended."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from sse_starlette import EventSourceResponse, ServerSentEvent

from domain import messages as m
from domain.authority import Action, Caller
from domain.errors import TransferUnknown
from starter.api.dependencies import Door, TheCaller, TheDoor
from starter.api.openapi import refusals
from starter.api.requests import TransferId
from starter.api.responses import view
from starter.cli.watch import sights
from starter.http.problems import TooManyAttempts

router = APIRouter(prefix="/v1", tags=["transfers"])
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
async def progress(transfer_id: TransferId, caller: TheCaller, door: TheDoor) -> EventSourceResponse:
    """Send the transfer's status now and whenever it changes; the stream ends with the transfer."""
    record = await door.transfer(caller, Action.SEE, transfer_id)
    if door.listening[caller.subject] >= _MOST_STREAMS:
        raise TooManyAttempts
    return EventSourceResponse(_stream(door, caller, record), ping=_PING_SECONDS, headers={"Cache-Control": "no-store"})


async def _stream(door: Door, caller: Caller, record: m.TransferRecord) -> AsyncIterator[ServerSentEvent]:
    door.listening[caller.subject] += 1
    try:
        async for event in _changes(door, caller, record):
            yield event
    finally:
        door.listening[caller.subject] -= 1
        if not door.listening[caller.subject]:
            del door.listening[caller.subject]


async def _changes(door: Door, caller: Caller, record: m.TransferRecord) -> AsyncIterator[ServerSentEvent]:
    shown = None
    number = 0
    clock = asyncio.get_running_loop().time
    until = clock() + _LONGEST_STREAM_SECONDS
    async for sight in sights(door.client, str(record.transfer_id)):
        try:
            # Looked up each time: the upload makes the new side's half theirs.
            record = await door.transfer(caller, Action.SEE, record.transfer_id)
        except TransferUnknown:
            return
        seen = view(sight, record, caller)
        if seen != shown:
            shown = seen
            number += 1
            yield ServerSentEvent(seen.model_dump_json(), event="status", id=str(number))
        if clock() > until:
            return
