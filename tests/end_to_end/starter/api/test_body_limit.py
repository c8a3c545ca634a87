"""How often a ticket may be tried, by whom, from where, and for which licence."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope
from starlette.types import Send as ASGISend

from adapters.api_store.rate_limit import Rate
from adapters.postgres.connection import Pool
from adapters.postgres.database import database
from devstack.stack import Stack
from domain.authority import Role
from domain.vocabulary import TransferState
from starter.api.application import build_app
from starter.api.dependencies import ApiContext, Limits
from starter.client.client import TransferClient
from starter.client.connect import settings_of
from starter.client.polling import snapshots
from starter.http.body_limit import BodyLimit
from starter.http.server import uvicorn_config
from tests.end_to_end.starter.api.conftest import NEW, OLD, OTHER, Callers

# Not a minute: a busy machine would pay off an attempt between two requests.
AN_HOUR = 3
A_DAY = 4
LIMITS = Limits(
    uploads=Rate(AN_HOUR, timedelta(hours=1)),
    changes=Rate(6, timedelta(hours=1)),
    reschedules=Rate(A_DAY, timedelta(days=1)),
)
Send = Callable[..., httpx.AsyncClient]


@pytest.fixture(autouse=True)
async def pool(stack: Stack) -> AsyncIterator[Pool]:
    """A pool in which nobody has tried anything yet."""
    async with database(settings_of(stack.process_environment()).database_url) as opened:
        await opened.execute("delete from control.api_attempt")
        yield opened


@pytest.fixture
def served(stack: Stack, context: ApiContext, callers: Callers) -> Callable[..., Send]:
    """The application as uvicorn serves it, with three attempts an hour, behind these proxies."""

    def behind(*proxies: str) -> Send:
        @asynccontextmanager
        async def opened() -> AsyncIterator[ApiContext]:
            yield context

        app = build_app(opened)
        app.state.context = replace(context, limits=LIMITS)
        given = settings_of(stack.process_environment() | {"SB_TRANSFER_API_TRUSTED_PROXIES": ",".join(proxies)})
        config = uvicorn_config(app, "127.0.0.1", 0, grace_seconds=1, trusted_proxies=given.api_trusted_proxies)
        config.load()

        def session(address: str, *roles: Role, licence: str | None = None) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {callers.token(*roles, licence=licence)}"}
            transport = httpx.ASGITransport(config.loaded_app, client=(address, 1))
            return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)

        return session

    return behind


async def tried(session: httpx.AsyncClient, licence: str = "", **headers: str) -> httpx.Response:
    """Try a file that is no ticket."""
    form = {"name": "Guess", "licence": licence}
    headers["Idempotency-Key"] = str(uuid.uuid4())
    return await session.post("/v1/uploads", data=form, files={"ticket": ("t.avr", b"x")}, headers=headers)


async def test_a_licence_may_try_so_often_from_everywhere(served: Callable[..., Send]) -> None:
    """Limits a licence's attempts over all its addresses together."""
    session = served()
    for number in range(AN_HOUR):
        assert (await tried(session(f"203.0.113.{number}", Role.FIRM, licence=NEW))).status_code == 422
    assert (await tried(session("203.0.113.9", Role.FIRM, licence=NEW))).status_code == 429
    assert (await tried(session("203.0.113.9", Role.FIRM, licence=OTHER))).status_code == 422


async def test_an_address_may_try_so_often_for_everybody(served: Callable[..., Send]) -> None:
    """Limits an address's attempts over all its tokens together."""
    session = served()
    for licence in ("10001", "10002", "10003"):
        assert (await tried(session("203.0.113.1", Role.FIRM, licence=licence))).status_code == 422
    assert (await tried(session("203.0.113.1", Role.FIRM, licence="10004"))).status_code == 429
    # A whole network is one customer's; the platform speaks for many from one address.
    for number in range(AN_HOUR):
        v6 = f"2001:db8:1:2::{number + 1}"
        assert (await tried(session(v6, Role.FIRM, licence=f"2000{number}"))).status_code == 422
    assert (await tried(session("2001:db8:1:2::ffff", Role.FIRM, licence="20009"))).status_code == 429
    for licence in ("1", "2", "3", "4", "5"):
        assert (await tried(session("203.0.113.1", Role.BACKEND), licence=licence)).status_code == 422


