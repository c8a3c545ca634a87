"""What every request meets: refusals, repetition, limits and pages, whatever it asks for."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx
import pytest

from devstack.stack import Stack
from domain.authority import Role
from domain.vocabulary import TransferState
from starter.api.dependencies import ApiContext
from starter.api.idempotency import unquoted
from starter.client.client import TransferClient
from starter.client.polling import snapshots
from starter.http import problems
from tests.end_to_end.starter.api.conftest import OLD, OTHER, Callers

UNKNOWN = "/v1/transfers/00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def backend(callers: Callers) -> AsyncIterator[httpx.AsyncClient]:
    """The platform's backend."""
    async with callers.session(Role.BACKEND) as session:
        yield session


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("", "nl"),
        ("nl-NL,nl;q=0.9,en;q=0.8", "nl"),
        ("en-GB,en;q=0.9", "en"),
        ("fr, en;q=0.5, nl;q=0.1", "en"),
        ("en;q=0.1, nl;q=0.9", "nl"),
        ("en;q=0, nl;q=0.1", "nl"),
        ("en;q=x", "nl"),
        ("*", "nl"),
    ],
)
async def test_a_refusal_is_in_the_callers_language(backend: httpx.AsyncClient, asked: str, language: str) -> None:
    """Answers in the language that was asked for, under one stable type."""
    answer = await backend.get(UNKNOWN, headers={"Accept-Language": asked})
    problem = answer.json()
    assert answer.status_code == problem["status"] == HTTPStatus.NOT_FOUND
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-language"] == language
    assert problem["type"] == "urn:sb-transfer:problem:transfer-unknown"
    assert problem["instance"] == UNKNOWN
    assert problem["detail"] == problem["details"][language]
    assert problem["details"]["nl"] != problem["details"]["en"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("DELETE", "/v1/transfers", 405), ("GET", "/v1/transfers/one", 422)],
)
async def test_what_no_route_takes_is_a_problem_detail_too(
    backend: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """Answers unknown paths and methods with problem details."""
    answer = await backend.request(method, path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_types_stay_as_they_are() -> None:
    """Keeps each problem's type as it is documented."""
    assert problems.type_of(problems.KeyReused) == "urn:sb-transfer:problem:key-reused"
    assert problems.type_of(problems.InternalError) == "urn:sb-transfer:problem:internal-error"
    assert problems.type_of(problems.NotAllowed) == "urn:sb-transfer:problem:not-allowed"


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b'{"environment_id": "\\ud800"}', b"[]", b"[" * 30_000, b'{"environment_id": 1e999}']
)
async def test_a_body_that_cannot_be_read_is_the_senders_mistake(backend: httpx.AsyncClient, body: bytes) -> None:
    """Answers an unreadable body with 422."""
    answer = await backend.post("/v1/transfers", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["type"] == "urn:sb-transfer:problem:request-invalid"


async def test_a_form_that_cannot_be_read_is_the_senders_mistake(backend: httpx.AsyncClient) -> None:
    """Answers an unreadable form with 422."""
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = await backend.post("/v1/uploads", content=b"--y\r\nnonsense", headers={"Content-Type": kind})
        assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer.text


async def test_a_repeated_start_is_one_transfer(callers: Callers, client: TransferClient) -> None:
    """Repeats the first answer to a start with the same key."""
    environment = await client.environment("10002/Van Dam Horeca")
    body = {"environment_id": str(environment.environment_id), "reason": "again"}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    async with callers.session(Role.BACKEND) as session:
        first = await session.post("/v1/transfers", json=body, headers=key)
        again = await session.post("/v1/transfers", json=body, headers=key)
        assert first.status_code == again.status_code == HTTPStatus.ACCEPTED
        assert again.content == first.content
        assert again.headers["location"] == first.headers["location"]
        assert again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in first.headers
        other = await session.post("/v1/transfers", json={**body, "reason": "other"}, headers=key)
        assert other.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert other.json()["type"].endswith(":key-reused")
        new = await session.post("/v1/transfers", json=body)
        assert new.status_code == HTTPStatus.CONFLICT
        assert new.json()["type"].endswith(":already-in-transfer")
    async with callers.session(Role.BACKEND, name="Somebody else") as session:
        assert (await session.post("/v1/transfers", json=body, headers=key)).status_code == HTTPStatus.CONFLICT
    await end(client, first.json()["transfer_id"])


async def test_a_start_whose_answer_was_never_kept_finds_its_own_transfer(
    callers: Callers, client: TransferClient, context: ApiContext
) -> None:
    """Finds the transfer that an unanswered start with this key has begun."""
    environment = await client.environment("10002/Van Dam Horeca")
    body = {"environment_id": str(environment.environment_id)}
    key = str(uuid.uuid4())
    async with callers.session(Role.BACKEND, name="Cut off") as session:
        first = await session.post("/v1/transfers", json=body, headers={"Idempotency-Key": key})
        assert first.status_code == HTTPStatus.ACCEPTED, first.text
        await forget_answer(context, key)
        again = await session.post("/v1/transfers", json=body, headers={"Idempotency-Key": key})
    assert again.status_code == HTTPStatus.ACCEPTED
    assert again.json() == first.json()
    assert "idempotency-replayed" not in again.headers
    await end(client, first.json()["transfer_id"])


async def test_one_key_at_a_time(callers: Callers, client: TransferClient) -> None:
    """Does one of two requests with one key at once, and refuses the other for now."""
    environment = await client.environment("10002/Van Dam Horeca")
    body = {"environment_id": str(environment.environment_id)}
    key = {"Idempotency-Key": str(uuid.uuid4())}
    async with callers.session(Role.BACKEND) as session:
        answers = await asyncio.gather(*(session.post("/v1/transfers", json=body, headers=key) for _ in range(10)))
    taken = [answer for answer in answers if answer.status_code == HTTPStatus.ACCEPTED]
    assert len({answer.json()["transfer_id"] for answer in taken}) == 1
    for answer in answers:
        if answer not in taken:
            assert answer.status_code == HTTPStatus.CONFLICT
            assert answer.json()["type"].endswith(":key-in-use")
            assert int(answer.headers["retry-after"]) > 0
    await end(client, taken[0].json()["transfer_id"])


@pytest.mark.parametrize("key", ["", "x" * 201, "two words", "caf\xe9"])
async def test_a_post_needs_a_key(backend: httpx.AsyncClient, key: str) -> None:
    """Refuses a POST without an Idempotency-Key."""
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    answer = await backend.post(f"{UNKNOWN}/cancel", json={}, headers=headers)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["where"] == "header.Idempotency-Key"


async def test_a_form_is_the_same_with_another_boundary(callers: Callers, client: TransferClient) -> None:
    """Takes a form with another boundary for the same request."""
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    key = {"Idempotency-Key": str(uuid.uuid4())}
    form = {"name": "Van Dam", "url_part": "van-dam-again"}
    async with callers.session(Role.FIRM, licence=OLD) as session:
        answers = [
            await session.post(
                "/v1/uploads",
                data=form,
                files={"ticket": ("t.avr", ready.ticket)},
                headers={**key, "Content-Type": f"multipart/form-data; boundary={boundary}"},
            )
            for boundary in ("one", "two")
        ]
        form["name"] = "Van Dam B.V."
        other = await session.post("/v1/uploads", data=form, files={"ticket": ("t.avr", ready.ticket)}, headers=key)
    assert [answer.status_code for answer in answers] == [HTTPStatus.ACCEPTED] * 2, answers[0].text
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert other.json()["type"].endswith(":key-reused")
    await end(client, str(ready.transfer_id))


@pytest.mark.parametrize("claim", ["more", "chunked", "nonsense", "negative"])
async def test_too_large_is_refused_before_it_is_read(stack: Stack, callers: Callers, claim: str) -> None:
    """Refuses a body above the limit before it is read, whatever length it names."""
    said = {"more": "Content-Length: 99999999", "chunked": "Transfer-Encoding: chunked"}
    length = said.get(claim, f"Content-Length: {'-1' if claim == 'negative' else 'x'}")
    api_url = stack.info.api_url
    assert api_url is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api_url.rpartition(":")[2]))
    head = (
        f"POST /v1/transfers HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {callers.token(Role.BACKEND)}\r\n"
        f"Idempotency-Key: {uuid.uuid4()}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    )
    writer.write(head.encode())
    if claim == "chunked":
        for _ in range(5):  # a fifth of a megabyte in all, without an end
            writer.write(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
    await writer.drain()
    line = await reader.readline()
    writer.close()
    assert line.split()[1] == (b"400" if claim in ("nonsense", "negative") else b"413"), line


async def test_pages_hold_each_transfer_once_while_new_ones_come(callers: Callers, client: TransferClient) -> None:
    """Returns each transfer on one page exactly, while new ones begin."""
    for _ in range(3):
        await end(client, str((await client.prepare("10002/Van Dam Horeca", requested_by="test")).transfer_id))
    before = {str(record.transfer_id) for record in await client.transfers(limit=200)}
    seen: list[str] = []
    async with callers.session(Role.OPERATOR) as session:
        page = (await session.get("/v1/transfers", params={"limit": 2})).json()
        seen += [item["transfer_id"] for item in page["items"]]
        new = await client.prepare("10002/Van Dam Horeca", requested_by="test")
        while page["next_cursor"]:
            page = (await session.get("/v1/transfers", params={"limit": 2, "cursor": page["next_cursor"]})).json()
            seen += [item["transfer_id"] for item in page["items"]]
        filtered = (await session.get("/v1/transfers", params={"state": "awaiting_upload", "licence": "10002"})).json()
    assert len(seen) == len(set(seen))
    assert set(seen) == before
    assert str(new.transfer_id) in {item["transfer_id"] for item in filtered["items"]}
    assert {item["state"] for item in filtered["items"]} == {"awaiting_upload"}
    await end(client, str(new.transfer_id))


@pytest.mark.parametrize("cursor", ["x", "é", "WzEsMl0=", "W10=", "bnVsbA==", "WyIyMDI2LTAxLTAxIiwgIngiXQ=="])
async def test_a_made_up_cursor_is_refused(backend: httpx.AsyncClient, cursor: str) -> None:
    """Refuses an altered cursor with 422."""
    answer = await backend.get("/v1/transfers", params={"cursor": cursor})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


async def test_a_firm_lists_its_own_transfers_only(callers: Callers) -> None:
    """Lists a firm's own transfers, whatever filter it gives."""
    async with callers.session(Role.FIRM, licence=OTHER) as session:
        mine = (await session.get("/v1/transfers")).json()
        theirs = (await session.get("/v1/transfers", params={"licence": "10002"})).json()
    assert theirs == {"items": [], "next_cursor": None}
    assert all(OTHER in (item["source_licence"], item["target_licence"]) for item in mine["items"])


async def forget_answer(context: ApiContext, key: str) -> None:
    """Leave a request as a killed server does: begun long ago, and not answered."""
    async with context.keys._pool.acquire() as connection:
        await connection.execute(
            "update control.api_request set status = null, headers = null, body = null,"
            " began_at = began_at - interval '1 hour' where key = $1",
            key,
        )


async def end(client: TransferClient, which: str) -> None:
    """Undo a transfer, and wait until its environment may be moved again."""
    await client.cancel(which, by="test")
    async for _ in snapshots(client, which, lambda sight: sight.state is TransferState.UNDONE):
        continue


async def test_a_key_in_quotes_is_the_same_key(callers: Callers) -> None:
    """Takes a structured field's string and the bare text for one key, as clients of either manner send it."""
    subject = str(uuid.uuid4())
    bearer = {"Authorization": f"Bearer {callers.token(Role.BACKEND, subject=subject)}"}
    body = {"environment_id": str(uuid.uuid4()), "reason": "x"}
    assert unquoted('"abc"') == unquoted("abc") == "abc"
    assert unquoted('"a\\"b\\\\"') == 'a"b\\'
    async with callers.session() as session:
        for key in ('"abc', "abc def", '""', '"a b"', '"abc";x=1', '"a\\b"'):
            answer = await session.post("/v1/transfers", json=body, headers={**bearer, "Idempotency-Key": key})
            assert answer.json()["type"].endswith(":request-invalid"), key


async def test_json_in_another_order_is_the_same_request(callers: Callers, client: TransferClient) -> None:
    """Repeats the answer to a request whose fields come in another order and with other spaces, under either key."""
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    path = f"/v1/transfers/{ready.transfer_id}/cancel"
    key, bodies = str(uuid.uuid4()), (b'{"reason": "\\u00e9"}', b' {"reason":"\xc3\xa9" } ')
    async with callers.session(Role.BACKEND) as session:
        first, again = [
            await session.post(
                path, content=body, headers={"Idempotency-Key": name, "Content-Type": "application/json"}
            )
            for body, name in zip(bodies, (key, f'"{key}"'), strict=True)
        ]
    assert first.status_code == HTTPStatus.OK, first.text
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    async for _ in snapshots(client, str(ready.transfer_id), lambda seen: seen.state.is_final):
        continue


@pytest.mark.parametrize("year", ["0001", "1999", "2200", "9999"])
async def test_a_cursor_of_another_age_is_refused(callers: Callers, year: str) -> None:
    """Refuses a moment that the database cannot hold, instead of failing on it."""
    place = json.dumps([f"{year}-01-01T00:00:00+14:00", str(uuid.uuid4())])
    cursor = base64.urlsafe_b64encode(place.encode()).decode()
    async with callers.session(Role.BACKEND) as session:
        answer = await session.get("/v1/transfers", params={"cursor": cursor})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


async def test_an_incident_is_for_self_managed_licences_only(callers: Callers, client: TransferClient) -> None:
    """Refuses support a firm's licence, and counts a licence with spaces around it as that licence."""
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    form = {"licence": " 10001 ", "name": "A", "url_part": "a-1", "login_email": "a@b.nl", "reason": "test"}
    async with callers.session(Role.SUPPORT) as session:
        answer = await session.post("/v1/incidents", data=form, files={"ticket": ("t.avr", ready.ticket)})
    assert answer.json()["type"].endswith(":not-self-managed"), answer.text
    await client.cancel(str(ready.transfer_id), by="test")
    async for _ in snapshots(client, str(ready.transfer_id), lambda seen: seen.state.is_final):
        continue


@pytest.mark.parametrize(
    "path",
    ["/v1/transfers?stat=scheduled", f"{UNKNOWN}?x=1", f"{UNKNOWN}/events?from=1", f"{UNKNOWN}/progress?after=1"],
)
async def test_a_query_parameter_that_is_not_known_is_refused(backend: httpx.AsyncClient, path: str) -> None:
    """Refuses a mistyped filter by name, instead of answering another question."""
    answer = await backend.get(path)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["where"].startswith("query.")


async def test_transfers_are_found_by_environment_licence_and_outcome(
    callers: Callers, client: TransferClient, backend: httpx.AsyncClient
) -> None:
    """Finds the moves of one environment that ended in one way, and of somebody else's nothing."""
    environment = await client.environment("10002/Van Dam Horeca")
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    await client.cancel(str(ready.transfer_id), by="test")
    async for _ in snapshots(client, str(ready.transfer_id), lambda seen: seen.state.is_final):
        continue

    async def found(session: httpx.AsyncClient, **wanted: str) -> set[str]:
        answer = await session.get("/v1/transfers", params={**wanted, "limit": "200"})
        return {item["transfer_id"] for item in answer.json()["items"]}

    which, of = str(ready.transfer_id), {"environment_id": str(environment.environment_id)}
    assert which in await found(backend, **of, licence=" 10002 ", outcome="cancelled")
    assert which not in await found(backend, **of, outcome="released")
    assert which not in await found(backend, **of, licence=OLD)
    assert which not in await found(backend, environment_id=str(uuid.uuid4()))
    async with callers.session(Role.FIRM, licence=OTHER) as stranger:
        assert which not in await found(stranger, **of)
