"""The served API while what it stands on goes away, and while it is told to stop."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import asyncpg
import httpx
import pytest

from adapters.crypto.payload_codec import EncryptingCodec
from adapters.postgres.shards import set_up
from adapters.settings import settings_of
from devstack.api import ApiProcess
from devstack.issuer import EmbeddedIssuer
from devstack.postgres import EmbeddedPostgres
from devstack.stack import Stack
from domain.authority import Caller, Role
from starter.api.main import NEEDS
from starter.client.client import TransferClient


@pytest.fixture
async def served(stack: Stack, tmp_path: Path) -> AsyncIterator[ApiProcess]:
    """An API process of the test's own on the common stack."""
    process = ApiProcess(tmp_path / "api")
    process.configure(stack.api_environment())
    await process.start()
    yield process
    await process.stop()


async def test_it_lives_and_is_ready(served: ApiProcess) -> None:
    """Answers `/livez` and `/readyz` with 200 once it serves."""
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as session:
        assert (await session.get("/livez")).json() == {"status": "ok"}
        ready = await session.get("/readyz")
    assert ready.status_code == HTTPStatus.OK
    assert ready.json() == {"ready": True, "database": "ok", "migrations": "ok", "temporal": "ok", "payload_keys": "ok"}


async def test_without_its_database_it_lives_and_is_not_ready(stack: Stack, tmp_path: Path) -> None:
    """Stays alive and says not ready while its database is away."""
    own = EmbeddedPostgres(tmp_path / "postgres")
    await own.start()
    process = ApiProcess(tmp_path / "api")
    variables = stack.api_environment()
    await set_up(own.dsn(), {}, EncryptingCodec(settings_of(variables, NEEDS).payload_keys).key_ids)
    owner = await asyncpg.connect(own.dsn())
    await owner.execute("delete from control.migration")
    await owner.close()
    process.configure({**variables, "SB_TRANSFER_DATABASE_URL": own.dsn("sb_api")})
    try:
        await process.start()
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as session:
            unmigrated = await session.get("/readyz")
            assert unmigrated.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            await own.stop()
            assert (await session.get("/livez")).status_code == HTTPStatus.OK
            away = await session.get("/readyz")
            who = Caller(subject="b", name="b", roles=frozenset({Role.BACKEND}))
            token = EmbeddedIssuer(stack.folder).token(who, timedelta(minutes=5))
            listed = await session.get("/v1/transfers", headers={"Authorization": f"Bearer {token}"})
    finally:
        await process.stop()
        await own.stop()
    assert away.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert away.json()["database"] == "does not answer"
    assert listed.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert listed.json()["type"] == "urn:sb-transfer:problem:unavailable"
    assert int(listed.headers["retry-after"]) > 0


async def test_a_request_at_work_is_answered_after_the_signal(
    served: ApiProcess, stack: Stack, client: TransferClient
) -> None:
    """Answers a request that was under way when SIGTERM came."""
    environment = await client.environment("10002/Bloemisterij Smit")
    who = Caller(subject="deploy", name="Deploy", roles=frozenset({Role.BACKEND}))
    token = EmbeddedIssuer(stack.folder).token(who, timedelta(minutes=5))
    body = json.dumps({"environment_id": str(environment.environment_id)}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.ports["http"])
    head = (
        f"GET /v1/environments/{environment.environment_id}/preview HTTP/1.1\r\nHost: api\r\n"
        f"Authorization: Bearer {token}\r\nIdempotency-Key: {uuid.uuid4()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:5])
    await writer.drain()
    async with httpx.AsyncClient(base_url=served.url, timeout=60) as session:
        await session.get("/livez")  # so that the half request before it has been read as far as it goes
    os.kill(served.pid, signal.SIGTERM)
    while await listens(served.ports["http"]):  # noqa: ASYNC110 - another process closes it
        await asyncio.sleep(0.05)
    writer.write(body[5:])
    line = await reader.readline()
    writer.close()
    assert line.split()[1] == b"200", line


async def listens(port: int) -> bool:
    """Tell whether somebody takes connections."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
