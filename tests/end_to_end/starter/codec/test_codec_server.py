"""The codec server, as the Temporal UI, Temporal's own program and strangers find it."""

import asyncio
import json
import os
import subprocess
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from adapters.crypto.payload_codec import encrypting
from adapters.settings import settings_of
from adapters.temporal.client import connect_temporal
from devstack.api import CodecProcess
from devstack.binaries import temporal_cli
from devstack.issuer import EmbeddedIssuer
from devstack.stack import Stack
from domain import messages as m
from domain.authority import Caller, Role
from domain.errors import Misconfigured

STRANGERS = ["http://127.0.0.1:1", "https://evil.example", "null", ""]
OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
WORKFLOW, WHO = "transfer-1", "Anna van der Zwaluw"
MAY = {Role.OPERATOR, Role.SUPPORT}


def token(stack: Stack, role: Role) -> str:
    licence = "10001" if role is Role.FIRM else None
    caller = Caller(subject=f"{role}-1", name="Anna", roles=frozenset({role}), licence_number=licence)
    return EmbeddedIssuer(stack.folder).token(caller, timedelta(minutes=5))


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose UI has a codec server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    folder = tmp_path_factory.mktemp("stack")
    async with Stack(folder, worker=False, codec=True, environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
async def server(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token."""
    async with httpx.AsyncClient(base_url=str(stack.info.codec_url), timeout=60) as session:
        yield session


@pytest.fixture(scope="module")
async def payloads(stack: Stack) -> dict[str, Any]:
    """What a history begins with: who prepares."""
    variables = stack.process_environment()
    keys = settings_of(variables).payload_keys
    client = await connect_temporal(environment=variables, data_converter=encrypting(keys))
    order = m.TransferInput(environment_id=uuid.uuid4(), requested_by=WHO)
    started = await client.start_workflow("Nobody", order, id=WORKFLOW, task_queue="nobody")
    history = json.loads((await started.fetch_history()).to_json())
    found: dict[str, Any] = history["events"][0]["workflowExecutionStartedEventAttributes"]["input"]
    return found


async def readings(stack: Stack) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(stack.info.database_url)
    rows = await connection.fetch(
        "select subject, name, roles, action, payloads, namespace from control.history_reading order by reading_id"
    )
    await connection.close()
    return [dict(row) for row in rows]


@pytest.mark.parametrize("role", sorted(Role))
async def test_only_operators_and_support_read_and_each_time_is_written_down(
    stack: Stack, server: httpx.AsyncClient, payloads: dict[str, Any], role: Role
) -> None:
    """Decodes for operators and support alone, and records each reading."""
    before = await readings(stack)
    headers = {"Authorization": f"Bearer {token(stack, role)}", "X-Namespace": "default"}
    answer = await server.post("/decode", json=payloads, headers=headers)
    written = (await readings(stack))[len(before) :]
    if role in MAY:
        assert answer.status_code == HTTPStatus.OK
        assert WHO.encode() in plain(answer)
        assert written == [
            {
                "subject": f"{role}-1",
                "name": "Anna",
                "roles": [role],
                "action": "decode",
                "payloads": 1,
                "namespace": "default",
            }
        ]
        assert f"decode of 1 payloads of namespace default for {role}-1" in (stack.folder / "codec/log").read_text()
    else:
        assert answer.status_code == HTTPStatus.FORBIDDEN
        assert written == []


def plain(answer: httpx.Response) -> bytes:
    return b"\n".join(b64decode(payload["data"]) for payload in answer.json()["payloads"])


async def test_what_is_encoded_here_is_read_by_the_service(stack: Stack, server: httpx.AsyncClient) -> None:
    """Encodes what the service then decodes."""
    headers = {"Authorization": f"Bearer {token(stack, Role.OPERATOR)}"}
    typed = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "e30="}]}
    encoded = (await server.post("/encode", json=typed, headers=headers)).json()
    assert encoded["payloads"][0]["metadata"]["encoding"] == "YmluYXJ5L2VuY3J5cHRlZA=="
    assert (await server.post("/decode", json=encoded, headers=headers)).json() == typed
    assert (await server.post("/decode", json=typed, headers=headers)).json() == typed  # from before encryption


@pytest.mark.parametrize("origin", STRANGERS)
async def test_a_page_of_somebody_else_gets_nothing(
    server: httpx.AsyncClient, payloads: dict[str, Any], origin: str
) -> None:
    """Refuses requests of a page with another origin."""
    headers = {"Origin": origin}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = await server.options("/decode", headers={**headers, **asked})
    assert "access-control-allow-origin" not in preflight.headers
    answer = await server.post("/decode", json=payloads, headers=headers)
    assert answer.status_code == HTTPStatus.UNAUTHORIZED
    assert "access-control-allow-origin" not in answer.headers


async def test_the_embedded_ui_reads_without_a_login_and_in_its_own_name(
    stack: Stack, server: httpx.AsyncClient, payloads: dict[str, Any]
) -> None:
    """Decodes for the embedded UI without a token, recorded under the UI's name."""
    for origin in (str(stack.info.ui_url), str(stack.info.ui_url).replace("127.0.0.1", "localhost")):
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,authorization-extras,content-type,x-namespace",
        }
        preflight = await server.options("/decode", headers={"Origin": origin, **asked})
        assert preflight.status_code == HTTPStatus.OK
        assert preflight.headers["access-control-allow-origin"] == origin
        answer = await server.post("/decode?preserveStorageRefs=true", json=payloads, headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["cache-control"] == "no-store"
        assert WHO.encode() in plain(answer)
    assert (await readings(stack))[-1]["subject"] == "embedded-ui"


async def test_outside_the_embedded_stack_a_token_is_needed(
    stack: Stack, payloads: dict[str, Any], tmp_path: Path
) -> None:
    """Refuses the same request without a token outside the embedded stack."""
    issuer = {name: value for name, value in EmbeddedIssuer(stack.folder).settings().items() if "EMBEDDED" not in name}
    variables = {
        **stack.process_environment(),
        **issuer,
        "SB_TRANSFER_OIDC_ISSUER": "https://identity.example",
        "SB_TRANSFER_OIDC_JWKS_URL": "https://identity.invalid/jwks.json",
        "SB_TRANSFER_CODEC_ORIGINS": "https://temporal.example",
    }
    process = CodecProcess(tmp_path / "codec")
    process.configure(variables)
    await process.start()
    try:
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as session:
            assert (await session.get("/livez")).json() == {"status": "ok"}
            origin = {"Origin": "https://temporal.example"}
            answer = await session.post("/decode", json=payloads, headers=origin)
            assert answer.status_code == HTTPStatus.UNAUTHORIZED
            assert answer.headers["access-control-allow-origin"] == origin["Origin"]  # the UI shows why
            assert answer.json()["type"] == "urn:sb-transfer:problem:not-authenticated"
            forged = {"Authorization": f"Bearer {token(stack, Role.OPERATOR)}"}
            refused = await session.post("/decode", json=payloads, headers=forged)
            assert refused.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE)
    finally:
        await process.stop()
    open_to_all = {**stack.process_environment(), "SB_TRANSFER_EMBEDDED": "true", "SB_TRANSFER_CODEC_HOST": "0.0.0.0"}  # noqa: S104
    with pytest.raises(Misconfigured, match=r"SB_TRANSFER_CODEC_HOST: .*this machine only"):
        settings_of(open_to_all)
    for wildcard in ("*", "https://*.example", "temporal.example"):
        with pytest.raises(Misconfigured, match="SB_TRANSFER_CODEC_ORIGINS"):
            settings_of({**stack.process_environment(), "SB_TRANSFER_CODEC_ORIGINS": wildcard})


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", HTTPStatus.UNPROCESSABLE_ENTITY),
        (b"\xff", "application/json", HTTPStatus.UNPROCESSABLE_ENTITY),
        (b'{"payloads": 1}', "application/json", HTTPStatus.UNPROCESSABLE_ENTITY),
        (b'{"payloads": []}', "text/plain", HTTPStatus.UNPROCESSABLE_ENTITY),
        (b" " * (8 * 1024 * 1024 + 1), "application/json", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
async def test_odd_requests_are_refused_in_words(
    stack: Stack, server: httpx.AsyncClient, content: bytes, kind: str, status: HTTPStatus
) -> None:
    """Refuses odd requests with a sentence, and never with a 500."""
    headers = {"Authorization": f"Bearer {token(stack, Role.OPERATOR)}", "Content-Type": kind}
    answer = await server.post("/decode", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_what_a_missing_key_encrypted_comes_back_as_it_is(
    stack: Stack, server: httpx.AsyncClient, payloads: dict[str, Any]
) -> None:
    """Reads the rest of a history beside payloads of a key that is not here, and names that key in the log."""
    headers = {"Authorization": f"Bearer {token(stack, Role.OPERATOR)}"}
    metadata = {**payloads["payloads"][0]["metadata"], "encryption-key-id": "MDEyMzQ1Njc4OWFiY2RlZg=="}
    unknown = {**payloads["payloads"][0], "metadata": metadata}
    nameless = {"metadata": {"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="}, "data": "AAAA"}
    sent = {"payloads": [unknown, *payloads["payloads"], nameless]}
    answer = await server.post("/decode", json=sent, headers=headers)
    assert answer.status_code == HTTPStatus.OK
    assert WHO.encode() in plain(answer)
    assert [answer.json()["payloads"][at] for at in (0, 2)] == [unknown, nameless]
    assert "0123456789abcdef is not on the ring" in (stack.folder / "codec/log").read_text()


async def test_a_strangers_body_is_not_read(stack: Stack) -> None:
    """Answers whoever has no good token before the first byte of the body, however much is announced."""
    address = urlsplit(str(stack.info.codec_url))
    for head in ("", "Authorization: Bearer nonsense\r\n", f"Authorization: Bearer {token(stack, Role.FIRM)}\r\n"):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        request = f"POST /decode HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}"
        writer.write(f"{request}Content-Length: 8000000\r\n\r\n".encode())
        async with asyncio.timeout(20):
            line = await reader.readline()
        assert line.split()[1] in (b"401", b"403")
        writer.close()


async def test_others_are_answered_while_megabytes_are_decoded(stack: Stack, server: httpx.AsyncClient) -> None:
    """Decodes outside the event loop: `/livez` is answered before a large body is."""
    headers = {"Authorization": f"Bearer {token(stack, Role.OPERATOR)}"}
    many = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "e30="}] * 20_000}
    asked = asyncio.create_task(server.post("/decode", json=many, headers=headers))
    answered = 0
    while not asked.done():
        assert (await server.get("/livez")).status_code == HTTPStatus.OK
        answered += not asked.done()  # how many there is time for is the machine's
    assert (await asked).json() == many
    assert answered
    more: dict[str, Any] = {"payloads": [{}] * 20_001}
    refused = await server.post("/decode", json=more, headers=headers)
    assert refused.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def test_temporals_own_program_reads_by_it(stack: Stack, payloads: dict[str, Any]) -> None:
    """Decodes for the `temporal` program with a token."""
    assert payloads
    command = [str(temporal_cli()), "workflow", "show", "--workflow-id", WORKFLOW, "--detailed"]
    reach = ["--address", stack.info.temporal_address, "--codec-endpoint", str(stack.info.codec_url)]
    shown = await asyncio.to_thread(
        subprocess.run,
        [*command, *reach, "--codec-auth", f"Bearer {token(stack, Role.SUPPORT)}"],
        env={"HOME": str(stack.folder)},
        check=True,
        capture_output=True,
    )
    assert f"requested_by: {WHO}".encode() in shown.stdout


async def test_the_record_cannot_be_changed(stack: Stack) -> None:
    """Refuses any change of the record of readings."""
    connection = await asyncpg.connect(stack.info.database_url)
    row = "insert into control.history_reading (at, subject, name, roles, action, payloads, namespace) values "
    try:
        await connection.execute(f"{row} (now(), 'a', 'b', '{{}}', 'decode', 1, '')")
        for statement in ("delete from", "truncate", "update"):
            rest = " set name = ''" if statement == "update" else ""
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await connection.execute(f"{statement} control.history_reading{rest}")
        await connection.execute(f"{row} (now() - interval '13 months', 'old', 'b', '{{}}', 'decode', 1, '')")
        assert await connection.execute("delete from control.history_reading where subject = 'old'") == "DELETE 1"
    finally:
        await connection.close()
