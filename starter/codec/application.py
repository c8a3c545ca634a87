"""The routes of Temporal's remote codec protocol, with this service's tokens, limits and problem details."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from google.protobuf import json_format
from starlette.types import ASGIApp, Receive, Scope, Send
from temporalio.api.common.v1 import Payload, Payloads

from adapters.crypto.payload_codec import is_encrypted, key_id_of
from domain.errors import TransferError
from starter.codec.access import CodecContext
from starter.http import problems
from starter.http.body_limit import BodyLimit

_log = logging.getLogger("sb_transfer.codec")
OpenContext = Callable[[], AbstractAsyncContextManager[CodecContext]]
# One answer of Temporal's is 4 MiB at most, and base64 makes it a third longer.
LARGEST_BODY_BYTES = 8 * 1024 * 1024
# A page of a history has 1,000 events at most.
_MOST_PAYLOADS = 20_000
# The UI sends the last one, an identity token, beside the access token; nobody here reads it.
_HEADERS = ("X-Namespace", "Content-Type", "Authorization", "Authorization-Extras")

router = APIRouter()


class PayloadsTooLarge(problems.BodyTooLarge):
    """These are more payloads than are taken at once, 8 MiB. Ask for fewer."""

    dutch = "Dit zijn te veel gegevens ineens, meer dan 8 MiB. Vraag er minder."


def _context(request: Request) -> CodecContext:
    context: CodecContext = request.app.state.context
    return context


Context = Annotated[CodecContext, Depends(_context)]


@router.post("/decode", summary="Payloads as they were before they were encrypted")
async def decode(request: Request, context: Context) -> Response:
    """Take and return `{"payloads": […]}`, as protobuf's JSON.

    What was never encrypted, or with a key that is not here, comes back as it is: the rest of a history is still read.
    """
    return await _answer(request, context, "decode")


@router.post("/encode", summary="Payloads encrypted with the newest key")
async def encode(request: Request, context: Context) -> Response:
    """Take and return `{"payloads": […]}`: what somebody types into a signal's form."""
    return await _answer(request, context, "encode")


@router.get("/livez", summary="The process lives")
async def livez() -> dict[str, str]:
    """Answer, which is all that this proves."""
    return {"status": "ok"}


async def _answer(request: Request, context: CodecContext, action: Literal["decode", "encode"]) -> Response:
    """Convert what somebody sent who may do this, after it has been written down.

    Megabytes of JSON take seconds: they are read and written by a few threads, never by the event loop.
    """
    # JSON by name too: such a request never leaves a browser unasked.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise problems.RequestInvalid
    body = await request.body()
    async with context.conversions:
        payloads = await asyncio.to_thread(_payloads_of, body)
        await context.record(request, request.state.caller, action, len(payloads))
        if missing := {key_id_of(payload) for payload in payloads if is_encrypted(payload)} - set(
            context.codec.key_ids
        ):
            _log.warning("payloads stay unread: %s is not on the ring", ", ".join(sorted(missing)) or "no key of ours")
        convert = context.codec.decode_known if action == "decode" else context.codec.encode_all
        document = await asyncio.to_thread(lambda: _document_of(convert(payloads)))
    return Response(document, media_type="application/json", headers={"Cache-Control": "no-store"})


def _payloads_of(body: bytes) -> Sequence[Payload]:
    """Return what a body holds.

    Raises:
        RequestInvalid: It is not the JSON of payloads.
        PayloadsTooLarge: There are too many of them.
    """
    try:
        document = json.loads(body)
        if isinstance(document, dict) and len(document.get("payloads") or ()) > _MOST_PAYLOADS:
            raise PayloadsTooLarge
        return json_format.ParseDict(document, Payloads(), ignore_unknown_fields=True).payloads
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError):
        raise problems.RequestInvalid from None


def _document_of(payloads: Sequence[Payload]) -> bytes:
    return json.dumps(json_format.MessageToDict(Payloads(payloads=payloads))).encode()


class AuthorizeFirst:
    """Asks who is calling before anything of a body is read: a stranger's megabytes stay with the stranger."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what comes from somebody who may read histories, and whatever carries nothing of them."""
        if scope["type"] == "http" and scope["method"] == "POST":
            request = Request(scope)
            try:
                request.state.caller = await scope["app"].state.context.authorize(request)
            except TransferError as error:
                await problems.answer(request, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def build_codec(open_context: OpenContext, origins: tuple[str, ...]) -> FastAPI:
    """Return the application; `open_context` connects at start and closes at the end, `origins` is where the UI is."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_context() as context:
            app.state.context = context
            yield

    app = FastAPI(
        title="sb-transfer codec", version=version("sb-transfer"), lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.include_router(router)
    problems.install(app)
    app.add_middleware(BodyLimit, refuse=_too_large, too_slow=problems.too_slow, largest_bytes=LARGEST_BODY_BYTES)
    app.add_middleware(AuthorizeFirst)
    # Outermost, or the UI could not read why something was refused.
    app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["POST"], allow_headers=_HEADERS)
    return app


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await problems.answer(Request(scope), PayloadsTooLarge())(scope, receive, send)
