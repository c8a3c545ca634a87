"""After a run full of customers' words none of them can be read outside the database and the mail, without the keys."""

import asyncio
import base64
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from adapters.crypto.payload_codec import EncryptingCodec, encrypting
from adapters.temporal.client import connect_temporal
from devstack.binaries import temporal_cli
from devstack.mail import MailCatcher
from devstack.seed import make_books
from devstack.stack import Stack
from domain.reconciliation import RECONCILE_SCHEDULE
from starter.cli.commands.payload_keys import tell_key_use
from starter.cli.output import ExitCode, Output
from starter.client.connect import connect, settings_of
from starter.environment import Surroundings
from tests.end_to_end.marks import MarkedRun, Run
from tests.observability.collector import Collector
from workflows import search_attributes

OTHERS = ("SB_TRANSFER_", "TEMPORAL_", "OTEL_")
# What a history must hold of a run, or the marks were never there to be found.
IN_HISTORIES = {
    *(f"{what} {number}" for what in ("environment name", "url", "new name", "new url") for number in range(3)),
    *("who prepares", "who uploads", "who starts", "who comes too early", "who releases", "who rejects", "who resends"),
    *("reason too early", "reason to reject", "reason to cancel", "note", "login mail", "bad login", "another mail"),
    *("answer of a mail server", "holder mail 20002", "words in an error", "name in a token"),
}


@pytest.fixture(scope="module")
async def mail(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MailCatcher]:
    """A mail server that refuses whom it is told to."""
    async with MailCatcher(tmp_path_factory.mktemp("mail")) as catcher:
        yield catcher


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Where every program sends its traces."""
    with Collector() as listening:
        yield listening


@pytest.fixture(scope="module")
async def stack(
    tmp_path_factory: pytest.TempPathFactory, mail: MailCatcher, collector: Collector
) -> AsyncIterator[Stack]:
    """A whole stack with books in it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    environment["SB_TRANSFER_SMTP_URL"] = mail.url
    folder = tmp_path_factory.mktemp("stack")
    async with Stack(folder, api=True, codec=True, environment=environment) as running:
        await make_books(settings_of(running.process_environment()), journal_lines=1_000)
        yield running


@pytest.fixture(scope="module")
async def run(stack: Stack, mail: MailCatcher) -> Run:
    """What a run full of marks left behind."""
    variables = stack.process_environment()
    async with connect(settings_of(variables), environment=variables) as client:
        return await MarkedRun(stack, client, mail).play()


@pytest.fixture(scope="module")
async def outsider(stack: Stack) -> Client:
    """Somebody who may ask Temporal everything and has no key."""
    return await connect_temporal(environment=stack.process_environment())


@pytest.fixture(scope="module")
async def insider(stack: Stack) -> Client:
    """Somebody who has the keys."""
    variables = stack.process_environment()
    keys = settings_of(variables).payload_keys
    return await connect_temporal(environment=variables, data_converter=encrypting(keys))


def unpacked(value: Any) -> bytes:
    """Return a JSON document as text, with whatever in it is base64 also written out."""
    match value:
        case dict():
            return b"\n".join(part for item in value.items() for part in map(unpacked, item))
        case list():
            return b"\n".join(map(unpacked, value))
        case str():
            text = value.encode()
            if re.fullmatch(r"[A-Za-z0-9+/=]{8,}", value) and len(value) % 4 == 0:
                text += b"\n" + base64.b64decode(value)
            return text
    return str(value).encode()


async def all_histories(client: Client) -> list[tuple[str, dict[str, Any]]]:
    """Return every history of the namespace, by workflow id, as an export has it."""
    found = []
    async for execution in client.list_workflows():
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        found.append((execution.id, json.loads((await handle.fetch_history()).to_json())))
    return found


async def decrypted(client: Client, document: Any) -> bytes:
    """Return an export with every payload in it decrypted, failures too."""
    codec = client.data_converter.payload_codec
    assert codec is not None
    match document:
        case {"metadata": {"encoding": _}, **_rest}:
            [payload] = await codec.decode([json_format.ParseDict(document, Payload())])
            return payload.data
        case dict():
            return b"\n".join([await decrypted(client, part) for part in document.values()])
        case list():
            return b"\n".join([await decrypted(client, part) for part in document])
    return unpacked(document)


async def test_histories_hold_the_marks_for_those_who_have_the_keys(run: Run, insider: Client) -> None:
    """Finds the marks in decrypted histories, so that the tests below can fail."""
    texts = [await decrypted(insider, history) for _, history in await all_histories(insider)]
    assert len(texts) >= 4
    assert IN_HISTORIES - run.marks.found_in(b"\n".join(texts)) == set()


async def test_exported_histories_are_unreadable(run: Run, stack: Stack, outsider: Client) -> None:
    """Finds no mark in an exported history, whatever the format."""
    exports = await all_histories(outsider)
    assert {workflow_id for workflow_id, _ in exports} >= set(run.workflow_ids)
    for workflow_id in run.workflow_ids:
        shown = await asyncio.to_thread(exported, stack, workflow_id)
        assert len(shown["events"]) > 30
        exports.append((workflow_id, shown))
    assert {workflow_id: run.marks.found_in(unpacked(history)) for workflow_id, history in exports} == {
        workflow_id: set() for workflow_id, _ in exports
    }


