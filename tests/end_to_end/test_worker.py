"""Workers as they are run in production: stopped in the middle of a clone, and replaced by another version."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
from temporalio.client import Client

from adapters.temporal.client import connect_temporal
from devstack import processes
from devstack.binaries import temporal_cli
from devstack.ports import Ports
from devstack.seed import SHOW_MOVES, make_books
from devstack.stack import Stack
from devstack.worker import COMMAND
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.models import PreparedTransfer
from tests.end_to_end.test_kills import clean_environment, largest_environment, other_firm, reach
from tests.tools.paths import DOCS

SWITCH = next(move for move in SHOW_MOVES if move.scenario == "switch")
PAGE = DOCS / "operations" / "workers.md"
SB_TRANSFER = str(Path(sys.executable).with_name("sb-transfer"))


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Servers and books; the tests bring the workers."""
    folder = tmp_path_factory.mktemp("production") / "stack"
    async with Stack(folder, worker=False, environment=clean_environment()) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=120_000)
        yield running


@pytest.fixture(scope="module")
async def client(stack: Stack) -> AsyncIterator[TransferClient]:
    variables = stack.process_environment()
    async with connect(settings_of(variables), environment=variables) as connected:
        yield connected


@pytest.fixture(scope="module")
async def temporal(stack: Stack) -> Client:
    return await connect_temporal(environment=stack.process_environment())


class Worker:
    """`python -m worker`, and what its health addresses say."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir()
        self._folder = folder
        self.ports = Ports(folder / "ports.json", "health")
        self.ports.choose()
        self.port = self.ports["health"]
        variables = {**environment, "SB_TRANSFER_HEALTH_PORT": str(self.port)}
        self.process = processes.launch(COMMAND, folder=folder, environment=variables)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    async def asked(self, path: str) -> tuple[int, dict[str, Any]]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=15) as http:
            answer = await http.get(path)
            return answer.status_code, answer.json()

    async def ready(self) -> None:
        async with asyncio.timeout(60):
            while True:
                assert self.process.poll() is None, self.log
                try:
                    status, _ = await self.asked("/readyz")
                except httpx.TransportError:
                    status = 0
                if status == 200:
                    return
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Stop it as orchestrators do; it ends by itself, and well."""
        self.process.send_signal(signal.SIGTERM)
        await self.ended()

    async def ended(self) -> None:
        assert await asyncio.wait_for(processes.ended(self.process), 60) == 0, self.log


@contextmanager
def begun(folder: Path, environment: Mapping[str, str]) -> Iterator[Worker]:
    worker = Worker(folder, environment)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()
        worker.ports.let_go()


@asynccontextmanager
async def at_work(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Worker]:
    with begun(folder, environment) as worker:
        await worker.ready()
        yield worker
        if worker.process.poll() is None:
            await worker.stop()


