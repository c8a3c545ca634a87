"""The application: routes, headers that keep a page harmless, and what is shown when something goes wrong."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from sb_transfer_client import Problem, SbTransferError, errors
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from domain.errors import Unavailable
from starter.http.body_limit import BodyLimit
from starter.http.tokens import NotAuthenticated
from starter.web import comparison, login, new_side, old_side, portfolios, support, transfers
from starter.web.pages import Forged, LoginNeeded, WebContext, chosen_language, context_of, local, page_of_form, render
from starter.web.sessions import Typed

_log = logging.getLogger("sb_transfer.web")
OpenContext = Callable[[], AbstractAsyncContextManager[WebContext]]
_HEADERS = {
    # Words from a database are on these pages: nothing in them may run, and nothing may be fetched from elsewhere.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_ASSETS = "/static/"


def build_web(open_context: OpenContext) -> FastAPI:
    """Return the application; `open_context` connects at its start and closes at its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_context() as context:
            app.state.context = context
            yield

    app = FastAPI(title="sb-transfer pages", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount(_ASSETS, StaticFiles(directory=str(files("starter.web") / "static")))
    for module in (login, old_side, new_side, transfers, comparison, portfolios, support):
        app.include_router(module.router)
    _install_errors(app)
    app.middleware("http")(_dressed)
    app.add_middleware(BodyLimit, refuse=_too_large, too_slow=_too_large)
    return app


async def _dressed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Let every answer carry the headers, and a session that was refreshed meanwhile."""
    response = await call_next(request)
    response.headers.update(_HEADERS)
    static = request.url.path.startswith(_ASSETS)
    response.headers.setdefault("Cache-Control", "public, max-age=3600" if static else "no-store")
    if request.app.state.context.openid.is_https:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    session = getattr(request.state, "session", None)
    if session is not None and not getattr(request.state, "forgotten", False):
        context_of(request).sessions.keep(response, session)
    return response


def _install_errors(app: FastAPI) -> None:  # noqa: C901 - one small function for each kind of error
    async def on_login_needed(request: Request, error: Exception) -> Response:
        kept = error.kept if isinstance(error, LoginNeeded) else {}
        where = _page_of(request)
        address = f"/login?next={quote(where, safe='')}"
        if request.headers.get("hx-request"):
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": address})
        if request.method == "GET":
            return RedirectResponse(address, HTTPStatus.SEE_OTHER)
        context = context_of(request)
        response = _page(request, "login_needed.html", HTTPStatus.UNAUTHORIZED, address=address)
        session = context.sessions.session(request.cookies)
        if session is not None and kept:
            typed = Typed(subject=session.caller.subject, page=where, values=kept)
            context.sessions.keep_typed(response, typed)
        return response

    async def on_forged(request: Request, _: Exception) -> Response:
        return _page(request, "forged.html", HTTPStatus.FORBIDDEN, again=_page_of(request))

    async def on_problem(request: Request, error: Exception) -> Response:
        if not isinstance(error, Problem):
            raise TypeError from error
        if isinstance(error, errors.NotAuthenticated):
            return await on_login_needed(request, LoginNeeded())
        return _page(request, "problem.html", error.problem.status, detail=error.detail)

    async def on_silence(request: Request, error: Exception) -> Response:
        _log.warning("a page could not be made: %s", type(error).__name__)
        page = _page(request, "away.html", HTTPStatus.SERVICE_UNAVAILABLE)
        page.headers["Retry-After"] = "5"
        return page

    async def on_failed_login(request: Request, _: Exception) -> Response:
        return _page(request, "login_failed.html", HTTPStatus.UNAUTHORIZED)

    async def on_http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
        return _page(request, "not_found.html", status)

    async def on_anything_else(request: Request, error: Exception) -> Response:
        _log.error("a page failed by a mistake of ours", exc_info=error)
        response = _page(request, "mistake.html", HTTPStatus.INTERNAL_SERVER_ERROR)
        response.headers.update(_HEADERS)
        return response

    app.add_exception_handler(LoginNeeded, on_login_needed)
    app.add_exception_handler(Forged, on_forged)
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(SbTransferError, on_silence)
    app.add_exception_handler(Unavailable, on_silence)
    app.add_exception_handler(NotAuthenticated, on_failed_login)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_http)
    app.add_exception_handler(Exception, on_anything_else)


def _page(request: Request, template: str, status: int, **given: object) -> Response:
    context = context_of(request)
    session = getattr(request.state, "session", None) or context.sessions.session(request.cookies)
    return render(
        request, context, template, language=chosen_language(request), session=session, status=status, **given
    )


def _page_of(request: Request) -> str:
    """Return the page to come back to: the one that was asked for, or the one that a form stands on."""
    if request.method == "GET":
        return local(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    return local(page_of_form(request.url.path))


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    await _page(request, "too_large.html", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)(scope, receive, send)
