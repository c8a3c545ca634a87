"""Every route, for every kind of caller, on one's own transfer, another's, and one that does not exist."""

import uuid
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from domain.authority import Role
from domain.vocabulary import TransferState
from starter.api.dependencies import ApiContext
from starter.client.client import TransferClient
from starter.client.polling import snapshots
from tests.end_to_end.starter.api.conftest import NEW, OLD, OTHER, Callers

# Who: (roles, licence). The environment that moves goes from OLD to NEW.
WHO: dict[str, tuple[tuple[Role, ...], str | None]] = {
    "backend": ((Role.BACKEND,), None),
    "support": ((Role.SUPPORT,), None),
    "operator": ((Role.OPERATOR,), None),
    "old side": ((Role.FIRM,), OLD),
    "new side": ((Role.FIRM,), NEW),
    "another firm": ((Role.FIRM,), OTHER),
}
# Written out on purpose, and not derived from `domain.authority`: this is what was promised.
MAY: dict[tuple[str, str], set[str]] = {
    ("GET", "/v1/environments"): {"backend", "support", "operator", "old side", "new side", "another firm"},
    ("GET", "/v1/licences"): {"backend", "support", "operator", "old side", "new side", "another firm"},
    ("PUT", "/v1/licences/{licence_number}"): {"backend"},
    ("PUT", "/v1/environments/{environment_id}"): {"backend"},
    ("GET", "/v1/names"): {"backend", "support", "old side", "new side", "another firm"},
    ("GET", "/v1/environments/{environment_id}/preview"): {"backend", "support", "old side"},
    ("POST", "/v1/transfers"): {"backend", "support", "old side"},
    ("GET", "/v1/evenings/{evening}"): {"backend", "support", "operator"},
    ("GET", "/v1/transfers"): {"backend", "support", "operator", "old side", "new side", "another firm"},
    ("GET", "/v1/transfers/{transfer_id}"): {"backend", "support", "operator", "old side", "new side"},
    ("GET", "/v1/transfers/{transfer_id}/progress"): {"backend", "support", "operator", "old side", "new side"},
    ("GET", "/v1/transfers/{transfer_id}/events"): {"backend", "support", "operator"},
    ("GET", "/v1/transfers/{transfer_id}/ticket"): {"backend", "support", "old side"},
    ("POST", "/v1/transfers/{transfer_id}/ticket"): {"backend", "support", "old side"},
    ("GET", "/v1/transfers/{transfer_id}/comparison"): {"backend", "support", "operator", "new side"},
    ("GET", "/v1/transfers/{transfer_id}/comparison/rows"): {"backend", "support", "operator", "new side"},
    ("GET", "/v1/transfers/{transfer_id}/comparison/file"): {"backend", "support", "operator", "new side"},
    ("GET", "/v1/transfers/{transfer_id}/auditfiles"): {"backend", "support", "operator", "new side"},
    ("GET", "/v1/transfers/{transfer_id}/auditfiles/{administration}/{year}"): {
        "backend",
        "support",
        "operator",
        "new side",
    },
    ("GET", "/v1/transfers/{transfer_id}/checklist"): {"backend", "support", "operator", "new side"},
    ("POST", "/v1/transfers/{transfer_id}/checklist"): {"backend", "support", "new side"},
    ("POST", "/v1/transfers/{transfer_id}/release"): {"backend", "support", "new side"},
    ("POST", "/v1/transfers/{transfer_id}/reject"): {"backend", "support", "new side"},
    ("POST", "/v1/transfers/{transfer_id}/start-now"): {"support", "operator"},
    ("POST", "/v1/transfers/{transfer_id}/hurry"): {"support", "operator"},
    ("GET", "/v1/transfers/{transfer_id}/certificate"): {"backend", "support", "operator", "new side"},
    ("POST", "/v1/transfers/{transfer_id}/reschedule"): {"backend", "support", "operator", "new side"},
    ("GET", "/v1/held-items"): {"backend", "support", "operator"},
    ("GET", "/v1/transfers/{transfer_id}/held-items"): {"backend", "support", "operator", "old side", "new side"},
    ("POST", "/v1/transfers/{transfer_id}/correct"): {"backend", "support", "new side"},
    ("POST", "/v1/transfers/{transfer_id}/cancel"): {"backend", "support", "old side"},
    ("POST", "/v1/transfers/{transfer_id}/mails"): {"backend", "support", "operator"},
    ("POST", "/v1/portfolios"): {"backend", "support"},
    ("GET", "/v1/portfolios"): {"backend", "support", "operator"},
    ("GET", "/v1/portfolios/{portfolio_id}"): {"backend", "support", "operator"},
    ("POST", "/v1/portfolios/{portfolio_id}/begin"): {"backend", "support"},
    ("POST", "/v1/portfolios/{portfolio_id}/release"): {"backend", "support"},
    ("POST", "/v1/portfolios/{portfolio_id}/retry"): {"backend", "support"},
    ("POST", "/v1/portfolios/{portfolio_id}/reject"): {"backend", "support"},
    ("POST", "/v1/portfolios/{portfolio_id}/tickets"): {"backend", "support"},
    ("POST", "/v1/portfolios/{portfolio_id}/cancel"): {"backend", "support"},
    ("GET", "/v1/events"): {"backend", "support", "operator", "old side", "new side", "another firm"},
    ("GET", "/v1/webhooks"): {"backend", "support", "operator", "old side", "new side", "another firm"},
    ("POST", "/v1/webhooks"): {"backend", "operator", "old side", "new side", "another firm"},
    ("GET", "/v1/webhooks/{webhook_id}"): {"backend", "support", "operator", "old side"},
    ("PATCH", "/v1/webhooks/{webhook_id}"): {"backend", "operator", "old side"},
    ("POST", "/v1/webhooks/{webhook_id}/secret"): {"backend", "operator", "old side"},
    ("POST", "/v1/webhooks/{webhook_id}/redeliver"): {"backend", "operator", "old side"},
    ("DELETE", "/v1/webhooks/{webhook_id}"): {"backend", "operator", "old side"},
    ("POST", "/v1/uploads/preview"): {"backend", "support", "old side", "new side", "another firm"},
    ("POST", "/v1/uploads"): {"backend", "support", "old side", "new side", "another firm"},
    ("POST", "/v1/incidents"): {"support"},
    ("POST", "/v1/deliveries"): {"backend"},
    ("GET", "/v1/environments/{environment_id}/retirement"): {"backend", "support", "operator", "old side"},
    ("POST", "/v1/environments/{environment_id}/retirement"): {"backend", "support", "old side"},
    ("POST", "/v1/environments/{environment_id}/retirement/call-back"): {"backend", "support", "old side"},
}
SIDES = {"old side", "new side"}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/transfers/{transfer_id}/reject": {"reason": "test"},
    "/v1/transfers/{transfer_id}/checklist": {"item": "becon_number", "reason": "test"},
    "/v1/transfers/{transfer_id}/reschedule": {"evening": "2020-01-01", "reason": "test"},
    "/v1/transfers/{transfer_id}/correct": {"name": "Anders", "reason": "test"},
    "/v1/deliveries": {"address": "a@b.nl", "raw": "bWFpbA==", "received_at": "2026-11-29T13:02:11Z"},
    "/v1/transfers/{transfer_id}/mails": {"kind": "ready", "reason": "test"},
    "/v1/portfolios/{portfolio_id}/reject": {"number": 1, "reason": "test"},
    "/v1/portfolios": {"licence": NEW, "reason": "test"},
    "/v1/licences/{licence_number}": {"holder_name": "N", "kind": "firm", "host": "n", "contact_email": "n@n.example"},
    "/v1/environments/{environment_id}": {"licence": OLD, "name": "enyoi"},
    "/v1/webhooks": {"url": "https://93.184.216.34/"},
    "/v1/webhooks/{webhook_id}": {"description": "test"},
    "/v1/webhooks/{webhook_id}/redeliver": {"after": 0},
}
FORGED = (
    *("00000000-0000-0000-0000-000000000000", "none", "x" * 2_000, "%00", "%27%20or%201=1--", "..%2f..%2flivez"),
    *("00000000-0000-0000-0000-00000000000g", "{0}", "*", "transfer-00000000-0000-0000-0000-000000000000"),
)
REFUSED = (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)
CASES = [
    pytest.param(method, path, who, id=f"{method} {path.removeprefix('/v1')} by {who}")
    for (method, path) in MAY
    for who in WHO
]


