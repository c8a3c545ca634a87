"""Every refusal as a problem detail (RFC 9457): a stable type, both languages, and what to do next."""

import logging
import re
from datetime import timedelta
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from domain import errors as e
from domain.messages import Message
from domain.naming import without_schemas
from domain.vocabulary import Language
from starter.http.tokens import NotAuthenticated

_log = logging.getLogger("sb_transfer.api")
PROBLEM_JSON = "application/problem+json"
_TYPE_PREFIX = "urn:sb-transfer:problem:"
_RETRY_AFTER_SECONDS = 5


class NotAllowed(e.Refused):
    """Your role may not do this. Ask somebody whose role may, or support."""

    dutch = "Dit mag u niet. Vraag het aan iemand die het mag, of aan support."


class BodyTooLarge(e.Refused):
    """The request is larger than this route takes. Send the ticket file itself, unchanged."""

    dutch = "Het verzoek is te groot. Stuur het ticketbestand zelf, ongewijzigd."


class ItemTooLarge(e.Refused):
    """A mail or a scan has at most 25 MiB. Refuse it to its sender (552 5.3.4)."""

    dutch = "Een mail of scan is hooguit 25 MiB. Weiger hem aan de afzender (552 5.3.4)."


class BodyTooSlow(e.Refused):
    """The request did not come in time. Send it again."""

    dutch = "Het verzoek kwam niet op tijd binnen. Stuur het opnieuw."


class TooManyAttempts(e.Refused):
    """Too many attempts in a short time. Wait a minute and try again."""

    dutch = "Te veel pogingen in korte tijd. Wacht een minuut en probeer het opnieuw."

    def __init__(
        self, english: str | None = None, *, dutch: str | None = None, wait: timedelta = timedelta(minutes=1)
    ) -> None:
        super().__init__(english, dutch=dutch)
        self.wait = wait


class ReasonMissing(e.Refused):
    """Support acts on somebody else's books, so the log needs to know why. Give a reason."""

    dutch = "Support werkt in andermans boeken en moet daarom zeggen waarom. Geef een reden."


class NotSelfManaged(e.Refused):
    """An incident moves a customer to a self-managed licence, and this is a firm's. Let the firm upload the ticket."""

    dutch = "Met een incident gaat een klant zelfstandig verder; dit is de licentie van een kantoor. Laat dat uploaden."


class KeyReused(e.Refused):
    """This Idempotency-Key was used for another request. Use a new key for each new request."""

    dutch = "Deze Idempotency-Key is al voor een ander verzoek gebruikt. Gebruik een nieuwe sleutel per verzoek."


class KeyInUse(e.Refused):
    """The first request with this Idempotency-Key is still at work. Try again in a moment with the same key."""

    dutch = "Het eerste verzoek met deze Idempotency-Key loopt nog. Probeer het zo opnieuw met dezelfde sleutel."


class RequestInvalid(e.Refused):
    """The request does not fit the API's description. `errors` says which fields; correct them."""

    dutch = "Het verzoek klopt niet. Zie errors voor de velden, en verbeter die."


class InternalError(e.TransferError):
    """Something went wrong on our side and has been logged. Try again; if it stays, tell support the instance."""

    dutch = "Er ging bij ons iets mis; het is vastgelegd. Probeer het opnieuw, of geef support de instance door."


