"""The embedded Temporal server keeps its state, and the connection to any Temporal server fails in clear words."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import ClassVar

import psutil
import pytest
import yaml
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import Priority, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.worker import Worker

from adapters.temporal.client import connect_temporal, register_search_attributes
from devstack import processes
from devstack.certificates import make_certificates
from devstack.temporal import DYNAMIC, EmbeddedTemporal
from domain.errors import Misconfigured, TransferError, Unavailable
from tests.tools.paths import ROOT
from workflows import search_attributes


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedTemporal]:
    """A server that the tests which harm none share."""
    running = EmbeddedTemporal(tmp_path_factory.mktemp("temporal"))
    await running.start()
    yield running
    await running.stop()


async def start_waiting_workflow(client: Client, name: str) -> None:
    """Start a workflow that no worker takes, with every search attribute of a transfer."""
    attributes: list[SearchAttributePair[str] | SearchAttributePair[datetime]] = [
        SearchAttributePair(search_attributes.TRANSFER_STATE, "scheduled"),
        SearchAttributePair(search_attributes.TRANSFER_SCENARIO, "switch"),
        SearchAttributePair(search_attributes.SOURCE_LICENCE, "10001"),
        SearchAttributePair(search_attributes.TARGET_LICENCE, "10002"),
        SearchAttributePair(search_attributes.STARTS_AT, datetime(2026, 11, 24, 21, tzinfo=UTC)),
    ]
    await client.start_workflow(
        "Nobody", id=name, task_queue="nobody", search_attributes=TypedSearchAttributes(attributes)
    )


async def test_attributes_can_be_used_at_once_and_registered_again(tmp_path: Path) -> None:
    """Registers attributes that can be used at once, and again without harm."""
    server = EmbeddedTemporal(tmp_path)
    await server.start()
    try:
        client = await server.connect()
        new = await asyncio.gather(*(register_search_attributes(client, search_attributes.ALL) for _ in range(4)))
        assert {name for names in new for name in names} == {key.name for key in search_attributes.ALL}
        await start_waiting_workflow(client, "transfer-1")
        assert await register_search_attributes(client, search_attributes.ALL) == []
        query = "TransferState = 'scheduled' AND StartsAt < '2026-11-25T00:00:00Z' AND TargetLicence = '10002'"
        async with asyncio.timeout(60):  # the list follows the workflow a moment later
            while not (found := await client.count_workflows(query)).count:  # noqa: ASYNC110 - the server's to tell
                await asyncio.sleep(0.1)
        assert found.count == 1
    finally:
        await server.stop()


async def test_an_attribute_of_another_type_is_refused(server: EmbeddedTemporal) -> None:
    """Refuses an attribute that exists with another type."""
    client = await server.connect()
    await register_search_attributes(client, [SearchAttributeKey.for_text("Taken")])
    with pytest.raises(Misconfigured, match=r"Taken exists .* as Text, not as Keyword"):
        await register_search_attributes(client, [SearchAttributeKey.for_keyword("Taken")])


async def test_workflows_survive_a_crash_of_the_server(tmp_path: Path) -> None:
    """Keeps workflows and address after kill -9."""
    server = EmbeddedTemporal(tmp_path)
    await server.start()
    try:
        client = await server.connect()
        await register_search_attributes(client, search_attributes.ALL)
        await start_waiting_workflow(client, "transfer-1")
        address, ui_url = server.address, server.ui_url
        await server.stop(signal.SIGKILL)
        await server.start()
        assert (server.address, server.ui_url) == (address, ui_url)
        description = await (await server.connect()).get_workflow_handle("transfer-1").describe()
        assert description.typed_search_attributes[search_attributes.TRANSFER_STATE] == "scheduled"
    finally:
        await server.stop()


async def test_a_server_that_was_left_behind_is_ended(tmp_path: Path) -> None:
    """Ends a server that an earlier start left behind."""
    left_behind, successor = EmbeddedTemporal(tmp_path), EmbeddedTemporal(tmp_path)
    await left_behind.start()
    pid = left_behind.pid
    try:
        await successor.start()
        assert successor.address == left_behind.address
        assert left_behind._process is not None
        assert left_behind._process.poll() is not None
        assert processes.leftovers(tmp_path) == [psutil.Process(successor.pid)]
        assert successor.pid != pid
    finally:
        await successor.stop()
    assert processes.leftovers(tmp_path) == []


# To be refused once, also on a busy machine: a server that does not answer is tried until then.
LONG_ENOUGH = 10.0


@pytest.mark.parametrize(
    ("environment", "error", "words"),
    [
        ({"TEMPORAL_ADDRESS": "127.0.0.1:1"}, Unavailable, r"not answer at 127\.0\.0\.1:1 \(Connection refused\)\."),
        ({"TEMPORAL_ADDRESS": "nowhere.invalid:7233"}, Unavailable, r"not answer at nowhere\.invalid:7233 \("),
        ({"TEMPORAL_ADDRESS": "no address"}, Misconfigured, "no address is no address of a Temporal server"),
        ({"TEMPORAL_PROFILE": "missing"}, Misconfigured, "configuration cannot be used: Profile 'missing' not found"),
        (
            {"TEMPORAL_ADDRESS": "h:1", "TEMPORAL_TLS_CLIENT_CERT_PATH": "/no/cert.pem"},
            Misconfigured,
            "cannot be used: .*/no/cert.pem",
        ),
    ],
)
async def test_no_server_is_one_clear_line(environment: dict[str, str], error: type[TransferError], words: str) -> None:
    """Says in one line that no server answers."""
    async with asyncio.timeout(60):
        with pytest.raises(error, match=words) as raised:
            await connect_temporal(environment=environment, timeout_seconds=LONG_ENOUGH)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 250


async def test_a_silent_server_is_not_waited_for(tmp_path: Path) -> None:
    """Gives up on a port where nobody answers."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with silent:
        address = "{}:{}".format(*silent.sockets[0].getsockname())
        with pytest.raises(Unavailable, match=address):
            await connect_temporal(environment={"TEMPORAL_ADDRESS": address}, timeout_seconds=0.5)
    certificates = make_certificates(tmp_path)
    encrypted = await asyncio.start_server(say_nothing, "127.0.0.1", 0, ssl=certificates.server_context())
    async with encrypted:
        address = "{}:{}".format(*encrypted.sockets[0].getsockname())
        environment = {"TEMPORAL_ADDRESS": address, "TEMPORAL_TLS": "true"}
        with pytest.raises(Unavailable, match=f"{address} .*certificate is not accepted: UnknownIssuer"):
            await connect_temporal(environment=environment, timeout_seconds=LONG_ENOUGH)


