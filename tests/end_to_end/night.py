"""A stack with books, and what people do to it at night: operators, and whoever reaches Temporal."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import (
    Client,
)

from adapters.crypto.payload_codec import encrypting
from adapters.postgres.database import database
from adapters.reconcile.inspection import PostgresInspector
from adapters.temporal.client import connect_temporal
from adapters.temporal.running_workflows import TemporalWorkflows
from adapters.verify.verifier import PostgresVerifier
from devstack.binaries import temporal_cli
from devstack.seed import make_books
from devstack.stack import Stack
from domain.naming import workflow_id_of
from domain.reconciliation import Inspect, Reconcile, Reconciled
from domain.violations import Violation
from domain.vocabulary import MailKind, TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.models import PreparedTransfer
from starter.client.polling import snapshots
from workflows.reconcile import ReconcileWorkflow
from workflows.task_queues import TRANSFERS

COMMAND = str(Path(sys.executable).with_name("sb-transfer"))
OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
FIRM = "10003"
Owner = "asyncpg.Connection[asyncpg.Record]"


class Night:
    """The stack, and what people do to it."""

    def __init__(self, stack: Stack, client: TransferClient, temporal: Client, owner: Any) -> None:
        self.stack = stack
        self.client = client
        self.temporal = temporal
        self.owner = owner

    async def run(self, *words: str) -> tuple[int, str]:
        """Run a program on this stack; return its exit code and what it wrote to standard output."""
        process = await asyncio.create_subprocess_exec(
            *words, env=self.stack.process_environment(), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def look(self) -> tuple[Violation, ...]:
        """Look as the command does, without the time that a new process takes."""
        variables = self.stack.process_environment()
        settings = settings_of(variables)
        async with database(settings.database_url) as pool:
            verifier = PostgresVerifier(pool, parallelism=1)
            return (
                await PostgresInspector(pool, TemporalWorkflows(self.temporal, TRANSFERS), verifier).inspect(Inspect())
            ).violations

    async def heal(self) -> Reconciled:
        """Have everything put right as `--fix` does; it fails when something is left."""
        order = Reconcile(heal=True, requested_by="operator")
        return await self.temporal.execute_workflow(ReconcileWorkflow.run, order, id="heal", task_queue=TRANSFERS)

    async def reconcile(self, *options: str, code: int) -> Any:
        ended, output = await self.run(COMMAND, "reconcile", "--by", "operator", *options, "--json")
        assert ended == code, output
        return json.loads(output)

    async def terminate(self, workflow_id: str) -> None:
        """Do what the operations guide says never to do."""
        address = self.stack.environment["TEMPORAL_ADDRESS"]
        code, output = await self.run(
            temporal_cli_path(), "workflow", "terminate", "--address", address, "--workflow-id", workflow_id
        )
        assert code == 0, output

    async def way_to(self, name: str, state: TransferState) -> PreparedTransfer:
        ready = await self.client.prepare(name, requested_by="old side")
        await told(self.client, ready)
        if state is not TransferState.AWAITING_UPLOAD:
            name = f"Nieuw {state.value} {uuid4().hex[:6]}"
            await self.client.upload(ready.ticket, licence=FIRM, name=name, uploaded_by="new side")
        if state in (TransferState.CLONING, TransferState.AWAITING_RELEASE):
            await self.client.start_now(ready.workflow_id, by="test")
            async for _ in snapshots(
                self.client, ready.workflow_id, lambda status: status.state is state, poll_seconds=0.02
            ):
                continue
        return ready


async def told(client: TransferClient, ready: PreparedTransfer) -> None:
    """Wait until the old side was mailed its ticket: whoever was told nothing is not told that it is undone."""
    sent = (MailKind.TICKET_ISSUED, "sent")
    async with asyncio.timeout(60):
        while sent not in [(mail.kind, mail.status) for mail in await client.mails(str(ready.transfer_id))]:  # noqa: ASYNC110 - it is asked of the database
            await asyncio.sleep(0.1)


def temporal_cli_path() -> str:
    return str(temporal_cli())


@pytest.fixture(scope="module")
async def night(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Night]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    environment["SB_TRANSFER_RETIREMENT_WAIT"] = "5m"
    async with Stack(tmp_path_factory.mktemp("stack"), environment=environment) as stack:
        variables = stack.process_environment()
        settings = settings_of(variables)
        await make_books(settings, journal_lines=1_000)
        temporal = await connect_temporal(environment=variables, data_converter=encrypting(settings.payload_keys))
        owner = await asyncpg.connect(variables["SB_TRANSFER_DATABASE_URL"])
        async with connect(settings, environment=variables) as client:
            yield Night(stack, client, temporal, owner)
        await owner.close()


async def movable(night: Night) -> list[str]:
    """Return what can be moved; a transfer that was undone has told everybody before its environment is free."""
    rows = await night.owner.fetch(
        "select environment_id, licence_number || '/' || name as name from control.environment "
        "where licence_number <> $1 and status = 'active' order by name",
        FIRM,
    )
    workflows = TemporalWorkflows(night.temporal, TRANSFERS)
    earlier = {workflow_id_of(row["environment_id"]) for row in rows}
    async with asyncio.timeout(60):
        while await workflows.running(earlier):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.1)
    return [row["name"] for row in rows]