@asynccontextmanager
async def lines_held_up(owner: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """Keep a clone from ending the unit with the journal's lines while the block runs."""
    await owner.execute("""
        create function control.hold_up() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock(1); return new; end';
        create trigger hold_up before insert on control.clone_unit for each row
        when (new.unit like 'rows journal_line%') execute function control.hold_up();
        select pg_advisory_lock(1);
    """)
    try:
        yield
    finally:
        await owner.execute("select pg_advisory_unlock(1)")


async def test_a_stopped_worker_ends_what_its_clone_is_at(
    stack: Stack, client: TransferClient, temporal: Client, tmp_path: Path
) -> None:
    """Ends the unit at work on SIGTERM, and lets the next worker go on after it."""
    environment, dsn = stack.process_environment(), stack.environment["SB_TRANSFER_DATABASE_URL"]
    postgres_log = stack.folder / "postgres" / "log"
    owner = await asyncpg.connect(dsn)
    async with at_work(tmp_path / "first", environment) as first:
        assert await first.asked("/livez") == (200, {"status": "ok"})
        assert (await first.asked("/elsewhere"))[0] == 404
        which = await largest_environment(dsn)
        ready = await client.prepare(which, requested_by="old side")
        await client.upload(ready.ticket, licence=await other_firm(dsn, which), name="Elders", uploaded_by="new side")
        async with lines_held_up(owner):  # or a quick clone would be done before it is stopped
            await client.start_now(ready.workflow_id, by="test")
            async with asyncio.timeout(60):
                while await owner.fetchval("select count(*) from control.clone_unit where rows > 0") < 2:  # noqa: ASYNC110 - the server's
                    await asyncio.sleep(0.02)
            before = len(postgres_log.read_text())
            first.process.send_signal(signal.SIGTERM)
        await first.ended()
    await owner.execute("drop function control.hold_up() cascade")
    assert "canceling statement" not in postgres_log.read_text()[before:]
    done = await owner.fetch("select unit from control.clone_unit order by unit")
    (pending,) = [
        one
        for one in (await temporal.get_workflow_handle(ready.workflow_id).describe()).raw_description.pending_activities
        if one.activity_type.name == "clone_administrations"
    ]
    assert pending.last_failure.application_failure_info.type == "WorkerStopping"
    async with at_work(tmp_path / "second", environment):
        await reach(client, ready.workflow_id, TransferState.AWAITING_RELEASE)
        assert await owner.fetchval("select attempt from control.clone_run") == 2
        kept = {row["unit"] for row in await owner.fetch("select unit from control.clone_unit")}
        assert {row["unit"] for row in done} < kept
        await client.release(ready.workflow_id, by="new side")
        result = await client.result(ready.workflow_id)
        assert (result.state, result.mismatches) == (TransferState.RELEASED, 0)
    await owner.close()


async def make_current(environment: Mapping[str, str], build: str) -> None:
    """Choose the version that gets the work, as an operator does; a worker that has just started is soon known."""
    words = ("worker", "deployment", "set-current-version", "--deployment-name", "sb-transfer", "--build-id", build)
    async with asyncio.timeout(60):
        while True:
            process = await asyncio.create_subprocess_exec(
                *(str(temporal_cli()), *words, "--yes"),
                env=dict(environment),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            await process.communicate()
            if process.returncode == 0:
                return
            await asyncio.sleep(0.5)


async def current_version(temporal: Client) -> str:
    described = await temporal.workflow_service.describe_worker_deployment(
        DescribeWorkerDeploymentRequest(namespace="default", deployment_name="sb-transfer")
    )
    return described.worker_deployment_info.routing_config.current_deployment_version.build_id


async def run_the_page(stack: Stack, environment: Mapping[str, str], worker: Worker) -> str:
    """Run every command of the page about workers; return what they said."""
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(found) > 1
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", "\n".join(block for _, block in found)),
        cwd=stack.folder.parent,
        env={
            **environment,
            "WORKER": f"http://127.0.0.1:{worker.port}",
            "BUILD": environment["SB_TRANSFER_BUILD_ID"],
            "PATH": f"{Path(SB_TRANSFER).parent}:/usr/bin:/bin",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def hashed(client: TransferClient, ready: PreparedTransfer) -> None:
    """Wait until the frozen books have been hashed: a lock that holds up a clone would keep it from beginning."""
    async with asyncio.timeout(60):
        while "environment_hashed" not in [event.kind for event in await client.events(ready.workflow_id)]:  # noqa: ASYNC110 - it is asked of the database
            await asyncio.sleep(0.1)


@asynccontextmanager
async def held_up(stack: Stack, ready: PreparedTransfer) -> AsyncIterator[None]:
    """Keep a clone from reading a table while the block runs."""
    owner = await asyncpg.connect(stack.info.database_url)
    try:
        async with owner.transaction():
            schema = ready.preview.environment.schema_name
            await owner.execute(f"lock table {schema}.relation in access exclusive mode")
            yield
    finally:
        await owner.close()


async def version_of(temporal: Client, workflow_id: str) -> str:
    described = await temporal.get_workflow_handle(workflow_id).describe()
    info = described.raw_description.workflow_execution_info.versioning_info
    return info.deployment_version.build_id


async def test_a_new_version_takes_over_when_it_is_made_current(
    stack: Stack, client: TransferClient, temporal: Client, tmp_path: Path
) -> None:
    """Moves transfers to a new version when it is made current in the middle of their evening, and back."""
    environment = {**stack.process_environment(), "SB_TRANSFER_DEPLOYMENT": "sb-transfer"}
    blue, green = {"SB_TRANSFER_BUILD_ID": "blue"}, {"SB_TRANSFER_BUILD_ID": "green"}
    async with at_work(tmp_path / "blue", {**environment, **blue}) as old:
        await make_current(environment, "blue")
        ready = await client.prepare(f"{SWITCH.old_licence}/{SWITCH.environment}", requested_by="old side")
        assert await version_of(temporal, ready.workflow_id) == "blue"
        async with at_work(tmp_path / "green", {**environment, **green}) as new:
            name = "Nieuwe versie"
            await client.upload(ready.ticket, licence=SWITCH.new_licence, name=name, uploaded_by="new side")
            assert await version_of(temporal, ready.workflow_id) == "blue"
            await hashed(client, ready)
            async with held_up(stack, ready):
                await client.start_now(ready.workflow_id, by="test")
                await reach(client, ready.workflow_id, TransferState.CLONING)
                said = await run_the_page(stack, {**environment, **green}, new)
            assert '{"status": "ok"}' in said
            assert "green" in said
            await reach(client, ready.workflow_id, TransferState.AWAITING_RELEASE)
            await old.stop()
            assert await version_of(temporal, ready.workflow_id) == "green"
            assert await current_version(temporal) == "green"
            assert new.process.poll() is None
            async with at_work(tmp_path / "blue again", {**environment, **blue}):
                await make_current(environment, "blue")
                await new.stop()
                await client.release(ready.workflow_id, by="new side")
                assert (await client.result(ready.workflow_id)).state is TransferState.RELEASED
            assert await version_of(temporal, ready.workflow_id) == "blue"


async def test_a_worker_tells_what_it_misses(stack: Stack, tmp_path: Path) -> None:
    """Tells alive and not ready apart, and what is missing."""
    environment = {**stack.process_environment(), "SB_TRANSFER_DEPLOYMENT": "elsewhere"}
    async with at_work(tmp_path / "worker", environment) as worker:
        owner = await asyncpg.connect(stack.environment["SB_TRANSFER_DATABASE_URL"])
        await owner.execute("alter table control.migration rename to migration_away")
        try:
            status, said = await worker.asked("/readyz")
            assert (status, said["database"], said["temporal"]) == (503, "ok", "ok")
            assert "sb-transfer setup" in said["migrations"]
            assert (await worker.asked("/livez"))[0] == 200
            assert said["definitions"] == "ok"
            await owner.execute("alter table control.migration_away rename to migration")
            await owner.execute("alter function control.refuse_definition() rename to refuses_nothing")
            status, said = await worker.asked("/readyz")
            assert status == 200
            setup = await asyncio.create_subprocess_exec(
                *(str(Path(sys.executable).with_name("sb-transfer")), "setup", "--json"),
                env=environment,
                stdout=asyncio.subprocess.PIPE,
            )
            answer = json.loads((await setup.communicate())[0])
            assert "superuser.sql" in said["definitions"] == answer["definitions"]
        finally:
            await owner.execute("alter table if exists control.migration_away rename to migration")
            await owner.execute("alter function control.refuses_nothing() rename to refuse_definition")
            await owner.close()
        environment |= {"SB_TRANSFER_HEALTH_PORT": str(worker.port)}
        second = await asyncio.create_subprocess_exec(*COMMAND, env=environment, stderr=asyncio.subprocess.PIPE)
        _, errors = await asyncio.wait_for(second.communicate(), 60)
        assert second.returncode == 4
        assert b"SB_TRANSFER_HEALTH_PORT" in errors
