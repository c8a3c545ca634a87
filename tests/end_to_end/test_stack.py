"""The whole stack as people run it: killed in every way, started again, stopped, and put on servers of their own."""

import asyncio
import base64
import signal
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from adapters.temporal.client import connect_temporal
from devstack import processes
from devstack.info import StackInfo, environment_of
from devstack.mail import MailCatcher
from devstack.postgres import EmbeddedPostgres
from devstack.stack import Stack
from devstack.temporal import EmbeddedTemporal
from domain.errors import Misconfigured, TransferError, Unavailable
from tests.end_to_end.up import Up, alive, kill_all, kill_everything

_BLANK: dict[str, str] = {}
KEY_RINGS = ("ticket-keys", "certificate-keys", "payload-keys")


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A folder for a stack; nothing of it runs after the test."""
    yield tmp_path / "stack"
    await asyncio.to_thread(kill_all, tmp_path / "stack")


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


async def leave_traces(info: StackInfo) -> None:
    """Put something durable into the database and into Temporal."""
    connection = await asyncpg.connect(info.database_url)
    await connection.execute("create table public.trace as select 42 as value")
    await connection.close()
    client = await connect_temporal(environment={"TEMPORAL_ADDRESS": info.temporal_address})
    await client.start_workflow("Nobody", id="transfer-1", task_queue="nobody")


async def assert_traces(info: StackInfo) -> None:
    connection = await asyncpg.connect(info.database_url)
    assert await connection.fetchval("select value from public.trace") == 42
    await connection.close()
    client = await connect_temporal(environment={"TEMPORAL_ADDRESS": info.temporal_address})
    assert (await client.get_workflow_handle("transfer-1").describe()).id == "transfer-1"


@pytest.mark.parametrize("crash", ["the parent alone", "everything"])
async def test_a_new_start_takes_over_after_kill_9(folder: Path, crash: str) -> None:
    """Takes over after kill -9 of everything, with the waiting transfer and nothing running twice, no worker either."""
    parts = ["mail", "postgres", "temporal", "worker"]
    first = Up(folder, worker=True)
    info = await first.ready()
    await leave_traces(info)
    keys = [(folder / ring).read_text() for ring in KEY_RINGS]
    if crash == "everything":
        kill_everything(info)
        first.process.communicate(timeout=90)
    else:
        first.end(signal.SIGKILL)
        assert alive(folder) == parts
    assert environment_of(folder) is None, "a killed stack's addresses must not be given to anybody"

    second = Up(folder, worker=True)
    again = await second.ready()
    assert alive(folder) == parts
    assert set(again.pids.values()).isdisjoint(info.pids.values())
    assert not psutil.pid_exists(info.pids["worker"])
    await assert_traces(again)
    assert again.model_copy(update={"pids": info.pids}) == info, "other programs know these addresses"
    assert [(folder / ring).read_text() for ring in KEY_RINGS] == keys, "tickets and certificates must stay good"
    assert second.end(signal.SIGTERM) == (0, "")
    assert alive(folder) == []


async def test_a_second_start_is_refused_and_a_stop_leaves_nothing(folder: Path) -> None:
    """Refuses a second stack on one folder, naming the process that has it; Ctrl-C ends every process, not the data."""
    first = Up(folder)
    info = await first.ready()
    assert {mode(folder / name) for name in ("stack.json", *KEY_RINGS)} == {0o600}
    assert mode(folder) == 0o700
    second = Up(folder)
    _, errors = second.process.communicate(timeout=90)
    assert second.process.returncode == 1
    assert errors.count("\n") == 1
    assert f"Misconfigured: A stack already runs in {folder} (process {first.process.pid}). Stop it first" in errors
    assert StackInfo.read(folder) == info
    assert alive(folder) == ["mail", "postgres", "temporal"]
    assert first.end(signal.SIGINT) == (0, "")
    assert alive(folder) == []
    assert not (folder / "stack.json").exists()
    assert environment_of(folder) is None
    assert (folder / "postgres" / "data").is_dir()


@pytest.mark.parametrize("seconds", [0.8])
async def test_a_stop_in_the_middle_of_the_start_leaves_nothing(folder: Path, seconds: float) -> None:
    """Ends every process when Ctrl-C comes during the start, and starts again."""
    up = Up(folder)
    await asyncio.to_thread(wait_for, folder)
    await asyncio.sleep(seconds)
    assert up.end(signal.SIGTERM) == (0, "")
    assert alive(folder) == []
    async with Stack(folder, worker=False, environment=_BLANK) as stack:
        assert alive(folder) == ["mail", "postgres", "temporal"]
        assert await processes.accepts_connections(*address_of(stack.info.smtp_url))
    assert alive(folder) == []


def wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.rpartition("/")[2].partition(":")
    return host, int(port)


@asynccontextmanager
async def own_servers(folder: Path) -> AsyncIterator[dict[str, str]]:
    """One of each server that the stack knows nothing of, as in production."""
    postgres, temporal = EmbeddedPostgres(folder / "pg"), EmbeddedTemporal(folder / "t")
    async with MailCatcher(folder / "m") as mail:
        try:
            await asyncio.gather(postgres.start(), temporal.start())
            yield {
                "SB_TRANSFER_DATABASE_URL": postgres.dsn(),
                "TEMPORAL_ADDRESS": temporal.address,
                "SB_TRANSFER_SMTP_URL": mail.url,
            }
        finally:
            await asyncio.gather(postgres.stop(), temporal.stop())


async def test_real_servers_take_the_place_of_ours(folder: Path, tmp_path: Path) -> None:
    """Uses the servers that the environment names and starts none of its own."""
    async with own_servers(tmp_path) as given:
        own = {
            "SB_TRANSFER_TICKET_KEYS": "own",
            "SB_TRANSFER_CERTIFICATE_KEYS": "own too",
            "SB_TRANSFER_PAYLOAD_KEYS": base64.b64encode(bytes(32)).decode(),  # the stack itself makes the schedule
        }
        async with Stack(folder, worker=False, environment={**given, **own}) as stack:
            assert alive(folder) == []
            assert stack.environment == {**given, **own}
            assert stack.info.model_dump(exclude_none=True).keys() == {
                "database_url",
                "temporal_address",
                "smtp_url",
                "pids",
            }
            connection = await asyncpg.connect(given["SB_TRANSFER_DATABASE_URL"])
            assert await connection.fetchval("select count(*) from control.migration") > 0
            await connection.close()
        for variable in given:
            async with Stack(folder, worker=False, environment={variable: given[variable], **own}) as stack:
                assert stack.environment[variable] == given[variable]
                assert len(alive(folder)) == 2


@pytest.mark.parametrize(
    ("environment", "error", "words"),
    [
        (
            {"SB_TRANSFER_DATABASE_URL": "postgresql://sb_owner:geheim@127.0.0.1:1/sb"},
            Unavailable,
            "The database does not answer at 127.0.0.1:1.",
        ),
        ({"SB_TRANSFER_DATABASE_URL": "postgresql://sb_owner:geheim@h:geheim/sb"}, Misconfigured, "is no address"),
        ({"TEMPORAL_ADDRESS": "127.0.0.1:1"}, Unavailable, "Temporal does not answer at 127.0.0.1:1"),
        (
            {"SB_TRANSFER_SMTP_URL": "smtps://sb:geheim@127.0.0.1:1"},
            Unavailable,
            "The mail server does not answer at 127.0.0.1:1.",
        ),
    ],
)
async def test_a_server_that_is_away_is_one_clear_line(
    folder: Path, environment: dict[str, str], error: type[TransferError], words: str
) -> None:
    """Names the server that is away in one line without a password, and stops the others."""
    with pytest.raises(error, match=words.replace(".", r"\.")) as raised:
        async with Stack(folder, worker=False, environment=environment):
            raise AssertionError("it started")
    assert "\n" not in str(raised.value)
    assert "geheim" not in str(raised.value)
    assert alive(folder) == []
    assert not (folder / "stack.json").exists()


async def test_a_wrong_password_is_one_clear_line(folder: Path, postgres: EmbeddedPostgres) -> None:
    """Tells a refused login in one line."""
    wrong = postgres.dsn().replace("sb_owner:", "sb_owner:x")
    with pytest.raises(Misconfigured, match="cannot be used: password authentication failed"):
        async with Stack(folder, worker=False, environment={"SB_TRANSFER_DATABASE_URL": wrong}):
            raise AssertionError("it started")
    assert alive(folder) == []


async def test_a_server_that_dies_is_started_again(folder: Path) -> None:
    """Starts a server that died again, at the same address, and so the worker."""
    parts = ["mail", "postgres", "temporal", "worker"]
    up = Up(folder, worker=True)
    info = await up.ready()
    await leave_traces(info)
    victims = ("temporal", "mail", "worker")
    again = info
    for victim in victims:
        again = await kill_and_wait(folder, again, victim)
        assert alive(folder) == parts
        assert again.model_copy(update={"pids": info.pids}) == info
        await assert_traces(again)
        assert await processes.accepts_connections(*address_of(again.smtp_url))
    code, errors = up.end(signal.SIGTERM)
    assert code == 0
    for victim in victims:
        assert f"{victim} ended (exit code -9) and is started again" in errors
    assert alive(folder) == []


async def kill_and_wait(folder: Path, info: StackInfo, victim: str) -> StackInfo:
    """Kill -9 one server and return where everything is when the next one runs."""
    psutil.Process(info.pids[victim]).kill()
    deadline = time.monotonic() + 90
    again = info
    while again.pids[victim] == info.pids[victim] and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        again = StackInfo.read(folder) or again
    assert again.pids[victim] != info.pids[victim]
    assert {**again.pids, victim: 0} == {**info.pids, victim: 0}
    return again


async def test_a_worker_that_cannot_start_says_where_to_look(folder: Path) -> None:
    """Names the log of a worker that cannot start."""
    with pytest.raises(Unavailable, match=r"The worker did not start\. Its log says why: .*/worker/log"):
        async with Stack(folder, environment={"SB_TRANSFER_TICKET_KEYS": "no key"}):
            raise AssertionError("it started")
    assert alive(folder) == []
    lines = (folder / "worker" / "log").read_text().splitlines()
    assert len(lines) == 1, "one clear line, not a traceback"
    assert "SB_TRANSFER_TICKET_KEYS" in lines[0]
