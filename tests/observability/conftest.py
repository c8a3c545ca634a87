"""One stack on which environments move over HTTP while everything that operators see is collected."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from adapters.crypto.payload_codec import encrypting
from adapters.temporal.client import connect_temporal
from devstack.issuer import EmbeddedIssuer
from devstack.seed import make_books
from devstack.stack import Stack
from domain.authority import Caller, Role
from domain.reconciliation import RECONCILE_WORKFLOW, Reconcile
from starter.client.connect import connect, settings_of
from tests.observability.collector import Collector
from workflows.task_queues import TRANSFERS

OTHERS = ("SB_TRANSFER_", "TEMPORAL_", "OTEL_")
OLD, NEW, OTHER = "10001", "10002", "10003"
# What customers are called, and a person: none of it may be seen by operators.
NAMES = ("Enyoi", "Linden Tandartsen", "Enyoi Marmerzacht")
PERSON = "Anna Kwartelslag"


@dataclass(frozen=True)
class Night:
    """What a night left behind: one environment was released, one was cancelled."""

    stack: Stack
    folder: Path
    collector: Collector
    released: str
    undone: str

    def metrics(self) -> dict[str, str]:
        """Return what the worker and the API show, by program."""
        info = self.stack.info
        assert info.metrics_url is not None
        assert info.api_metrics_url is not None
        return {
            "sb-transfer-worker": httpx.get(info.metrics_url, timeout=60).text,
            "sb-transfer-api": httpx.get(info.api_metrics_url, timeout=60).text,
        }


def session(stack: Stack, licence: str | None) -> httpx.AsyncClient:
    """Return a firm's user over HTTP, or an operator."""
    assert stack.info.api_url is not None
    role = Role.FIRM if licence else Role.OPERATOR
    caller = Caller(subject=str(licence), name=PERSON, roles=frozenset({role}), licence_number=licence)
    token = EmbeddedIssuer(stack.folder).token(caller, timedelta(minutes=10))

    async def give_key(request: httpx.Request) -> None:
        request.headers["Idempotency-Key"] = str(uuid.uuid4())

    return httpx.AsyncClient(
        base_url=stack.info.api_url,
        headers={"Authorization": f"Bearer {token}"},
        event_hooks={"request": [give_key]},
        timeout=60,
    )


async def until(asking: httpx.AsyncClient, path: str, state: str) -> None:
    async with asyncio.timeout(120):
        while (await asking.get(path)).json().get("state") != state:  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0.2)


@pytest.fixture(scope="package")
async def night(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Night]:
    """Move two environments, with every program's output, metrics and spans kept."""
    folder = tmp_path_factory.mktemp("night")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    with Collector() as collector:
        environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        async with Stack(folder, api=True, environment=environment) as stack:
            variables = stack.process_environment()
            settings = settings_of(variables)
            await make_books(settings, journal_lines=1_000)
            async with connect(settings, environment=variables) as client:
                moved = await client.environment(f"{OLD}/{NAMES[0]}")
                kept = await client.environment(f"{OTHER}/{NAMES[1]}")
            released, undone, _ = await asyncio.gather(
                move(stack, moved.environment_id), cancel(stack, kept.environment_id), inspect(stack)
            )
            yield Night(stack, folder, collector, released, undone)


async def move(stack: Stack, environment_id: uuid.UUID) -> str:
    """Move an environment from OLD to NEW, as both do it; a name that is nobody's is asked for on the way."""
    async with session(stack, OLD) as old, session(stack, NEW) as new, session(stack, None) as operator:
        begun = await old.post("/v1/transfers", json={"environment_id": str(environment_id)})
        transfer_id = str(begun.json()["transfer_id"])
        path = f"/v1/transfers/{transfer_id}"
        await until(old, path, "awaiting_upload")
        ticket = await old.post(f"{path}/ticket", json={})
        for url_part in ("www", "nieuw"):  # the first is the platform's own: an activity that fails is measured too
            form = {"name": NAMES[2], "url_part": url_part}
            taken = await new.post("/v1/uploads", data=form, files={"ticket": ("t.avr", ticket.content)})
        assert taken.status_code == HTTPStatus.ACCEPTED, taken.text
        started = await operator.post(f"{path}/start-now", json={"reason": "test"})
        assert started.is_success, started.text
        await until(new, path, "awaiting_release")
        assert (await new.get(f"/v1/transfers/{NAMES[0]}")).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        released = await new.post(f"{path}/release", json={})
        assert released.is_success, released.text
        await until(new, path, "released")
    return transfer_id


async def cancel(stack: Stack, environment_id: uuid.UUID) -> str:
    """Prepare a move, and have it undone."""
    async with session(stack, OTHER) as old:
        begun = await old.post("/v1/transfers", json={"environment_id": str(environment_id)})
        transfer_id = str(begun.json()["transfer_id"])
        await until(old, f"/v1/transfers/{transfer_id}", "awaiting_upload")
        await old.post(f"/v1/transfers/{transfer_id}/cancel", json={})
        await until(old, f"/v1/transfers/{transfer_id}", "undone")
    return transfer_id


async def inspect(stack: Stack) -> None:
    """Have the worker look at everything, as it does every night."""
    settings = settings_of(stack.process_environment())
    client = await connect_temporal(
        environment=stack.process_environment(), data_converter=encrypting(settings.payload_keys)
    )
    await client.execute_workflow(RECONCILE_WORKFLOW, Reconcile(), id="the nightly look", task_queue=TRANSFERS)
