"""One move through its states, and every route for both halves in each: nobody reads what is not open to it."""

import uuid
from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import httpx
import pytest

from devstack.stack import Stack
from domain import messages as m
from domain.authority import Role
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.polling import snapshots
from tests.end_to_end.starter.api.conftest import NEW, OLD, Callers
from tests.end_to_end.starter.api.test_authority import MAY

ENVIRONMENT = f"{OLD}/enyoi"
NEW_NAME, NEW_URL = "Zwaluwnest Boekhouding", "zwaluwnest-boekhouding"
TRANSFER = "/v1/transfers/{transfer_id}"
# A stream goes on and says what the transfer's own route says; a ticket's file holds what it is made for.
LEFT_OUT = {f"{TRANSFER}/progress", f"{TRANSFER}/ticket"}
READS = [path for method, path in MAY if method == "GET" and path.startswith(TRANSFER) and path not in LEFT_OUT]


@pytest.fixture
async def old(callers: Callers) -> AsyncIterator[httpx.AsyncClient]:
    """The side that loses the customer."""
    async with callers.session(Role.FIRM, licence=OLD) as session:
        yield session


@pytest.fixture
async def new(callers: Callers) -> AsyncIterator[httpx.AsyncClient]:
    """The side that takes it over."""
    async with callers.session(Role.FIRM, licence=NEW) as session:
        yield session


async def everything(session: httpx.AsyncClient, transfer_id: str, audited: dict[str, str], *environments: str) -> str:
    """Return all that a caller is told by every route that reads, but for what a ticket's file holds."""
    said = []
    for path in (read.format(transfer_id=transfer_id, **audited) for read in READS):
        asked = {"administration": audited["administration"], "check": "trial_balance"} if "rows" in path else {}
        said.append((await session.get(path, params=asked)).text)
        said.append((await session.get(path, params=asked, headers={"Accept": "text/html"})).text)
    for environment in environments:
        said.append((await session.get(f"/v1/environments/{environment}/preview")).text)
        body = {"environment_id": environment, "reason": "test"}
        said.append((await session.post("/v1/transfers", json=body)).text.replace(environment, ""))
    listed = (await session.get("/v1/transfers", params={"limit": 200})).json()["items"]
    said += [str(item) for item in listed if item["transfer_id"] == transfer_id]
    return "\n".join(said)


async def test_both_halves_in_every_state(
    stack: Stack, client: TransferClient, old: httpx.AsyncClient, new: httpx.AsyncClient
) -> None:
    """Shows no side anything of the other's, and the new one nothing of the books but while they are open."""
    preview = await client.preview(ENVIRONMENT)
    books = [*preview.administrations, *(quote.customer for quote in preview.open_quotes)]
    source = str(preview.environment.environment_id)
    owner = await asyncpg.connect(stack.info.database_url)
    booked = await owner.fetchrow(
        "select administration_id::text as administration, extract(year from entry_date)::int as year "
        f"from {preview.environment.schema_name}.journal_entry limit 1"
    )
    assert booked is not None
    audited = {name: str(value) for name, value in booked.items()}
    await owner.close()
    holder = (await client.environment(f"{NEW}/Van Dam Horeca")).licence_number
    theirs = [NEW_NAME, NEW_URL, f"'{holder}'", f'"{holder}"']
    ours = [f"'{OLD}'", f'"{OLD}"', preview.environment.url, preview.environment.mailbox_address]

    ready = await client.prepare(ENVIRONMENT, requested_by="old side")
    which = str(ready.transfer_id)
    assert not leaks(await everything(new, which, audited, source), [*books, *ours])

    accepted = await client.upload(ready.ticket, licence=NEW, name=NEW_NAME, url_part=NEW_URL, uploaded_by="new side")
    target = str(accepted.new_environment_id)
    for state in (TransferState.SCHEDULED, TransferState.AWAITING_RELEASE, TransferState.UNDONE):
        if state is TransferState.AWAITING_RELEASE:
            await client.start_now(which, by="test")
        if state is TransferState.UNDONE:
            await client.reject(which, by="new side", reason="test")
        async for _ in snapshots(client, which, partial(is_in, state)):
            continue
        told_new = await everything(new, which, audited, source, target)
        told_old = await everything(old, which, audited, target)
        assert not leaks(told_old, [*theirs, accepted.url])
        assert (await old.get(f"/v1/transfers/{which}")).json()["new_holder"]
        opened = state is TransferState.AWAITING_RELEASE
        # The certificate, once it is the new side's to read, says of which environment it is the copy.
        assert opened or not leaks(told_new, [*books, *ours])
        assert not leaks((await new.get(f"/v1/transfers/{which}")).text, ours)
        comparison = await new.get(f"/v1/transfers/{which}/comparison")
        assert comparison.status_code == (200 if opened else 409)
        assert (await new.get(f"/v1/environments/{target}/preview")).status_code == 404
        file = await new.get(f"/v1/transfers/{which}/auditfiles/{audited['administration']}/{audited['year']}")
        assert file.status_code == (200 if opened else 409)
        status = (await new.get(f"/v1/transfers/{which}")).json()
        assert bool(status["comparison"]) is opened


async def test_a_clone_that_is_being_built_looks_as_if_there_were_none(
    client: TransferClient, new: httpx.AsyncClient
) -> None:
    """Answers the new side alike for an environment that is not open to it and for one that does not exist."""
    ready = await client.prepare(ENVIRONMENT, requested_by="old side")
    accepted = await client.upload(ready.ticket, licence=NEW, name=NEW_NAME, url_part=NEW_URL, uploaded_by="new side")
    await client.start_now(str(ready.transfer_id), by="test")
    async for _ in snapshots(client, str(ready.transfer_id), lambda seen: seen.state is TransferState.AWAITING_RELEASE):
        continue
    answers = []
    for environment in (accepted.new_environment_id, uuid.uuid4()):
        preview = await new.get(f"/v1/environments/{environment}/preview")
        started = await new.post("/v1/transfers", json={"environment_id": str(environment)})
        answers += [(one.status_code, {**one.json(), "instance": ""}) for one in (preview, started)]
    assert answers[:2] == answers[2:]
    await client.cancel(str(ready.transfer_id), by="test")
    async for _ in snapshots(client, str(ready.transfer_id), lambda seen: seen.state.is_final):
        continue


def is_in(state: TransferState, status: m.TransferStatus) -> bool:
    """Tell whether a transfer has come to a state."""
    return status.state is state


def leaks(said: str, secrets: list[str]) -> list[str]:
    """Return which of these words were told."""
    return [secret for secret in secrets if secret in said]
