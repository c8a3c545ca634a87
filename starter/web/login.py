"""Logging in and out, and choosing a language."""

from http import HTTPStatus
from secrets import compare_digest

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from domain.vocabulary import Language
from starter.web.openid import LoginFailed
from starter.web.pages import LANGUAGE_COOKIE, Here, Posted, chosen_language, context_of, local, render

router = APIRouter()
_A_YEAR = 365 * 24 * 3600


@router.get("/login")
async def log_in(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name that every login page has for it
    """Go to the identity provider, and come back to `next`."""
    context = context_of(request)
    address, flow = await context.openid.begin(local(next))
    response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
    context.sessions.begin(response, flow)
    return response


@router.get("/login/callback")
async def come_back(request: Request, state: str = "", code: str = "") -> Response:
    """Take what the identity provider says.

    Raises:
        LoginFailed: It says no, or it is not the answer to a login of this browser's.
    """
    context = context_of(request)
    flow = context.sessions.flow(request.cookies)
    if flow is None or not code or not compare_digest(state.encode(), flow.state.encode()):
        raise LoginFailed
    session = await context.openid.finish(code, flow)
    response = RedirectResponse(flow.next, HTTPStatus.SEE_OTHER)
    context.sessions.keep(response, session)
    context.sessions.end_flow(response)
    return response


@router.post("/logout")
async def log_out(request: Request, here: Here, _: Posted) -> Response:
    """End the session of this browser."""
    request.state.forgotten = True
    response = render(request, here.context, "logged_out.html", language=here.language, session=None)
    here.context.sessions.forget(response)
    return response


@router.get("/language/{language}")
async def choose_language(language: Language, next: str = "/") -> Response:  # noqa: A002 - as above
    """Remember a language, and come back to `next`."""
    response = RedirectResponse(local(next), HTTPStatus.SEE_OTHER)
    response.set_cookie(LANGUAGE_COOKIE, language.value, max_age=_A_YEAR, secure=True, httponly=True, samesite="lax")
    return response


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Answer, which is all that this proves."""
    return {"status": "ok"}


@router.get("/start")
async def start(request: Request) -> Response:
    """Say what this is, to whoever is not logged in."""
    return render(request, context_of(request), "logged_out.html", language=chosen_language(request), session=None)
