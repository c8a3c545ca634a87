"""What every page needs: who is looking, the API in that person's name, a language, and a form that can be trusted."""

import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote, urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from sb_transfer_client import AsyncClient, Problem, Retries, errors, trace_headers
from starlette.datastructures import FormData, UploadFile

from adapters.mail.formatting import Formatter
from domain.vocabulary import Language
from starter.http.problems import language_of
from starter.web import words
from starter.web.openid import OpenIdClient
from starter.web.sessions import Session, Sessions

LANGUAGE_COOKIE = "sb_language"
CSRF_FIELD, KEY_FIELD = "csrf", "key"
# A person waits: what does not answer twice is said to be away, and tried again by the person.
_RETRIES = Retries(attempts=2, first_pause_seconds=0.2, longest_pause_seconds=1.0)
_LONGEST_KEPT = 300
_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
# Paths that take a form only; it stands on the page above.
_SENT_FROM_ABOVE = frozenset(
    {"ticket", "checklist", "correct", "evening", "mails", "start-now", "confirm", "call-back"}
)
_TEMPLATES = Environment(
    loader=PackageLoader("starter.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class LoginNeeded(Exception):
    """Nobody is logged in (any more). `kept` is what was typed."""

    def __init__(self, kept: dict[str, str] | None = None) -> None:
        super().__init__()
        self.kept = kept or {}


class Forged(Exception):
    """A form that does not come from our page, or from a page of another login."""


@dataclass(frozen=True, slots=True)
class WebContext:
    """What every request needs; made once by `starter.web.main`."""

    api_url: str
    transport: httpx.AsyncBaseTransport
    """How requests travel to the API; shared, so that connections are."""

    openid: OpenIdClient
    sessions: Sessions
    zone: ZoneInfo
    temporal_ui_url: str | None = None
    cancel_licence_url: str = ""
    """Where a licence is cancelled; `{licence}` stands for its number."""


@dataclass(slots=True)
class Form:
    """What somebody typed, and what is wrong with it."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    alert: str = ""
    """What is wrong with no field in particular."""

    status: int = HTTPStatus.OK

    def value(self, name: str) -> str:
        """Return what was typed into a field."""
        return self.values.get(name, "")

    def refuse(self, name: str, sentence: str) -> None:
        """Say what is wrong with a field."""
        self.errors[name] = sentence
        self.status = HTTPStatus.UNPROCESSABLE_ENTITY

    def take(self, problem: Problem, t: Callable[[str, str], str]) -> None:
        """Say what the API refused, at the field that it is about.

        Raises:
            Problem: It is about no field and no moment: there is no such page for this person.
        """
        if isinstance(problem, errors.NotAuthenticated | errors.TransferUnknown | errors.EnvironmentUnknown):
            raise problem
        self.status = problem.problem.status
        where = words.FIELDS.get(type(problem))
        if where:
            self.errors[where] = problem.detail
        elif isinstance(problem, errors.RequestInvalid) and problem.errors:
            for one in problem.errors:
                name = one.where.rpartition(".")[2]
                self.errors[name] = t(
                    "Dit is niet bruikbaar: te lang, of met tekens die hier niet kunnen. Pas het aan.",
                    "This cannot be used: too long, or with characters that are not possible here. Change it.",
                )
        else:
            self.alert = problem.detail


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who looks at a page."""

    request: Request
    context: WebContext
    language: Language
    session: Session

    @property
    def api(self) -> AsyncClient:
        """Return the API in this person's name, with its rights and no others."""
        address = self.request.client.host if self.request.client else ""

        def headers() -> Mapping[str, str]:
            return {**trace_headers(), **({"X-Forwarded-For": address} if address else {})}

        return AsyncClient(
            self.context.api_url,
            self.session.access_token,
            transport=self.context.transport,
            language=self.language.value,
            retries=_RETRIES,
            headers=headers,
        )

    def t(self, dutch: str, english: str) -> str:
        """Return the one in this person's language."""
        return english if self.language is Language.ENGLISH else dutch

    def form(self, **values: str) -> Form:
        """Return a form for this page, with what was typed when the login ran out."""
        kept = self.context.sessions.typed(
            self.request.cookies, subject=self.session.caller.subject, page=self.request.url.path
        )
        return Form({**values, **kept})

    def render(self, template: str, *, status: int = HTTPStatus.OK, **given: Any) -> HTMLResponse:
        """Return a page."""
        return render(
            self.request, self.context, template, language=self.language, session=self.session, status=status, **given
        )


def context_of(request: Request) -> WebContext:
    """Return the context of the application that serves a request."""
    context: WebContext = request.app.state.context
    return context


def chosen_language(request: Request) -> Language:
    """Return the language that was chosen on a page, else the one that the browser likes best; Dutch, if neither."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    return Language(chosen) if chosen in set(Language) else language_of(request)


def render(
    request: Request,
    context: WebContext,
    template: str,
    *,
    language: Language,
    session: Session | None,
    status: int = HTTPStatus.OK,
    **given: Any,
) -> HTMLResponse:
    """Return a page, for somebody who is logged in or for nobody."""

    def t(dutch: str, english: str) -> str:
        return english if language is Language.ENGLISH else dutch

    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    page = _TEMPLATES.get_template(template).render(
        t=t,
        words=words,
        say=lambda pair: t(*pair),
        language=language.value,
        formatter=Formatter(language, context.zone),
        session=session,
        path=request.url.path,
        here=quote(here if request.method == "GET" else request.url.path, safe=""),
        key=str(uuid4()),
        temporal_ui_url=context.temporal_ui_url,
        **given,
    )
    return HTMLResponse(page, status, headers={"Content-Language": language.value})


async def visitor(request: Request) -> Visitor:
    """Return who looks at a page.

    Raises:
        LoginNeeded: Nobody is logged in, or the login has run out.
        Unavailable: The identity provider does not answer.
    """
    context = context_of(request)
    session = context.sessions.session(request.cookies)
    fresh = await context.openid.refreshed(session) if session else None
    if fresh is None:
        raise LoginNeeded(await _typed(request))
    if fresh is not session:
        request.state.session = fresh  # `application.py` lets the answer carry it
    return Visitor(request, context, chosen_language(request), fresh)


Here = Annotated[Visitor, Depends(visitor)]


async def posted(request: Request, here: Here) -> AsyncIterator[FormData]:
    """Give a form that this person sent from our own page, and close its file in the end.

    Raises:
        Forged: It was not.
    """
    async with request.form(max_files=1, max_fields=40) as form:
        given = form.get(CSRF_FIELD)
        site = request.headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none") or not isinstance(given, str):
            raise Forged
        if not secrets.compare_digest(given.encode(), here.session.csrf.encode()):
            raise Forged
        yield form


Posted = Annotated[FormData, Depends(posted)]


def typed(form: FormData, *names: str) -> Form:
    """Return what was typed into these fields."""
    return Form({name: value for name in names if isinstance(value := form.get(name, ""), str)})


def key_of(form: FormData) -> str:
    """Return the Idempotency-Key that a page came with: pressed twice, a button does its work once."""
    given = form.get(KEY_FIELD)
    return given if isinstance(given, str) and _KEY.fullmatch(given) else str(uuid4())


async def file_of(form: FormData, name: str) -> bytes:
    """Return the bytes of a file that was chosen; none when no file was."""
    given = form.get(name)
    return await given.read() if isinstance(given, UploadFile) else b""


def local(where: str) -> str:
    """Return a path of our own, whatever was asked for: nobody is sent elsewhere from here."""
    parts = urlsplit(where)
    good = where.startswith("/") and not where.startswith(("//", "/\\")) and not parts.netloc and where.isprintable()
    return where if good else "/"


async def _typed(request: Request) -> dict[str, str]:
    """Return what a form held whose sender's login has run out; never the ticket."""
    if request.method != "POST":
        return {}
    hidden = {CSRF_FIELD, KEY_FIELD, "sealed"}
    async with request.form(max_files=1, max_fields=40) as form:
        return {
            name: value[:_LONGEST_KEPT]
            for name, value in form.multi_items()
            if isinstance(value, str) and name not in hidden
        }


def page_of_form(path: str) -> str:
    """Return the page on which the form stands that is sent to a path.

    A form is sent to its own page, or one step below it: what cannot be opened by itself is named here.
    """
    parent, _, last = path.rpartition("/")
    return parent or "/" if last in _SENT_FROM_ABOVE else path
