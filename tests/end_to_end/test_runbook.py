"""The ten questions of docs/operations.md, asked on a real stack with the commands that stand there."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from adapters.temporal.client import connect_temporal
from devstack.binaries import temporal_cli
from devstack.ports import Ports
from devstack.seed import SHOW_MOVES, make_books
from devstack.stack import Stack
from domain.vocabulary import Scenario, TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from tests.end_to_end.test_kills import clean_environment, reach
from tests.tools.paths import DOCS

PAGE = DOCS / "operations.md"
MOVES = {move.scenario: move for move in SHOW_MOVES}
TEN = range(1, 11)


def questions() -> dict[int, str]:
    """Return the commands under each question."""
    text = PAGE.read_text()
    chapter = text[text.index("## Ten questions") : text.index("## What do I look at?")]
    parts = re.split(r"^### (\d+)\. .*$", chapter, flags=re.MULTILINE)[1:]
    return {
        int(number): "\n".join(re.findall(r"^```sh\n(.*?)^```", body, re.DOTALL | re.MULTILINE))
        for number, body in zip(parts[::2], parts[1::2], strict=True)
    }


class Operator:
    """Somebody with a shell, the page, and the stack in the current folder."""

    def __init__(self, stack: Stack, folder: Path, worker: str) -> None:
        self._folder = folder
        self._variables = {**stack.process_environment(), "WORKER": worker, "API": stack.info.api_url or ""}
        self._variables["PATH"] = f"{Path(sys.executable).parent}:{temporal_cli().parent}:/usr/bin:/bin"
        self._variables["FOLDER"] = str(folder)
        self.asked: list[int] = []

    async def asks(self, number: int, **variables: str) -> str:
        """Run everything that stands under a question; return what was answered."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", questions()[number]),
            cwd=self._folder,
            env={**self._variables, **variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(120):
            said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        self.asked.append(number)
        return said.decode()


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[tuple[Stack, str]]:
    """A stack with books, an API, and a worker that tells how it is."""
    ports = Ports(tmp_path / "ports.json", "health")
    ports.choose()
    environment = {**clean_environment(), "SB_TRANSFER_HEALTH_PORT": str(ports["health"])}
    async with Stack(tmp_path / ".sb-transfer", api=True, environment=environment) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=2_000)
        yield running, f"http://127.0.0.1:{ports['health']}"
    ports.let_go()


async def two_setups(stack: Stack) -> None:
    """Run `setup` twice at once, in the middle of a transfer, as two deployments might."""
    command = (str(Path(sys.executable).with_name("sb-transfer")), "setup")
    both = [await asyncio.create_subprocess_exec(*command, env=stack.process_environment()) for _ in range(2)]
    assert [await one.wait() for one in both] == [0, 0]


async def begun(client: TransferClient, scenario: Scenario, *, upload: bool) -> str:
    """Bring an environment's transfer to where it waits; return its workflow id."""
    move = MOVES[scenario]
    ready = await client.prepare(f"{move.old_licence}/{move.environment}", requested_by="old side")
    if upload:
        await client.upload(
            ready.ticket,
            licence=move.new_licence,
            name=move.new_name,
            uploaded_by="new side",
            login_email=move.login_email,
        )
    return ready.workflow_id


async def test_every_question_is_answered_by_the_commands_of_the_page(stack: tuple[Stack, str], tmp_path: Path) -> None:
    """Runs every command of the runbook as written."""
    running, worker = stack
    variables = running.process_environment()
    operator = Operator(running, tmp_path, worker)
    temporal: Client = await connect_temporal(environment=variables)
    async with connect(settings_of(variables), environment=variables) as client:
        moving = await begun(client, Scenario.SWITCH, upload=True)
        waiting = await begun(client, Scenario.OUTSOURCE, upload=False)
        lost = await begun(client, Scenario.INSOURCE, upload=True)
        assert "awaiting_upload" in await operator.asks(1)
        assert "ticket_issued" in await operator.asks(2, T=moving)
        assert "scheduled" in await operator.asks(3, T=moving)
        watching = asyncio.create_task(operator.asks(4, T=moving))
        await two_setups(running)
        assert "awaiting_release" in await watching
        health = await operator.asks(5)
        assert '"ready": true' in health
        assert "nothing is half-moved" in health
        await operator.asks(6, T=waiting)
        assert list(tmp_path.glob("*-overdracht-ticket.avr"))  # noqa: ASYNC240 - nobody else is served here
        status = (await client.status(moving)).status
        assert status.old is not None
        assert status.new is not None
        sides = {"OLD": str(status.old.environment_id), "NEW": str(status.new.environment_id)}
        # What a move changes on purpose is left out, so the two sides are equal.
        assert "genuine" in (await operator.asks(7, T=moving, **sides)).lower()
        assert "1 sent" in await operator.asks(8, T=moving, ADDRESS="other@kantoor.example")
        assert "incident 4711" in await operator.asks(9, T=waiting)
        await temporal.get_workflow_handle(lost).terminate("what must not be done")
        assert "recovery started" in await operator.asks(10, T=lost)
        await reach(client, lost, TransferState.UNDONE)
        await client.release(moving, by="new side")
        assert (await client.result(moving)).state is TransferState.RELEASED
    assert operator.asked == [*TEN]
    assert sorted(questions()) == [*TEN]