async def test_an_unknown_namespace_is_told_apart(server: EmbeddedTemporal) -> None:
    """Names an unknown namespace."""
    environment = {"TEMPORAL_ADDRESS": server.address, "TEMPORAL_NAMESPACE": "boekhouding"}
    with pytest.raises(Misconfigured, match=r"has no namespace boekhouding\..*TEMPORAL_NAMESPACE"):
        await connect_temporal(environment=environment)


async def test_the_embedded_server_is_as_fair_as_the_one_in_production() -> None:
    """Switches fairness on in the embedded server and in compose alike."""
    deployed = yaml.safe_load((ROOT / "deploy/temporal-dynamic.yaml").read_text())
    assert deployed["matching.enableFairness"] == [{"value": True}]
    # The server's default, and what comes with a token, of which the embedded server takes none.
    alone = {"limit.maxIDLength", "frontend.enablePrincipalPropagation"}
    assert {name: json.dumps(setting["value"]) for name, [setting] in deployed.items() if name not in alone} == DYNAMIC


@workflow.defn(sandboxed=False)
class Turn:
    """Writes down when its turn came."""

    order: ClassVar[list[str]] = []

    @workflow.run
    async def run(self, firm: str) -> None:
        self.order.append(firm)


async def test_tasks_of_one_priority_are_shared_out_by_key(server: EmbeddedTemporal) -> None:
    """Serves the tasks of a small firm long before the last of a large firm's that came first."""
    client = await server.connect()
    firms = ["large"] * 80 + ["small"] * 20
    handles = [
        await client.start_workflow(
            Turn.run, firm, id=f"turn-{number}", task_queue="fair", priority=Priority(fairness_key=firm)
        )
        for number, firm in enumerate(firms)
    ]
    async with Worker(
        client, task_queue="fair", workflows=[Turn], max_concurrent_workflow_tasks=2, max_cached_workflows=2
    ):
        await asyncio.gather(*(handle.result() for handle in handles))
    assert len(Turn.order) == len(handles)
    turns = [turn for turn, firm in enumerate(Turn.order) if firm == "small"]
    # In the order in which they came, it would be 90. The queue has four parts, each fair in itself, and a worker may
    # take more from one than from another.
    assert median(turns) < 75