async def test_a_forwarded_address_is_believed_of_a_trusted_proxy_only(served: Callable[..., Send]) -> None:
    """Takes the forwarded address from a trusted proxy, and its own address from anybody else."""
    direct = [served()("198.51.100.7", Role.FIRM, licence=f"3000{number}") for number in range(AN_HOUR + 1)]
    answers = [await tried(one, **{"X-Forwarded-For": f"203.0.113.{n}"}) for n, one in enumerate(direct)]
    assert [answer.status_code for answer in answers] == [*([422] * AN_HOUR), 429]
    assert answers[-1].json()["type"].endswith(":too-many-attempts")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 3600 / AN_HOUR
    session = served("10.0.0.0/8")
    for number in range(AN_HOUR + 2):
        proxied = session("10.1.2.3", Role.FIRM, licence=f"3001{number}")
        answer = await tried(proxied, **{"X-Forwarded-For": f"6.6.6.6, 203.0.113.{60 + number}"})
        assert answer.status_code == 422, answer.text
    behind = session("10.1.2.3", Role.FIRM, licence="30020")
    # The sender's own word stands to the left of what the proxy saw.
    assert (await tried(behind, **{"X-Forwarded-For": "203.0.113.99, 203.0.113.60"})).status_code == 422
    more = [await tried(behind, **{"X-Forwarded-For": f"203.0.113.{n}, 203.0.113.60"}) for n in range(2)]
    assert [answer.status_code for answer in more] == [422, 429]


async def test_binding_a_ticket_is_no_way_to_ask_for_licences(
    served: Callable[..., Send], client: TransferClient
) -> None:
    """Limits how many licence numbers one caller can try by binding tickets."""
    environment = await client.environment("10002/Van Dam Horeca")
    session = served()("203.0.113.1", Role.FIRM, licence="10002")
    answers = []
    for number in range(AN_HOUR + 1):
        body = {"environment_id": str(environment.environment_id), "for_licence": f"9999{number}"}
        answers.append(await session.post("/v1/transfers", json=body, headers={"Idempotency-Key": str(uuid.uuid4())}))
    assert [answer.status_code for answer in answers] == [*([422] * AN_HOUR), 429]
    assert answers[0].json()["type"].endswith(":licence-unknown")


async def test_nobody_has_live_streams_without_end(
    served: Callable[..., Send], context: ApiContext, client: TransferClient
) -> None:
    """Refuses a caller's next live stream above the limit."""
    which = (await client.prepare("10002/Van Dam Horeca", requested_by="test")).transfer_id
    session = served()("203.0.113.1", Role.OPERATOR)
    context.open_streams["operator:None:Anna"] = 20
    try:
        refused = await session.get(f"/v1/transfers/{which}/progress")
    finally:
        del context.open_streams["operator:None:Anna"]
    assert refused.json()["type"].endswith(":too-many-attempts")
    await client.cancel(str(which), by="test")
    async for _ in snapshots(client, str(which), lambda sight: sight.state.is_final):
        continue


async def test_whoever_has_two_roles_uploads_for_their_own_licence_only(callers: Callers) -> None:
    """Refuses an operator with a firm's token an upload for another licence."""
    async with callers.session(Role.FIRM, Role.OPERATOR, licence=OLD) as session:
        for licence, problem in ((NEW, ":licence-unknown"), (OLD, ":ticket-not-genuine")):
            form = {"name": "Guess", "licence": licence}
            answer = await session.post("/v1/uploads", data=form, files={"ticket": ("t.avr", b"x")})
            assert answer.json()["type"].endswith(problem)


