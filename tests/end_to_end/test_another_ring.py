"""A program with other payload keys than all others refuses to start, and poisons nothing."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from adapters.crypto.payload_codec import encrypting, payload_key_id
from adapters.temporal.client import connect_temporal
from devstack.seed import SHOW_MOVES, make_books
from devstack.stack import Stack
from devstack.worker import COMMAND
from domain.vocabulary import TransferState
from starter.client.connect import connect, settings_of
from tests.end_to_end.test_kills import clean_environment, reach

SWITCH = next(move for move in SHOW_MOVES if move.scenario == "switch")
KEYS = "SB_TRANSFER_PAYLOAD_KEYS"
SB_TRANSFER = str(Path(sys.executable).with_name("sb-transfer"))
PROGRAMS = {
    "worker": COMMAND,
    "api": (SB_TRANSFER, "api"),
    "codec": (SB_TRANSFER, "codec"),
    "list": (SB_TRANSFER, "list"),
    "reconcile": (SB_TRANSFER, "reconcile"),
    "setup": (SB_TRANSFER, "setup"),
}


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack with books, and everything that has the ring."""
    folder = tmp_path_factory.mktemp("ring") / "stack"
    async with Stack(folder, api=True, codec=True, environment=clean_environment()) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=1_000)
        yield running


def another(stack: Stack) -> tuple[dict[str, str], str]:
    """Return the stack's variables with a ring of somebody else's, and the name of its key."""
    key = os.urandom(32)
    ring = base64.b64encode(key).decode()
    tokens = {
        "SB_TRANSFER_OIDC_ISSUER": "https://login.sb.example",
        "SB_TRANSFER_OIDC_JWKS_URL": "https://login.sb.example/keys",
    }
    return {**stack.process_environment(), **tokens, KEYS: ring}, payload_key_id(key)


async def run(*command: str, environment: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, " ".join(said.decode().split())


@pytest.mark.parametrize("program", sorted(PROGRAMS))
async def test_a_program_with_another_ring_refuses_to_start(stack: Stack, program: str) -> None:
    """Refuses to start, names the missing key's id and what to do, and shows no key."""
    environment, _ = another(stack)
    code, said = await run(*PROGRAMS[program], environment=environment)
    assert code == 4, said
    assert "SB_TRANSFER_PAYLOAD_KEYS lacks" in said
    assert "at its end" in said
    assert environment[KEYS] not in said


async def test_a_worker_with_a_wrong_key_beside_a_right_one_poisons_nothing(stack: Stack) -> None:
    """Completes a move with no payload of its history under the wrong key."""
    environment, wrong = another(stack)
    variables = stack.process_environment()
    tried = 0

    async def keep_trying() -> None:
        nonlocal tried
        while True:
            code, said = await run(*COMMAND, environment=environment)
            assert code == 4, said
            tried += 1

    trying = asyncio.create_task(keep_trying())
    async with connect(settings_of(variables), environment=variables) as client:
        ready = await client.prepare(f"{SWITCH.old_licence}/{SWITCH.environment}", requested_by="old side")
        await client.upload(ready.ticket, licence=SWITCH.new_licence, name="Heel", uploaded_by="new side")
        await client.start_now(ready.workflow_id, by="test")
        await reach(client, ready.workflow_id, TransferState.AWAITING_RELEASE)
        await client.release(ready.workflow_id, by="new side")
        assert (await client.result(ready.workflow_id)).state is TransferState.RELEASED
    async with asyncio.timeout(60):
        while not tried and not trying.done():  # noqa: ASYNC110 - a process of its own
            await asyncio.sleep(0.1)
    assert not trying.done(), trying.exception()
    trying.cancel()
    keys = settings_of(variables).payload_keys
    temporal = await connect_temporal(environment=variables, data_converter=encrypting(keys))
    history = (await temporal.get_workflow_handle(ready.workflow_id).fetch_history()).to_json()
    assert base64.b64encode(wrong.encode()).decode() not in history
    assert base64.b64encode(payload_key_id(base64.urlsafe_b64decode(variables[KEYS])).encode()).decode() in history


async def test_a_running_program_without_the_newest_key_is_not_ready(stack: Stack) -> None:
    """Says not ready in a program that lacks the newest key."""
    environment, new = another(stack)
    old = stack.process_environment()[KEYS]
    code, said = await run(SB_TRANSFER, "setup", environment={**environment, KEYS: f"{environment[KEYS]},{old}"})
    assert code == 0, said
    async with httpx.AsyncClient(base_url=str(stack.info.api_url), timeout=60) as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert f"lacks {new}" in answer.json()["payload_keys"]
        # The new key encrypts the schedule by now: it is forgotten only by who knows that it is lost.
        needed = ("payload-keys", "--forget", new)
        right = stack.process_environment()
        code, said = await run(SB_TRANSFER, *needed, environment=right)
        assert code == 4, said
        assert "still needed" in said
        assert (await run(SB_TRANSFER, *needed, "--lost", environment=right))[0] == 1
        assert (await run(SB_TRANSFER, "setup", environment=right))[0] == 0
        assert (await http.get("/readyz")).status_code == 200
