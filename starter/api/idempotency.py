"""POSTs that may be sent again: the second one gets the first one's answer."""

import json
import re
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from adapters.api_store.idempotency import KeyConflict, KeyLease, StoredResponse
from domain.authority import Caller
from starter.api.dependencies import context_of
from starter.http.problems import FieldProblem, KeyInUse, KeyReused, RequestInvalid, answer
from starter.http.strict_query import StrictQueryRoute

KEY_HEADER = "Idempotency-Key"
# As it is, or as a string in quotes (RFC 9651, 3.3.3), which the IETF's draft asks for: the two are one key.
KEY_PATTERN = r'^("([\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,200}"|[\x21\x23-\x7e][\x21-\x7e]{0,199})$'
_KEPT_HEADERS = ("content-type", "location", "cache-control")
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_FIRST_ERROR = 400


class IdempotentRoute(StrictQueryRoute):
    """A route whose POST needs an Idempotency-Key and keeps its answer under it.

    Refusals and failures are not kept: they have done nothing, so the same key may try again.
    """

    def get_route_handler(self) -> _Handler:
        """Return FastAPI's own handler between looking up the key and keeping the answer."""
        handle = super().get_route_handler()

        async def idempotent(request: Request) -> Response:
            if request.method != "POST":
                return await handle(request)
            context = context_of(request)
            caller = await context.caller(request)
            key = request.headers.get(KEY_HEADER, "")
            if not re.fullmatch(KEY_PATTERN, key):
                problem = FieldProblem(
                    where=f"header.{KEY_HEADER}", problem="give a new one, 1 to 200 visible characters, per new request"
                )
                return answer(request, RequestInvalid(), (problem,))
            try:
                digest = await _digest(request, caller)
                outcome = await context.keys.begin(caller.subject, unquoted(key), digest)
                return await _respond(handle, request, outcome)
            finally:
                await request.close()  # the files of a form that nobody else read

        return idempotent


def unquoted(key: str) -> str:
    """Return a key without the quotes in which it may have come."""
    return re.sub(r"\\(.)", r"\1", key[1:-1]) if key.startswith('"') else key


async def _respond(handle: _Handler, request: Request, outcome: KeyLease | StoredResponse | KeyConflict) -> Response:
    """Answer by what became of a request's key.

    Raises:
        KeyInUse, KeyReused: Somebody is at work, or another request had this key.
    """
    match outcome:
        case StoredResponse():
            return Response(outcome.body, outcome.status, {**outcome.headers, "Idempotency-Replayed": "true"})
        case KeyConflict.IN_PROGRESS:
            raise KeyInUse
        case KeyConflict.DIFFERENT_REQUEST:
            raise KeyReused
        case KeyLease():
            return await _handle_and_store(handle, request, outcome)


async def _handle_and_store(handle: _Handler, request: Request, lease: KeyLease) -> Response:
    """Handle a request and keep its answer, or let go of its key."""
    keys = context_of(request).keys
    try:
        response = await handle(request)
    except BaseException:
        await keys.abandon(lease)
        raise
    # What may not be stored is not stored here either: its request is done again.
    if response.status_code >= _FIRST_ERROR or response.headers.get("cache-control") == "no-store":
        await keys.abandon(lease)
        return response
    headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
    await keys.finish(lease, StoredResponse(response.status_code, headers, bytes(response.body)))
    return response


async def _digest(request: Request, caller: Caller) -> bytes:
    """Return 32 bytes, the same for the same request of the same capacity.

    A form counts by its fields, for its boundary is random; JSON by what it says, in whatever order. Whoever speaks for
    another licence by now, or has another role, gets none of the answers of before.
    """
    capacity = f"{caller.licence_number} {' '.join(sorted(caller.roles))}"
    digest = sha256(f"{capacity}\n{request.method} {request.url.path}?{request.url.query}\n".encode())
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        form = await request.form()
        for name, value in sorted(form.multi_items(), key=lambda item: item[0]):
            content = await _content(value) if isinstance(value, UploadFile) else value.encode()
            digest.update(sha256(name.encode()).digest() + sha256(content).digest())
    else:
        digest.update(_canonical(await request.body()))
    return digest.digest()


def _canonical(body: bytes) -> bytes:
    """Return JSON in one order and with one spacing, and anything else as it is."""
    try:
        return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


async def _content(file: UploadFile) -> bytes:
    content = await file.read()
    await file.seek(0)
    return content
