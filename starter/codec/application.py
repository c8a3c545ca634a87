"""The routes of Temporal's remote codec protocol, with this service's tokens, limits and problem details."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from google.protobuf import json_format
from starlette.types import Receive, Scope, Send
from temporalio.api.common.v1 import Payload, Payloads

from starter.codec.access import CodecContext
from starter.http import problems
from starter.http.body_limit import BodyLimit

OpenContext = Callable[[], AbstractAsyncContextManager[CodecContext]]
# One answer of Temporal's is 4 MiB at most, and base64 makes it a third longer.
LARGEST_BODY_BYTES = 8 * 1024 * 1024
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
async def decode(request: Request, response: Response, context: Context) -> dict[str, Any]:
    """Take and return `{"payloads": […]}`, as protobuf's JSON; what was never encrypted comes back as it is."""
    payloads = await _authorized_payloads(request, response, context, "decode")
    return json_format.MessageToDict(Payloads(payloads=await context.codec.decode(payloads)))


@router.post("/encode", summary="Payloads encrypted with the newest key")
async def encode(request: Request, response: Response, context: Context) -> dict[str, Any]:
    """Take and return `{"payloads": […]}`: what somebody types into a signal's form."""
    payloads = await _authorized_payloads(request, response, context, "encode")
    return json_format.MessageToDict(Payloads(payloads=await context.codec.encode(payloads)))


@router.get("/livez", summary="The process lives")
async def livez() -> dict[str, str]:
    """Answer, which is all that this proves."""
    return {"status": "ok"}


async def _authorized_payloads(
    request: Request, response: Response, context: CodecContext, action: Literal["decode", "encode"]
) -> Sequence[Payload]:
    """Return what somebody sent who may do this, after it has been written down."""
    caller = await context.authorize(request)
    payloads = (await _payloads(request)).payloads
    await context.record(request, caller, action, len(payloads))
    response.headers["Cache-Control"] = "no-store"
    return payloads


async def _payloads(request: Request) -> Payloads:
    """Return what a body holds.

    Raises:
        RequestInvalid: It is not the JSON of payloads. JSON by name too: such a request never leaves a browser unasked.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise problems.RequestInvalid
    try:
        return json_format.Parse(await request.body(), Payloads(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError):
        raise problems.RequestInvalid from None


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
    # Outermost, or the UI could not read why something was refused.
    app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["POST"], allow_headers=_HEADERS)
    return app


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await problems.answer(Request(scope), PayloadsTooLarge())(scope, receive, send)
