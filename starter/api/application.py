"""The application: routes, limits and problem details around one door."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send

from starter.api import health, problems, progress, transfers, uploads
from starter.api.door import Door
from starter.api.limits import BodyLimit

OpenDoor = Callable[[], AbstractAsyncContextManager[Door]]
_PROBLEM: dict[str, Any] = {
    "model": problems.Problem,
    "content": {problems.PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No valid token."},
    403: {"description": "The caller's role may not do this."},
    404: {"description": "Nothing of the caller's has this id."},
    409: {"description": "Not now: the transfer is in another state, or something is taken."},
    413: {"description": "The request is too large."},
    422: {"description": "The request, or a business rule, says no."},
    429: {"description": "Too many attempts."},
    500: {"description": "Our mistake."},
    503: {"description": "A server behind us does not answer."},
}


def build_app(open_door: OpenDoor) -> FastAPI:
    """Return the application; `open_door` connects at its start and closes at its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_door() as door:
            app.state.door = door
            yield

    app = FastAPI(
        title="sb-transfer",
        version=version("sb-transfer"),
        description="Moves a customer environment from one licence to another.",
        lifespan=lifespan,
        docs_url=None,  # its scripts come from other hosts
        redoc_url=None,
    )
    responses = {status: {**_PROBLEM, **told} for status, told in _ANSWERS.items()}
    app.include_router(health.router)
    for router in (transfers.router, uploads.router, progress.router):
        app.include_router(router, responses=responses)
    problems.install(app)
    app.add_middleware(BodyLimit, refuse=_too_large)
    return app


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    await problems.answer(Request(scope), problems.BodyTooLarge())(scope, receive, send)
