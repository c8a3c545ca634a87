"""What the API's description says beyond the routes themselves: refusals by type, and what follows from what."""

import json
from collections import defaultdict
from importlib.resources import files
from itertools import chain
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from domain import errors as e
from domain.vocabulary import Language
from starter.http import problems
from starter.http.tokens import NotAuthenticated

TICKET_FILE = "application/octet-stream"
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
    e.LicenceCancelled,
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
    grouped: dict[int, dict[str, type[e.TransferError]]] = defaultdict(dict)
    for kind in (*_EVERYWHERE, *errors, *(_REPEATED if repeats else ())):
        grouped[problems.status_of(kind())][problems.type_of(kind)] = kind
    return {
        status: {
            "model": problems.Problem,
            "description": "\n".join(f"- `{name}`: {kind.default_english()}" for name, kind in kinds.items()),
            "content": {
                problems.PROBLEM_JSON: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {name.rpartition(":")[2]: _example_of(kind) for name, kind in kinds.items()},
                }
            },
        }
        for status, kinds in sorted(grouped.items())
    }


def _example_of(kind: type[e.TransferError]) -> dict[str, Any]:
    problem = problems.problem_of(kind(), Language.ENGLISH, "/v1/transfers")
    return {"summary": problem.detail, "value": problem.model_dump(mode="json")}


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
    """Let an application's description name only the media types that it really answers with, each with an example."""
    generate = app.openapi
    examples = json.loads(files(__package__).joinpath("examples.json").read_text())

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            for operation in chain.from_iterable(path.values() for path in document["paths"].values()):
                _give_examples(operation.get("requestBody", {}).get("content", {}), examples)
                for answer in operation["responses"].values():
                    content = answer.get("content", {})
                    if problems.PROBLEM_JSON in content:
                        content.pop("application/json", None)
                    _give_examples(content, examples)
            _name_files(document["components"]["schemas"])
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _name_files(schemas: dict[str, Any]) -> None:
    """Say of a file in a form what generators of clients look for (OpenAPI 3.0), beside what 3.1 says of it."""
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            if field.get("contentMediaType") == TICKET_FILE:
                field["format"] = "binary"


def _give_examples(content: dict[str, Any], examples: dict[str, Any]) -> None:
    """Put the example of a schema beside each mention of it; a list has one of its items, a choice one of each."""
    for media in content.values():
        schema = media.get("schema", {})
        one = schema.get("items", schema)
        name = one.get("$ref", "").rpartition("/")[2] or one.get("title", "")
        if name in examples:
            media["example"] = examples[name] if one is schema else [examples[name]]
        elif choices := [choice["$ref"].rpartition("/")[2] for choice in schema.get("anyOf", [])]:
            media["examples"] = {choice: {"value": examples[choice]} for choice in choices}