async def test_an_answer_is_repeated_in_the_same_capacity_only(callers: Callers, client: TransferClient) -> None:
    """Repeats a kept answer to the same subject in the same licence only."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    path = f"/v1/transfers/{ready.transfer_id}/cancel"
    for licence, status in (("10002", 200), ("10002", 200)):
        async with callers.session(Role.FIRM, licence=licence) as session:
            assert (await session.post(path, json={}, headers=key)).status_code == status
    subject = "firm:10002:Anna"
    token = callers.token(Role.BACKEND, subject=subject)
    async with callers.session() as session:
        answer = await session.post(path, json={}, headers={**key, "Authorization": f"Bearer {token}"})
    assert answer.json()["type"].endswith(":key-reused")
    async for _ in snapshots(client, str(ready.transfer_id), lambda sight: sight.state.is_final):
        continue


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """Closes a request whose body does not arrive in time."""
    answered: list[str] = []

    async def silence() -> Message:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits this long")

    def answering(with_what: str) -> ASGIApp:
        async def answer(_: Scope, __: Receive, ___: ASGISend) -> None:
            answered.append(with_what)

        return answer

    async def send(_: Message) -> None:
        raise AssertionError("nothing is sent here")

    limit = BodyLimit(answering("app"), answering("large"), answering("slow"), patience_seconds=0.05)
    await limit({"type": "http", "path": "/v1/transfers", "headers": []}, silence, send)
    assert answered == ["slow"]


async def test_a_stolen_ticket_is_worth_nothing_for_another_licence(callers: Callers, client: TransferClient) -> None:
    """Refuses a bound ticket under any other licence."""
    environment = await client.environment("10002/Van Dam Horeca")
    async with callers.session(Role.FIRM, licence="10002") as old:
        body = {"environment_id": str(environment.environment_id), "for_licence": OTHER}
        begun = await old.post("/v1/transfers", json=body)
        which = begun.json()["transfer_id"]
        async for _ in snapshots(client, which, lambda sight: sight.state is TransferState.AWAITING_UPLOAD):
            continue
        file = (await old.post(f"/v1/transfers/{which}/ticket", json={})).content
    async with callers.session(Role.FIRM, licence=OLD) as thief:
        form = {"name": "Gestolen", "url_part": "gestolen"}
        stolen = await thief.post("/v1/uploads", data=form, files={"ticket": ("t.avr", file)})
    assert stolen.json()["type"].endswith(":ticket-for-another-licence")
    assert OTHER not in stolen.text
    async with callers.session(Role.FIRM, licence=OTHER) as right:
        taken = await right.post("/v1/uploads", data=form, files={"ticket": ("t.avr", file)})
    assert taken.status_code == HTTPStatus.ACCEPTED, taken.text
    kinds = {event.kind: event.actor for event in await client.events(which)}
    assert kinds["upload_refused"] == f"Anna ({OLD})"
    await client.cancel(which, by="test")
    async for _ in snapshots(client, which, lambda sight: sight.state.is_final):
        continue


async def test_what_the_state_refuses_sends_no_signal_and_is_limited(
    served: Callable[..., Send], client: TransferClient
) -> None:
    """Answers thirty releases of a move that awaits its upload itself: neither history nor log grows by them."""
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    which = str(ready.transfer_id)
    history = await client.history_events(which)
    answers = []
    for number in range(30):
        session = served()(f"203.0.113.{number}", Role.BACKEND)
        key = {"Idempotency-Key": str(uuid.uuid4())}
        answers.append(await session.post(f"/v1/transfers/{which}/release", json={}, headers=key))
    assert [answer.status_code for answer in answers] == [*([409] * 6), *([429] * 24)]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "release_refused" not in [event.kind for event in await client.events(which)]
    assert await client.history_events(which) < history + len(answers)  # the mail of before may have gone meanwhile
    await client.cancel(which, by="test")
    async for _ in snapshots(client, which, lambda seen: seen.state.is_final):
        continue
    over = await served()("203.0.113.99", Role.SUPPORT).post(
        f"/v1/transfers/{which}/start-now", json={"reason": "x"}, headers={"Idempotency-Key": "one"}
    )
    assert over.status_code == HTTPStatus.TOO_MANY_REQUESTS


async def test_every_change_is_limited_by_licence_and_address(
    served: Callable[..., Send], client: TransferClient
) -> None:
    """Lets one firm, and one address, ask for so many changes in a time, whatever they are of."""
    environment = await client.environment("10002/Van Dam Horeca")
    body = {"environment_id": str(environment.environment_id), "for_licence": "10002"}

    async def start(address: str) -> int:
        session = served()(address, Role.FIRM, licence="10002")
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return (await session.post("/v1/transfers", json=body, headers=key)).status_code

    assert [await start(f"203.0.113.{number}") for number in range(AN_HOUR + 1)] == [*([422] * AN_HOUR), 429]
    del body["for_licence"]
    await client.prepare("10002/Van Dam Horeca", requested_by="test")
    answers = [await start(f"203.0.113.{number}") for number in range(8)]
    assert HTTPStatus.CONFLICT in answers
    assert answers[-1] == HTTPStatus.TOO_MANY_REQUESTS
    await client.cancel("10002/Van Dam Horeca", by="test")
    async for _ in snapshots(client, "10002/Van Dam Horeca", lambda seen: seen.state.is_final):
        continue


async def test_an_evening_is_changed_so_often_a_day(served: Callable[..., Send], client: TransferClient) -> None:
    """Keeps one caller from sending both sides a mail with each of sixty changes."""
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    which = str(ready.transfer_id)
    await client.upload(ready.ticket, licence=OTHER, name="Later", uploaded_by="test")
    answers = []
    for number in range(A_DAY + 1):
        evening = datetime.now(UTC).date() + timedelta(days=3 + number)
        session = served()("203.0.113.1", Role.FIRM, licence=OTHER)
        key = {"Idempotency-Key": str(uuid.uuid4())}
        body = {"evening": evening.isoformat()}
        answers.append(await session.post(f"/v1/transfers/{which}/reschedule", json=body, headers=key))
    assert [answer.status_code for answer in answers] == [*([200] * A_DAY), 429]
    assert int(answers[-1].headers["retry-after"]) > 3600
    await client.cancel(which, by="test")
    async for _ in snapshots(client, which, lambda seen: seen.state.is_final):
        continue
