"""What the API's description says beyond the routes themselves: refusals by type, and what follows from what."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from domain import errors as e
from starter.http import problems
from starter.http.tokens import NotAuthenticated

Responses = dict[int | str, dict[str, Any]]
_EVERYWHERE = (
    NotAuthenticated,
    problems.NotAllowed,
    problems.BodyTooSlow,
    problems.BodyTooLarge,
    problems.RequestInvalid,
    problems.InternalError,
    e.Unavailable,
)
_REPEATED = (problems.KeyInUse, problems.KeyReused, problems.TooManyAttempts)
UPLOAD_REFUSALS = (
    e.TicketNotGenuine,
    e.TicketExpired,
    e.TicketUsed,
    e.TicketRevoked,
    e.TicketForAnotherLicence,
    e.LicenceUnknown,
    e.SameLicence,
    e.ScenarioNotOffered,
    e.NameInvalid,
    e.NameTaken,
    e.UrlInvalid,
    e.UrlReserved,
    e.UrlTaken,
    e.LoginEmailMissing,
    e.LoginEmailInvalid,
    problems.ReasonMissing,
)
LOCATION = {"Location": {"description": "Where the transfer's state can be asked.", "schema": {"type": "string"}}}
DESCRIPTION = """\
Moves a customer environment from one licence to another.

**Who.** Every route but `/livez` and `/readyz` takes a bearer token (JWT) of the platform's identity provider. Its
`roles` claim holds `backend`, `support`, `operator` or `firm`; a `firm` token also says its `licence`. A firm meets
only transfers of which its licence is the old or the new side, and only its half; somebody else's transfer and one
that does not exist look the same: 404.

**Once.** Every POST takes an `Idempotency-Key`. Send a new one with each new request, and the same one again when an
answer got lost: nothing is done twice, and the first answer comes back with `Idempotency-Replayed: true`. Answers are
kept for a day. Refusals are not kept: they changed nothing.

**Later.** `202` means that the work goes on by itself; `Location` is where its state can be asked.

**Errors.** Each is a problem detail (RFC 9457, `application/problem+json`). Programs decide by `type`, which is
stable; people read `detail`, in the language of `Accept-Language` (`nl` or `en`), and `details` has both. A 503 says
in `Retry-After` when to try again with the same key.
"""


def refusals(*errors: type[e.TransferError], repeats: bool = False) -> Responses:
    """Return a route's refusals for its description: those of every route, these, and a POST's when it `repeats`."""
    grouped: dict[int, list[type[e.TransferError]]] = defaultdict(list)
    for kind in (*_EVERYWHERE, *errors, *(_REPEATED if repeats else ())):
        grouped[problems.status_of(kind())].append(kind)
    return {
        status: {
            "model": problems.Problem,
            "description": "\n".join(_error_lines(kinds)),
            "content": {problems.PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, kinds in sorted(grouped.items())
    }


def _error_lines(kinds: Iterable[type[e.TransferError]]) -> Iterable[str]:
    return (f"- `{problems.type_of(kind)}`: {kind.default_english()}" for kind in dict.fromkeys(kinds))


def leads_to(*operations: str) -> dict[str, Any]:
    """Return OpenAPI links from an answer that holds a `transfer_id` to what can be asked next."""
    return {
        name: {"operationId": name, "parameters": {"path.transfer_id": "$response.body#/transfer_id"}}
        for name in operations
    }


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function: client generators make methods of it."""
    return route.name


def customize_openapi(app: FastAPI) -> None:
    """Let an application's description name only the media types that it really answers with."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            for path in document["paths"].values():
                for operation in path.values():
                    for answer in operation["responses"].values():
                        content = answer.get("content", {})
                        if problems.PROBLEM_JSON in content:
                            content.pop("application/json", None)
            for schema in document["components"]["schemas"].values():
                for field in schema.get("properties", {}).values():
                    # A file in a form: what generators of clients look for (OpenAPI 3.0), beside what 3.1 says of it.
                    if field.get("contentMediaType") == "application/octet-stream":
                        field["format"] = "binary"
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