# The first class that an error is an instance of decides.
_STATUS: tuple[tuple[type[e.TransferError], HTTPStatus], ...] = (
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (e.TransferUnknown, HTTPStatus.NOT_FOUND),
    (e.EnvironmentUnknown, HTTPStatus.NOT_FOUND),
    (e.CertificateUnknown, HTTPStatus.NOT_FOUND),
    (e.YearUnknown, HTTPStatus.NOT_FOUND),
    (e.WebhookUnknown, HTTPStatus.NOT_FOUND),
    (e.PortfolioUnknown, HTTPStatus.NOT_FOUND),
    (BodyTooSlow, HTTPStatus.REQUEST_TIMEOUT),
    (BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (ItemTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (TooManyAttempts, HTTPStatus.TOO_MANY_REQUESTS),
    (KeyInUse, HTTPStatus.CONFLICT),
    (e.EnvironmentAmbiguous, HTTPStatus.CONFLICT),
    (e.EnvironmentNotActive, HTTPStatus.CONFLICT),
    (e.AlreadyInTransfer, HTTPStatus.CONFLICT),
    (e.AlreadyReleased, HTTPStatus.CONFLICT),
    (e.NotMovedAway, HTTPStatus.CONFLICT),
    (e.StillForwarded, HTTPStatus.CONFLICT),
    (e.StillInTransfer, HTTPStatus.CONFLICT),
    (e.AlreadyRetired, HTTPStatus.CONFLICT),
    (e.WrongMoment, HTTPStatus.CONFLICT),
    (e.TicketUsed, HTTPStatus.CONFLICT),
    (e.EnvironmentChanged, HTTPStatus.CONFLICT),
    (e.NameTaken, HTTPStatus.CONFLICT),
    (e.HostTaken, HTTPStatus.CONFLICT),
    (e.AddressTaken, HTTPStatus.CONFLICT),
    (e.LicenceDiffers, HTTPStatus.CONFLICT),
    (e.LicenceInUse, HTTPStatus.CONFLICT),
    (e.EnvironmentDiffers, HTTPStatus.CONFLICT),
    (e.UrlTaken, HTTPStatus.CONFLICT),
    (e.Refused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (e.PayloadKeyUnknown, HTTPStatus.UNPROCESSABLE_ENTITY),
    (e.PayloadDamaged, HTTPStatus.UNPROCESSABLE_ENTITY),
    (e.MailRejected, HTTPStatus.UNPROCESSABLE_ENTITY),
    (e.Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Sentences(Message):
    """One thing said in both languages."""

    nl: str
    en: str


class FieldProblem(Message):
    """What is wrong with one part of a request."""

    where: str = Field(description="such as body.reason or header.Idempotency-Key")
    problem: str


class Problem(Message):
    """A problem detail (RFC 9457)."""

    type: str = Field(description="stable: what programs decide by, urn:sb-transfer:problem:<name>")
    title: str
    status: int
    detail: str = Field(description="in the language of Accept-Language, Dutch unless it says otherwise")
    details: Sentences
    instance: str = Field(description="the path that was asked for")
    errors: tuple[FieldProblem, ...] = ()


def type_of(error: type[e.TransferError]) -> str:
    """Return the stable type of an error: its class's name in lower case with hyphens."""
    return _TYPE_PREFIX + re.sub(r"(?<!^)(?=[A-Z])", "-", error.code()).lower()


def status_of(error: e.TransferError) -> HTTPStatus:
    """Return the HTTP status that an error is answered with."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem_of(
    error: e.TransferError, language: Language, instance: str, errors: tuple[FieldProblem, ...] = ()
) -> Problem:
    """Return an error as a problem detail in a language, at the path that was asked for."""
    status = status_of(error)
    dutch, english = without_schemas(error.dutch_text), without_schemas(error.english)
    return Problem(
        type=type_of(type(error)),
        title=status.phrase,
        status=status,
        detail=english if language is Language.ENGLISH else dutch,
        details=Sentences(nl=dutch, en=english),
        instance=instance,
        errors=errors,
    )


def answer(request: Request, error: e.TransferError, errors: tuple[FieldProblem, ...] = ()) -> JSONResponse:
    """Return an error as the response to a request."""
    status = status_of(error)
    language = language_of(request)
    problem = problem_of(error, language, request.url.path, errors)
    headers = {"Content-Language": language.value, "Cache-Control": "no-store"}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="sb-transfer"'
    if isinstance(error, TooManyAttempts):
        headers["Retry-After"] = str(ceil(error.wait.total_seconds()))
    elif status is HTTPStatus.SERVICE_UNAVAILABLE or isinstance(error, KeyInUse):
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return JSONResponse(problem.model_dump(mode="json"), status, headers, media_type=PROBLEM_JSON)


async def too_slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body does not come."""
    await answer(Request(scope), BodyTooSlow())(scope, receive, send)


def install(app: FastAPI) -> None:
    """Let every error of an application be answered as a problem detail."""

    async def on_transfer_error(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, e.TransferError):
            raise TypeError from error
        if status_of(error) is HTTPStatus.INTERNAL_SERVER_ERROR:
            return await on_anything_else(request, error)
        return answer(request, error)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        return answer(request, RequestInvalid(), tuple(_field_problem(problem) for problem in problems))

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise TypeError from error
        status = HTTPStatus(error.status_code)
        if status is HTTPStatus.BAD_REQUEST:  # a body that cannot be read at all
            return answer(request, RequestInvalid())
        title = status.phrase
        problem = Problem(
            type="about:blank",
            title=title,
            status=status,
            detail=title,
            details=Sentences(nl=title, en=title),
            instance=request.url.path,
        )
        return JSONResponse(problem.model_dump(mode="json"), status, error.headers, media_type=PROBLEM_JSON)

    async def on_anything_else(request: Request, error: Exception) -> JSONResponse:
        _log.error("a request failed by a mistake of ours", exc_info=error)
        return answer(request, InternalError())

    app.add_exception_handler(e.TransferError, on_transfer_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_anything_else)


def _field_problem(problem: dict[str, Any]) -> FieldProblem:
    # Not the input itself: it may be a ticket.
    return FieldProblem(where=".".join(str(part) for part in problem["loc"]), problem=problem["msg"])


def language_of(request: Request) -> Language:
    """Return the one of our languages that the caller likes best (RFC 9110, 12.5.4); Dutch when none is named."""
    liked: dict[Language, float] = {}
    for wanted in request.headers.get("accept-language", "").split(","):
        code, _, quality = wanted.replace(" ", "").lower().partition(";q=")
        language = code.partition("-")[0]
        if language in set(Language):
            weight = float(quality) if re.fullmatch(r"[01](\.\d{0,3})?", quality) else float(not quality)
            liked.setdefault(Language(language), weight)
    best = max(liked, key=liked.__getitem__, default=Language.DUTCH)
    return best if liked.get(best) else Language.DUTCH
