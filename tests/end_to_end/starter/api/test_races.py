"""Many at once for one thing, and words that could do harm, over HTTP."""

import asyncio
import uuid
from collections import Counter
from http import HTTPStatus

import pytest

from domain.authority import Role
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.polling import snapshots
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


async def test_fifty_prepares_of_one_environment_are_one_transfer(callers: Callers, client: TransferClient) -> None:
    """Starts one transfer for fifty prepares at once."""
    environment = str((await client.environment("10002/Van Dam Horeca")).environment_id)
    async with callers.session(Role.BACKEND) as session:
        answers = await asyncio.gather(
            *(session.post("/v1/transfers", json={"environment_id": environment}) for _ in range(AT_ONCE))
        )
    counted = Counter(answer.status_code for answer in answers)
    assert counted == {HTTPStatus.ACCEPTED: 1, HTTPStatus.CONFLICT: AT_ONCE - 1}
    await end(client, next(a.json()["transfer_id"] for a in answers if a.status_code == HTTPStatus.ACCEPTED))


async def test_fifty_uploads_of_one_ticket_are_one_upload(callers: Callers, client: TransferClient) -> None:
    """Accepts one of fifty uploads of a ticket at once."""
    ready = await client.prepare("10002/Van Dam Horeca", requested_by="test")
    async with callers.session(Role.BACKEND) as session:
        answers = await asyncio.gather(
            *(
                session.post(
                    "/v1/uploads",
                    data={"licence": OLD, "name": f"Race {number}", "url_part": f"race-{number}"},
                    files={"ticket": ("t.avr", ready.ticket)},
                )
                for number in range(AT_ONCE)
            )
        )
    taken = [answer for answer in answers if answer.status_code == HTTPStatus.ACCEPTED]
    assert len(taken) == 1, Counter(answer.text for answer in answers)
    assert {a.json()["type"].rpartition(":")[2] for a in answers if a not in taken} == {"ticket-used"}
    await end(client, str(ready.transfer_id))


async def test_one_url_goes_to_one_of_the_firms_that_want_it(callers: Callers, client: TransferClient) -> None:
    """Gives a url to one of the firms that ask for it at once, and refuses the others."""
    wanted = ("10002/Van Dam Horeca", "10001/Hofman Groep", "20003/Wolters Design")
    ready = [await client.prepare(which, requested_by="test") for which in wanted]
    targets = [OTHER] * len(ready)
    async with callers.session(Role.BACKEND) as session:
        answers = await asyncio.gather(
            *(
                session.post(
                    "/v1/uploads",
                    data={"licence": licence, "name": f"Wanted {uuid.uuid4()}", "url_part": "one-url"},
                    files={"ticket": ("t.avr", one.ticket)},
                )
                for _ in range(AT_ONCE // len(ready) + 1)
                for one, licence in zip(ready, targets, strict=True)
            )
        )
    taken = [answer for answer in answers if answer.status_code == HTTPStatus.ACCEPTED]
    assert len(taken) == 1, Counter(answer.text for answer in answers)
    assert {a.json()["type"].rpartition(":")[2] for a in answers if a not in taken} <= {"url-taken", "ticket-used"}
    for one in ready:
        await end(client, str(one.transfer_id))


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
    await end(client, str(ready.transfer_id))


async def end(client: TransferClient, which: str) -> None:
    """Undo a transfer, and wait until its environment may be moved again."""
    await client.cancel(which, by="test")
    async for _ in snapshots(client, which, lambda sight: sight.state is TransferState.UNDONE):
        continue
