"""Run by `test_adding_a_step` beside a copy of the sources that has one more step: look for it everywhere."""

import asyncio
import gc
import os
import sys
from datetime import UTC, datetime

from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from domain import messages as m
from domain.invariant import STORY_UNDONE
from domain.naming import workflow_id_of
from domain.reconciliation import RecoverTransfer
from domain.steps import StepName, StepState
from domain.story import LogLine, kinds_read, steps_from_log, waits_for
from domain.vocabulary import TransferState
from domain.window import zone_named
from tests.tools.temporal_server import temporal_server
from tests.workflows.story import ended, reach, to_inspection
from tests.workflows.world import Gate, Ward, workers
from workflows import task_queues as queues
from workflows.details import current_details
from workflows.recovery import RecoveryWorkflow
from workflows.transfer import TransferWorkflow

NEW = StepName("addresses")


class Addresses:
    """The one thing that is written beside the row."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    @activity.defn
    async def check_addresses(self, order: m.TakeStep) -> m.StepTaken:
        assert order.source_schema
        assert order.target_schema
        self.calls.append("checked")
        return m.StepTaken(detail="12 addresses exist")

    @activity.defn
    async def forget_addresses(self, order: m.TakeStep) -> None:
        assert order.environment_id
        self.calls.append("forgotten")


def look_at_the_log() -> None:
    lines = [LogLine(kind=kind, at=datetime.now(UTC)) for kind in ("banks_reconnected", "addresses_checked")]
    began = {"state": TransferState.CLONING, "began_at": datetime.now(UTC)}
    running = steps_from_log(lines[:1], **began)  # type: ignore[arg-type]
    assert {step.step: step.state for step in running}[NEW] is StepState.RUNNING
    assert waits_for(running, TransferState.CLONING, zone=zone_named("UTC")) == "the addresses"
    done = steps_from_log(lines, **began)  # type: ignore[arg-type]
    assert {step.step: step.state for step in done}[NEW] is StepState.DONE
    assert {"addresses_checked", "addresses_forgotten"} <= set(kinds_read())
    assert STORY_UNDONE["addresses_checked"] == "addresses_forgotten"  # type: ignore[index]


async def move(client: Client, addresses: Addresses) -> None:
    world = Gate()
    more = [addresses.check_addresses, addresses.forget_addresses]
    transfers, heavy, mail, checks = workers(client, world, more=more)
    async with transfers, heavy, mail, checks:
        transfer = await client.start_workflow(
            TransferWorkflow.run,
            m.TransferInput(environment_id=world.old_id),
            id=workflow_id_of(world.old_id),
            task_queue=queues.TRANSFERS,
        )
        status = await to_inspection(transfer)
        assert addresses.calls == ["checked"]
        page = current_details(status)
        assert "Check the addresses" in page
        assert "12 addresses exist" in page
        await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side"))
        status = await reach(transfer, TransferState.UNDONE)
        assert {step.step: step.state for step in status.steps}[NEW] is StepState.UNDONE
        assert world.calls.index("begin_undo") < world.calls.index("drop")
        assert addresses.calls == ["checked", "forgotten"]
        await transfer.result()


async def recover(client: Client, addresses: Addresses) -> None:
    world = Ward()
    order = RecoverTransfer(transfer_id=world.transfer_id, environment_id=world.old_id, requested_by="operator")
    transfers, heavy, mail, checks = workers(client, world, more=[addresses.forget_addresses])
    async with transfers, heavy, mail, checks:
        recovery = await client.start_workflow(
            RecoveryWorkflow.run, order, id=workflow_id_of(world.old_id), task_queue=queues.TRANSFERS
        )
        await ended(recovery)
    assert addresses.calls == ["checked", "forgotten", "forgotten"]


async def main() -> None:
    look_at_the_log()
    async with temporal_server(data_converter=pydantic_data_converter) as environment:
        addresses = Addresses()
        await move(environment.client, addresses)
        await recover(environment.client, addresses)
    sys.stdout.write("the step is everywhere\n")


if __name__ == "__main__":
    asyncio.run(main())
    gc.collect()
    sys.stdout.flush()
    os._exit(0)
