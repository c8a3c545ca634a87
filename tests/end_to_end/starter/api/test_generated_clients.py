"""Clients that generators make of docs/openapi.json: they are made without a warning, and they work."""

import asyncio
from pathlib import Path

import jsonschema_rs
import pytest

from devstack.stack import Stack
from domain.authority import Role
from starter.api.write_openapi import description
from starter.client.client import TransferClient
from tests.end_to_end.starter.api.conftest import OLD, Callers
from tests.tools.api_generators import Generators, generators
from tests.tools.paths import DOCS

DESCRIPTION = DOCS / "openapi.json"
# As whoever generated a client writes it: an upload, its answer, and a refusal as a problem by its type.
PROGRAM = """
import sys
from io import BytesIO
from pathlib import Path
from generated import AuthenticatedClient
from generated.api.uploads import upload_ticket
from generated.models import Problem, UploadForm, UploadView
from generated.types import File

url, token, ticket = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token)
for name, expected in (("Gegenereerd", UploadView), ("Nog eens", Problem)):
    form = UploadForm(ticket=File(BytesIO(Path(ticket).read_bytes()), "t.avr"), name=name, url_part="gegenereerd")
    answer = upload_ticket.sync(client=client, body=form, idempotency_key=name.replace(" ", "-"))
    assert isinstance(answer, expected), answer
print(answer.type_)
"""


@pytest.fixture(scope="module")
async def made() -> Generators:
    """Both generators."""
    return await asyncio.to_thread(generators)


async def test_the_generated_python_client_uploads_a_ticket(
    made: Generators, stack: Stack, client: TransferClient, callers: Callers, tmp_path: Path
) -> None:
    """A backend that generates its client gets one that sends the file, and reads answers and refusals as they are."""
    await asyncio.to_thread(made.python_client, DESCRIPTION, tmp_path / "generated")
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    (tmp_path / "ticket.avr").write_bytes(ready.ticket)
    process = await asyncio.create_subprocess_exec(
        *(str(made.python), "-c", PROGRAM, str(stack.info.api_url)),
        *(callers.token(Role.FIRM, licence=OLD), "ticket.avr"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await process.communicate()
    assert process.returncode == 0, wrong.decode()
    assert said.decode().strip() == "urn:sb-transfer:problem:ticket-used"


async def test_the_generated_typescript_compiles(made: Generators, tmp_path: Path) -> None:
    """A page in TypeScript gets types that its compiler takes, with names that read as what is done."""
    await asyncio.to_thread(made.typescript_client, DESCRIPTION, tmp_path / "api.d.ts")
    written = (tmp_path / "api.d.ts").read_text()
    for name in ("upload_ticket", "start_transfer", "TransferView", "Problem"):
        assert name in written


def test_every_answer_has_a_schema_and_an_example_that_fits() -> None:
    """Whoever reads the description sees of each answer and each problem what it looks like, and sees the truth."""
    document = description()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            bodies = [operation["requestBody"]["content"]] if "requestBody" in operation else []
            answers = [answer.get("content", {}) for code, answer in operation["responses"].items() if code != "204"]
            assert all(answers), f"{method} {path} answers without a body or a schema"
            for kind, media in [pair for content in (*bodies, *answers) for pair in content.items()]:
                shown = [one["value"] for one in media.get("examples", {}).values()] or [media["example"]]
                schema = {**media["schema"], "components": document["components"]}
                for example in shown:
                    jsonschema_rs.validate(schema, example)
                if kind == "application/problem+json":
                    assert all(one["type"].startswith("urn:sb-transfer:problem:") for one in shown)
                    assert {one["status"] for one in shown} <= {int(status) for status in operation["responses"]}


def test_operations_read_as_what_they_do() -> None:
    """A generated client's methods begin with a verb and say of what."""
    names = [operation["operationId"] for path in description()["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    assert all("_" in name for name in names), names
    assert [name for name in description()["components"]["schemas"] if name.startswith("Body_")] == []
