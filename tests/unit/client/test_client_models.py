"""The client says what the service's description says: models, words, problems and routes. Change them together."""

import json
from enum import StrEnum
from typing import Any

import pytest
from pydantic import TypeAdapter
from sb_transfer_client import AsyncClient, Client, errors, models

from tests.tools.paths import DOCS

DOCUMENT = json.loads((DOCS / "openapi.json").read_text())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
# What people read, and the bounds of what is sent: an answer is within them.
_PROSE = ("title", "description", "default", "maxLength", "minLength", "pattern")


def plain(schema: Any) -> Any:
    """Return what a schema allows, without prose."""
    if isinstance(schema, dict):
        return {name: plain(value) for name, value in schema.items() if name not in _PROSE or name == "properties"}
    return [plain(one) for one in schema] if isinstance(schema, list) else schema


def answered() -> set[str]:
    """Return the schemas of all that is answered, with what they are made of."""
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                walk(SCHEMAS[name])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    for operation in OPERATIONS:
        walk(operation["responses"])
    return found


@pytest.mark.parametrize("name", sorted(answered()))
def test_a_model_is_as_the_description_has_it(name: str) -> None:
    """A field or a word that the service has, and the client has not, would be lost on every backend."""
    model = getattr(models, {"Problem": "ProblemDetail"}.get(name, name))
    if isinstance(model, type) and issubclass(model, StrEnum):
        assert [word.value for word in model] == SCHEMAS[name]["enum"]
        return
    place = "#/components/schemas/{model}"
    mine = TypeAdapter(model).json_schema(ref_template=place, mode="serialization")
    wanted = SCHEMAS[name]
    properties = {field: plain(schema) for field, schema in mine.get("properties", {}).items()}
    assert properties == {field: plain(schema) for field, schema in wanted.get("properties", {}).items()}
    required = TypeAdapter(model).json_schema(ref_template=place).get("required", [])
    assert required == wanted.get("required", [])


def test_every_problem_has_its_class_and_its_status() -> None:
    """A backend could not catch one refusal without catching others."""
    examples = [
        one["value"]
        for operation in OPERATIONS
        for answer in operation["responses"].values()
        for one in answer.get("content", {}).get("application/problem+json", {}).get("examples", {}).values()
    ]
    described = {one["type"]: one["status"] for one in examples}
    assert {name: kind.status_code for name, kind in errors.Problem.by_type().items()} == described


def test_every_operation_is_a_method_of_both_clients() -> None:
    """A route would be there that no backend can call."""
    names = {operation["operationId"] for operation in OPERATIONS}
    for client in (Client, AsyncClient):
        assert names - set(dir(client)) == set()


def test_a_word_and_a_field_of_a_newer_service_are_taken() -> None:
    """A backend would stop the day that the service learns a new mail."""
    answer = {"kind": "postcard", "sent": 1, "problems": [], "weather": "fine"}
    read = models.MailView.model_validate_json(json.dumps(answer))
    assert read.kind == "postcard"
    assert read.kind not in list(models.MailKind)
    assert json.loads(read.model_dump_json())["kind"] == "postcard"


def test_a_ticket_is_not_shown() -> None:
    """Whoever reads a log could take an environment over."""
    ticket = models.TicketFile(file_name="a.avr", content=b"secret")
    assert "secret" not in repr(ticket) + str(ticket) + ticket.model_dump_json()
