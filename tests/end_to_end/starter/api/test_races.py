"""Many at once for one thing, and words that could do harm, over HTTP."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import httpx
import pytest

from domain.authority import Role
from starter.client.client import TransferClient
from tests.end_to_end.starter.api.conftest import OLD, OTHER, Callers

AT_ONCE = 50
# What somebody types who hopes that it is run.
HOSTILE = (
    "'; drop table control.transfer; --",
    "\"; update control.environment set status = 'active'; --",
    "$1; select pg_sleep(60)",
    "x\r\nBcc: everybody@example.com",
    "x\nX-Injected: 1",
    "{{ 7*7 }}{% for x in () %}",
    "<img src=x onerror=alert(1)>",
    "..%2f..%2fetc/passwd",
    "\u202egnp.exe",
    "a\u0000b",
)


async def at_once(ask: Callable[[int, str], Awaitable[httpx.Response]]) -> list[httpx.Response]:
    """Ask fifty times at once, and as clients do once more whoever is told that the service is busy."""

    async def answered(number: int) -> httpx.Response:
        key = str(uuid.uuid4())
        while (answer := await ask(number, key)).status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            assert answer.json()["type"] == "urn:sb-transfer:problem:unavailable", answer.text
            await asyncio.sleep(1)
        return answer

    async with asyncio.timeout(120):
        return await asyncio.gather(*map(answered, range(AT_ONCE)))


async def test_fifty_prepares_of_one_environment_are_one_transfer(callers: Callers, client: TransferClient) -> None:
    """Starts one transfer for fifty prepares at once."""
    environment = str((await client.environment("10002/Van Dam Horeca")).environment_id)
    async with callers.session(Role.BACKEND) as session:
        answers = await at_once(
            lambda _, key: session.post(
                "/v1/transfers", json={"environment_id": environment}, headers={"Idempotency-Key": key}
            )
        )
    counted = Counter(answer.status_code for answer in answers)
    assert counted == {HTTPStatus.ACCEPTED: 1, HTTPStatus.CONFLICT: AT_ONCE - 1}


async def test_fifty_uploads_of_one_ticket_are_one_upload(callers: Callers, client: TransferClient) -> None:
    """Accepts one of fifty uploads of a ticket at once."""
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    async with callers.session(Role.BACKEND) as session:
        answers = await at_once(
            lambda number, key: session.post(
                "/v1/uploads",
                data={"licence": OLD, "name": f"Race {number}", "url_part": f"race-{number}"},
                files={"ticket": ("t.avr", ready.ticket)},
                headers={"Idempotency-Key": key},
            )
        )
    taken = [answer for answer in answers if answer.status_code == HTTPStatus.ACCEPTED]
    assert len(taken) == 1, Counter(answer.text for answer in answers)
    assert {a.json()["type"].rpartition(":")[2] for a in answers if a not in taken} == {"ticket-used"}


async def test_one_url_goes_to_one_of_the_firms_that_want_it(callers: Callers, client: TransferClient) -> None:
    """Gives a url to one of the firms that ask for it at once, and refuses the others."""
    wanted = ("10002/Van Dam Horeca", "10001/Hofman Groep", "20003/Wolters Design")
    ready = [await client.prepare(which, requested_by="test") for which in wanted]
    async with callers.session(Role.BACKEND) as session:
        answers = await at_once(
            lambda number, key: session.post(
                "/v1/uploads",
                data={"licence": OTHER, "name": f"Wanted {number}", "url_part": "one-url"},
                files={"ticket": ("t.avr", ready[number % len(ready)].ticket)},
                headers={"Idempotency-Key": key},
            )
        )
    taken = [answer for answer in answers if answer.status_code == HTTPStatus.ACCEPTED]
    assert len(taken) == 1, Counter(answer.text for answer in answers)
    assert {a.json()["type"].rpartition(":")[2] for a in answers if a not in taken} <= {"url-taken", "ticket-used"}


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_words_are_data_or_refused(callers: Callers, client: TransferClient, text: str) -> None:
    """Stores hostile names, urls and addresses as text, or refuses them."""
    before = len(await client.transfers(limit=500))
    async with callers.session(Role.BACKEND, Role.SUPPORT) as session:
        form = {"licence": text, "name": text, "url_part": text, "login_email": text, "reason": text}
        files = {"ticket": ("../../" + text.replace("\r", "").replace("\n", ""), b"no ticket")}
        answers = [
            await session.post("/v1/uploads", data=form, files=files),
            await session.post("/v1/incidents", data=form, files=files),
            await session.post("/v1/transfers", json={"environment_id": text}),
            await session.get("/v1/transfers", params={"licence": text}),
            await session.get("/v1/transfers", params={"cursor": text}),
            await session.post(f"/v1/transfers/{uuid.uuid4()}/mails", json={"kind": "ready", "to": text}),
            await session.post(f"/v1/transfers/{uuid.uuid4()}/cancel", json={"reason": text}),
        ]
    for answer in answers:
        assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, answer.text
        assert "x-injected" not in answer.headers
    assert len(await client.transfers(limit=500)) == before


async def test_hostile_reasons_are_kept_as_they_are(callers: Callers, client: TransferClient) -> None:
    """Keeps hostile reasons in the log as they were written."""
    texts = [text for text in HOSTILE if "\u0000" not in text]
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    path = f"/v1/transfers/{ready.transfer_id}"
    async with callers.session(Role.SUPPORT) as session:
        for text in texts:
            answer = await session.post(f"{path}/ticket", json={"reason": text})
            assert answer.status_code == HTTPStatus.OK, answer.text
        mail = await session.post(
            f"{path}/mails", json={"kind": "ticket_issued", "to": "a@b.nl\r\nBcc: x@y.nl", "reason": "x"}
        )
        assert mail.json()["sent"] == 0, mail.text
        assert "not a usable e-mail address" in mail.json()["problems"][0]["problem"]
        events = (await session.get(f"{path}/events")).json()
    assert [event["reason"] for event in events if event["kind"] == "support_ticket"] == texts
