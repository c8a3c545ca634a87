"""Each running program has its own role in the database, and in its environment the secrets that it uses."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from devstack.info import key_rings, session_keys
from devstack.stack import Stack
from tests.end_to_end.test_kills import clean_environment


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack with all its programs."""
    folder = tmp_path_factory.mktemp("privilege") / "stack"
    async with Stack(folder, api=True, codec=True, web=True, environment=clean_environment()) as running:
        yield running


def variables_of(stack: Stack, program: str) -> str:
    return Path(f"/proc/{stack.info.pids[program]}/environ").read_text()


async def test_each_program_is_connected_as_its_own_role(stack: Stack) -> None:
    """A program that is taken over has the rights of its role and no more."""
    async with httpx.AsyncClient(base_url=str(stack.info.api_url), timeout=60) as http:
        assert (await http.get("/readyz")).status_code == 200
    owner = await asyncpg.connect(stack.info.database_url)
    rows = await owner.fetch(
        "select distinct usename, application_name from pg_stat_activity where application_name like 'sb-transfer%'"
    )
    await owner.close()
    seen = {(row["usename"], row["application_name"]) for row in rows}
    assert {role for role, name in seen if name == "sb-transfer client"} == {"sb_api", "sb_codec"}
    assert {role for role, name in seen if name != "sb-transfer client"} == {"sb_owner"}


async def test_each_program_has_the_secrets_that_it_uses(stack: Stack) -> None:
    """The owner's password and the keys of certificates are the worker's alone; the codec server has no ticket's."""
    rings = {**key_rings(stack.folder, {}), **session_keys(stack.folder, {})}
    secrets = {name.removeprefix("SB_TRANSFER_").lower(): value for name, value in rings.items()}
    assert stack._postgres is not None
    for role in ("sb_owner", "sb_api", "sb_codec"):
        secrets[role] = stack._postgres.dsn(role)
    held = {
        program: {name for name, secret in secrets.items() if secret in variables_of(stack, program)}
        for program in ("worker", "api", "codec", "web")
    }
    assert held == {
        "worker": {"sb_owner", "ticket_keys", "certificate_keys", "payload_keys"},
        "api": {"sb_api", "ticket_keys", "payload_keys"},
        "codec": {"sb_codec", "payload_keys"},
        "web": {"web_session_keys"},
    }
