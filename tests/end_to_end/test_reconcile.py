"""Transfers that somebody terminated, on the real stack: found, and brought to their end."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.exceptions import ApplicationError

from adapters.crypto.payload_codec import encrypting
from adapters.postgres.database import database
from adapters.reconcile.inspection import PostgresInspector
from adapters.temporal.client import connect_temporal
from adapters.temporal.running_workflows import TemporalWorkflows
from adapters.temporal.schedule import ensure_nightly
from adapters.verify.verifier import PostgresVerifier
from devstack.binaries import temporal_cli
from devstack.seed import make_books
from devstack.stack import Stack
from domain.naming import mailbox_workflow_id_of
from domain.reconciliation import RECONCILE_SCHEDULE, Inspect, Reconcile, Reconciled
from domain.violations import Violation
from domain.vocabulary import MailKind, TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.models import PreparedTransfer
from starter.client.polling import snapshots
from workflows.reconcile import VIOLATED, ReconcileWorkflow
from workflows.task_queues import TRANSFERS

COMMAND = str(Path(sys.executable).with_name("sb-transfer"))
OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
FIRM = "10003"
SOON_SECONDS = 0.01
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
        if state is not TransferState.AWAITING_UPLOAD:
            await self.client.upload(ready.ticket, licence=FIRM, name=f"Nieuw {state.value}", uploaded_by="new side")
        if state in (TransferState.CLONING, TransferState.AWAITING_RELEASE):
            await self.client.start_now(ready.workflow_id, by="test")
            async for _ in snapshots(
                self.client, ready.workflow_id, lambda status: status.state is state, poll_seconds=0.02
            ):
                continue
        return ready


def temporal_cli_path() -> str:
    return str(temporal_cli())


@pytest.fixture(scope="module")
async def night(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Night]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
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
    rows = await night.owner.fetch(
        "select licence_number || '/' || name as name from control.environment "
        "where licence_number <> $1 and status = 'active' order by name",
        FIRM,
    )
    return [row["name"] for row in rows]


async def kinds_of(night: Night, ready: PreparedTransfer) -> list[str]:
    return [event.kind for event in await night.client.events(str(ready.transfer_id))]


async def test_what_was_terminated_before_its_release_is_undone(night: Night) -> None:
    """A terminated transfer would leave a customer's environment frozen for ever, and its name taken."""
    states = (TransferState.AWAITING_UPLOAD, TransferState.SCHEDULED, TransferState.AWAITING_RELEASE)
    names = await movable(night)
    moves = [await night.way_to(name, state) for name, state in zip(names, states, strict=False)]
    assert await night.look() == ()
    for move in moves:
        await night.terminate(move.workflow_id)

    found = (await night.reconcile(code=6))["left"]["violations"]
    assert {one["subject"] for one in found} == {f"transfer {move.transfer_id}" for move in moves}
    assert {one["kind"] for one in found} == {"stranded"}
    assert await night.owner.fetchval("select count(*) from control.environment where status = 'read_only'") == 3

    outcome = await night.reconcile("--fix", code=0)
    assert [healing["done"] for healing in outcome["healings"]] == [True] * 3
    assert await night.owner.fetchval("select count(*) from control.environment where status <> 'active'") == 0
    assert await night.owner.fetchval("select count(*) from pg_trigger where tgname = 'sb_transfer_fence'") == 0
    for move in moves:
        story = await night.client.events(str(move.transfer_id))
        assert next(event.actor for event in story if event.kind == "recovery_started") == "operator"
        assert story[-1].kind == "mail_sent"
        assert MailKind.UNDONE in {mail.kind for mail in await night.client.mails(str(move.transfer_id))}
        assert (await night.client.status(str(move.transfer_id))).status.state is TransferState.UNDONE


async def test_what_was_terminated_after_its_release_is_finished(night: Night) -> None:
    """Nobody would tell the customer of the release, and the old mailbox address would be forwarded for ever."""
    move = await night.way_to("10001/enyoi", TransferState.AWAITING_RELEASE)
    new = (await night.client.status(move.workflow_id)).status.new
    assert new is not None
    reader = await asyncpg.connect(night.stack.environment["SB_TRANSFER_DATABASE_URL"])
    reading = reader.transaction()
    await reading.start()
    for table in await reader.fetch("select tablename from pg_tables where schemaname = $1", new.schema_name):
        await reader.execute(f'select from "{new.schema_name}"."{table[0]}" limit 1')
    # A report keeps the lifted fences from being dropped, which holds the release's activity up after its commit.
    handle = night.temporal.get_workflow_handle(move.workflow_id)
    await handle.signal("release", {"released_by": "new side", "note": ""})
    released = "select state = 'released' from control.transfer where transfer_id = $1"
    while not await night.owner.fetchval(released, move.transfer_id):  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(SOON_SECONDS)
    await handle.terminate("to see what happens")
    await reading.rollback()
    await reader.close()

    found = (await night.heal()).found.violations
    assert {"forwarding_unattended", "nobody_told"} <= {one.kind for one in found}
    assert await night.look() == ()
    mails = {mail.kind for mail in await night.client.mails(str(move.transfer_id))}
    assert {MailKind.RELEASED, MailKind.INVITATION} <= mails
    mailbox = night.temporal.get_workflow_handle(mailbox_workflow_id_of(move.transfer_id))
    assert (await mailbox.describe()).status is WorkflowExecutionStatus.RUNNING
    assert "environment_released" in await kinds_of(night, move)

    await night.terminate(mailbox.id)
    found = (await night.heal()).found.violations
    assert [one.kind for one in found] == ["forwarding_unattended"]
    assert (await mailbox.describe()).status is WorkflowExecutionStatus.RUNNING


async def outcome_of_the_schedule(night: Night) -> Any:
    """Let the schedule run now, and return the handle of what it has started."""
    schedule = night.temporal.get_schedule_handle(RECONCILE_SCHEDULE)
    before = (await schedule.describe()).info.num_actions
    await schedule.trigger()
    while (info := (await schedule.describe()).info).num_actions == before:  # noqa: ASYNC110 - nor this one
        await asyncio.sleep(SOON_SECONDS)
    action = info.recent_actions[-1].action
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    return night.temporal.get_workflow_handle(action.workflow_id)


async def test_every_night_somebody_looks(night: Night) -> None:
    """Damage that no alarm tells of is found by the customer, weeks later."""
    description = await night.temporal.get_schedule_handle(RECONCILE_SCHEDULE).describe()
    assert description.schedule.spec.time_zone_name == "Europe/Amsterdam"
    assert [each.hour[0].start for each in description.schedule.spec.calendars] == [7]
    assert not await ensure_nightly(night.temporal, task_queue=TRANSFERS, timezone="Europe/Amsterdam", heals=False)

    handle = await outcome_of_the_schedule(night)
    assert (await handle.result())["left"]["violations"] == []

    move = await night.way_to((await movable(night))[0], TransferState.AWAITING_UPLOAD)
    await night.terminate(move.workflow_id)
    handle = await outcome_of_the_schedule(night)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == VIOLATED
    assert "sb-transfer reconcile --fix" in cause.message
    assert f"transfer {move.transfer_id}" in cause.message

    await ensure_nightly(night.temporal, task_queue=TRANSFERS, timezone="Europe/Amsterdam", heals=True)
    handle = await outcome_of_the_schedule(night)
    assert (await handle.result())["left"]["violations"] == []
    assert "undo_finished" in await kinds_of(night, move)