@pytest.fixture(scope="module")
async def moved(client: TransferClient, context: ApiContext) -> dict[str, str]:
    """A transfer from OLD to NEW that has been released: whatever is asked of it now changes nothing."""
    ready = await client.prepare(f"{OLD}/enyoi", requested_by="old side")
    old = ready.preview.environment.environment_id
    await client.upload(ready.ticket, licence=NEW, name="Overgenomen", uploaded_by="new side")
    await client.start_now(ready.workflow_id, by="test")
    async for _ in snapshots(client, ready.workflow_id, lambda s: s.state is TransferState.AWAITING_RELEASE):
        continue
    await client.release(ready.workflow_id, by="new side")
    report = (await client.results(ready.workflow_id)).report
    assert report is not None
    booked = report.years[0]
    portfolio_id = uuid.uuid4()
    plan: dict[str, Any] = {"name_pattern": "{name}", "first_evening": None, "per_night": 1, "created_by": "test"}
    await context.portfolios.create(portfolio_id, licence=NEW, environments=[old], from_licence=None, **plan)
    return {
        "transfer_id": str(ready.transfer_id),
        "environment_id": str(old),
        "administration": str(booked.administration_id),
        "year": str(booked.year),
        "webhook_id": str(uuid.uuid4()),
        "evening": "2026-12-01",
        "portfolio_id": str(portfolio_id),
        "licence_number": "90001",
    }


