"""The API's description: checked in, and true of what is served."""

import json
from pathlib import Path
from types import ModuleType

from devstack.issuer import EmbeddedIssuer
from devstack.stack import Stack
from domain.vocabulary import TransferState
from starter.api import application
from starter.api.write_openapi import description, text
from starter.client.client import TransferClient
from starter.client.polling import snapshots
from starter.http.strict_query import StrictQueryRoute
from tests.end_to_end.starter.api.fuzz import caller_of_all, fuzz
from tests.tools.paths import DOCS

CHECKED_IN = DOCS / "openapi.json"


def test_the_description_is_the_one_checked_in() -> None:
    """Equals the checked-in openapi.json; `make openapi` writes it anew."""
    assert CHECKED_IN.read_text() == text()


def test_a_query_parameter_that_nobody_knows_is_refused_everywhere() -> None:
    """A mistyped filter would answer another question."""
    routers = [
        module.router
        for module in vars(application).values()
        if isinstance(module, ModuleType) and hasattr(module, "router")
    ]
    routes = [route for router in routers if router.prefix == "/v1" for route in router.routes]
    assert len(routes) > 40
    assert [route for route in routes if not isinstance(route, StrictQueryRoute)] == []


# An item is taken in once by its own id.
_OWN_KEY = {"/v1/deliveries"}


def test_every_post_says_what_it_repeats_and_every_route_what_it_refuses() -> None:
    """Describes for each route its refusals, and for each POST what it repeats."""
    for path, operations in description()["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"]
            if not path.startswith("/v1"):
                continue
            assert operation["security"] == [{"HTTPBearer": []}]
            assert {"401", "403", "422", "503"} <= set(operation["responses"])
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]
                    assert "urn:sb-transfer:problem:" in answer["description"]
            if method == "post" and path not in _OWN_KEY:
                keys = [p for p in operation["parameters"] if p["name"] == "Idempotency-Key"]
                assert keys[0]["required"]
                assert "urn:sb-transfer:problem:key-in-use" in operation["responses"]["409"]["description"]
            if "202" in operation["responses"]:
                assert "Location" in operation["responses"]["202"]["headers"]


async def test_hundreds_of_odd_requests_are_answered_as_described(
    stack: Stack, client: TransferClient, tmp_path: Path
) -> None:
    """Answers generated requests with described statuses and bodies only."""
    environment = await client.environment("20003/Wolters Design")
    transfer = await client.prepare("10003/Linden Tandartsen", requested_by="fuzz")
    token = EmbeddedIssuer(stack.folder).token(*caller_of_all())
    assert stack.info.api_url is not None
    found = await fuzz(
        stack.info.api_url, token, environment.environment_id, transfer.transfer_id, tmp_path, seed=1, seconds=12
    )
    # What it began is in the way of the tests that follow.
    for record in await client.transfers(limit=500):
        which = str(record.transfer_id)
        if not record.state.is_final and record.state is not TransferState.UNDOING:
            await client.cancel(which, by="test")
        async for _ in snapshots(client, which, lambda sight: sight.state.is_final):
            continue
    assert found.code == 0, found.report
    assert json.loads(CHECKED_IN.read_text())["openapi"].startswith("3.1")
    assert '"level": "error"' not in (stack.folder / "api" / "log").read_text()