def exported(stack: Stack, workflow_id: str) -> dict[str, Any]:
    """Return a history as Temporal's own program writes it."""
    command = [str(temporal_cli()), "workflow", "show", "--workflow-id", workflow_id, "--output", "json"]
    shown = subprocess.run(
        [*command, "--address", stack.info.temporal_address],
        env={"HOME": str(stack.folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    document: dict[str, Any] = json.loads(shown.stdout)
    return document


async def test_what_the_server_tells_without_a_history_is_unreadable(run: Run, outsider: Client) -> None:
    """Finds no mark in lists, descriptions and the schedule."""
    told = []
    async for execution in outsider.list_workflows():
        handle = outsider.get_workflow_handle(execution.id, run_id=execution.run_id)
        told.append(execution.raw_info.SerializeToString())
        told.append((await handle.describe()).raw_description.SerializeToString())
    schedule = await outsider.get_schedule_handle(RECONCILE_SCHEDULE).describe()
    told.append(schedule.raw_description.SerializeToString())
    assert run.marks.found_in(b"\n".join(told)) == set()


async def test_search_attributes_hold_what_is_listed(run: Run, outsider: Client) -> None:
    """Finds states, scenarios, licence numbers and moments in search attributes, and nothing else."""
    known = {key.name for key in search_attributes.ALL} | {"BuildIds"}
    values = set()
    async for execution in outsider.list_workflows():
        for pair in execution.typed_search_attributes:
            if not pair.key.name.startswith("Temporal"):  # the server's own
                assert pair.key.name in known
                values.add(str(pair.value))
    assert values >= {"released", "undone", "insource", "20002"}
    assert run.marks.found_in("\n".join(values).encode()) == set()


async def test_the_servers_files_are_unreadable(run: Run, stack: Stack, outsider: Client) -> None:
    """Finds no mark in the files of Temporal's database."""
    # To be sure that this would find something: what is sent without the keys does stand in the files.
    seen = run.marks("sent in the clear")
    await outsider.start_workflow("Nobody", seen, id="in-the-clear", task_queue="nobody")
    files = sorted((stack.folder / "temporal").glob("temporal.db*"))
    assert len(files) >= 1
    contents = []
    for file in files:
        with suppress(FileNotFoundError):  # a journal is gone as soon as its transaction is
            contents.append(file.read_bytes())
    found = run.marks.found_in(b"\n".join(contents))
    await outsider.get_workflow_handle("in-the-clear").terminate()
    assert found == {"sent in the clear"}


def logs(folder: Path) -> dict[str, bytes]:
    """Return what the programs of a stack wrote, by their names."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.glob("*/log*"))}


async def test_logs_are_unreadable(run: Run, stack: Stack) -> None:
    """Finds no mark in any log."""
    written = logs(stack.folder)
    assert written.keys() >= {"worker/log", "api/log", "codec/log", "temporal/log", "postgres/log"}
    assert b"Completing activity as failed" in written["worker/log"]
    del written["postgres/log"]  # it quotes what it refuses; see docs/decisions/0010-encrypted-histories.md
    assert {name: run.marks.found_in(text) for name, text in written.items()} == {name: set() for name in written}


async def test_metrics_are_unreadable(run: Run, stack: Stack) -> None:
    """Finds no mark in metrics."""
    ports = json.loads((stack.folder / "temporal" / "ports.json").read_text())
    shown = [f"http://127.0.0.1:{ports['metrics-port']}/metrics", stack.info.metrics_url, stack.info.api_metrics_url]
    async with httpx.AsyncClient(timeout=60) as anybody:
        for url in shown:
            served = await anybody.get(str(url))
            assert b"temporal_" in served.content or b"service_requests" in served.content
            assert run.marks.found_in(served.content) == set(), url


async def test_traces_are_unreadable(run: Run, collector: Collector) -> None:
    """Finds no mark in spans."""
    assert await asyncio.to_thread(collector.until, lambda: collector.called("RunActivity:finish_undo"))
    assert {span.service for span in collector.spans} >= {"sb-transfer-worker", "sb-transfer-api"}
    assert run.marks.found_in("\n".join(span.raw for span in collector.spans).encode()) == set()


async def test_the_database_holds_the_marks(run: Run, stack: Stack) -> None:
    """Finds the marks in PostgreSQL, so that the other searches mean something."""
    connection = await asyncpg.connect(stack.info.database_url)
    rows = await connection.fetch("select to_jsonb(e)::text from control.transfer_event e")
    await connection.close()
    assert {"who releases", "note", "reason to reject", "reason to cancel"} <= run.marks.found_in(
        "\n".join(row[0] for row in rows).encode()
    )


async def test_keys_are_told_apart_by_what_needs_them(
    run: Run, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tells which key which history still needs."""
    variables = stack.process_environment()
    [used] = EncryptingCodec(settings_of(variables).payload_keys).key_ids
    fresh, idle = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
    rotated = {**variables, "SB_TRANSFER_PAYLOAD_KEYS": f"{fresh},{variables['SB_TRANSFER_PAYLOAD_KEYS']},{idle}"}

    async def told(environment: dict[str, str]) -> tuple[ExitCode, dict[str, dict[str, object]]]:
        here = Surroundings(settings=settings_of(environment), environment=environment)
        code = await tell_key_use(here, Output(as_json=True))
        return code, {use["key_id"]: use for use in json.loads(capsys.readouterr().out)}

    code, uses = await told(rotated)
    assert code is ExitCode.OK
    assert [use["newest"] for use in uses.values()] == [True, False, False]
    assert uses[used]["closed_histories"] >= len(set(run.workflow_ids))  # type: ignore[operator]
    assert uses[used]["open_histories"] == uses[used]["schedules"] == 1  # the mailbox that is still forwarded
    assert not any(use["open_histories"] or use["closed_histories"] for key, use in uses.items() if key != used)

    code, uses = await told({**variables, "SB_TRANSFER_PAYLOAD_KEYS": fresh})
    assert code is ExitCode.DIFFERENT
    assert uses[used]["on_ring"] is False