async def ask(session: httpx.AsyncClient, method: str, path: str, ids: dict[str, str]) -> httpx.Response:
    """Send a request that is right in every way but, perhaps, its sender."""
    url = path.format(**ids)
    if path == "/v1/uploads/preview":
        return await session.post(url, files={"ticket": ("t.avr", b"no ticket")})
    if path in ("/v1/uploads", "/v1/incidents"):
        form = {"licence": NEW, "name": "Nieuw", "url_part": "nieuw-1", "login_email": "a@b.nl", "reason": "test"}
        if path == "/v1/uploads":
            del form["login_email"], form["licence"]
        return await session.post(url, data=form, files={"ticket": ("t.avr", b"no ticket")})
    if method == "GET":
        asked = {"administration": ids["administration"], "check": "trial_balance"} if path.endswith("/rows") else {}
        asked |= {"name": "Nieuw"} if path == "/v1/names" else {}
        return await session.get(url, params=asked)
    if method == "DELETE":
        return await session.delete(url)
    body = BODIES.get(path, {"reason": "test"})
    if path == "/v1/portfolios":
        body = {**body, "environments": [ids["environment_id"]]}
    if path == "/v1/transfers":
        body = {**body, "environment_id": ids["environment_id"]}
    return await session.request(method, url, json=body)


def test_every_route_is_judged(app: FastAPI) -> None:
    """Has a line in the matrix above for each route of the API."""
    found = {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        if path.startswith("/v1")
        for method in methods
    }
    assert found == set(MAY)


@pytest.mark.parametrize(("method", "path", "who"), CASES)
async def test_who_may_do_what(  # noqa: PLR0917 - pytest names them
    context: ApiContext, callers: Callers, moved: dict[str, str], method: str, path: str, who: str
) -> None:
    """Answers each role as the matrix says, and a stranger's transfer like none at all."""
    roles, licence = WHO[who]
    unknown = {**moved, **{name: str(uuid.uuid4()) for name in ("transfer_id", "webhook_id", "portfolio_id")}}
    if path != "/v1/portfolios":
        unknown["environment_id"] = str(uuid.uuid4())
    if "{webhook_id}" in path:  # whoever may has deleted it
        which, url = uuid.UUID(moved["webhook_id"]), "https://93.184.216.34/"
        await context.webhooks.register(which, licence=OLD, url=url, types=(), description="", created_by="test")
    async with callers.session(*roles, licence=licence) as session:
        answer = await ask(session, method, path, moved)
        stranger = await ask(session, method, path, unknown)
    if who in MAY[method, path]:
        assert answer.status_code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
        assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        if method == "PUT":  # that it does not exist yet is what it is for; here it has another's name
            assert stranger.status_code in (HTTPStatus.OK, HTTPStatus.CONFLICT)
        elif "_id}" in path:
            assert stranger.status_code == HTTPStatus.NOT_FOUND
        return
    assert answer.status_code in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
    # A side of the transfer knows that it exists, and hears that this is not its half.
    if "{transfer_id}" in path and who in SIDES:
        assert answer.status_code == HTTPStatus.FORBIDDEN
        return
    assert answer.status_code == stranger.status_code
    assert {**answer.json(), "instance": ""} == {**stranger.json(), "instance": ""}


@pytest.mark.parametrize(
    ("method", "path"), [key for key in MAY if "_id}" in key[1] or key == ("POST", "/v1/transfers")]
)
async def test_a_made_up_id_is_refused_and_tells_nothing(
    callers: Callers, moved: dict[str, str], method: str, path: str
) -> None:
    """Answers ids that are none, or something else's, with a refusal: whoever asks, and without a word of the books."""
    swapped = {name: moved["transfer_id" if name == "environment_id" else "environment_id"] for name in moved}
    named = ("transfer_id", "environment_id", "webhook_id", "portfolio_id")
    forged = [swapped, *({**moved, **dict.fromkeys(named, one)} for one in FORGED)]
    if "{administration}" in path:
        forged += [
            {**moved, "administration": moved["transfer_id"]},
            {**moved, "year": "0"},
            {**moved, "year": "99999"},
        ]
    for roles, licence in (WHO["support"], WHO["another firm"]):
        async with callers.session(*roles, licence=licence) as session:
            for ids in forged:
                answer = await ask(session, method, path, ids)
                assert answer.status_code in REFUSED, (ids, answer.text)
                assert "enyoi" not in answer.text.lower()


@pytest.mark.parametrize(("method", "path"), list(MAY))
async def test_nobody_comes_in_without_a_token(callers: Callers, moved: dict[str, str], method: str, path: str) -> None:
    """Answers 401 on every route without a token."""
    async with callers.session() as session:
        answer = await ask(session, method, path, moved)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert answer.headers["www-authenticate"].startswith("Bearer")
