"""Record the histories that the replay test plays back: `python -m tests.replay.record`.

Run it after a change that new transfers may see and running ones may not: first make the replay test pass with the old
histories (patching), then record new ones beside them.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from devstack.binaries import temporal_cli
from domain import messages as m
from domain.errors import NameTaken, Unavailable
from domain.naming import mailbox_workflow_id_of, workflow_id_of
from domain.vocabulary import TransferState
from tests.workflows.story import Transfer, reach, skip, to_inspection, upload
from tests.workflows.world import TTL, Gate, workers
from workflows import queues, search_attributes
from workflows.transfer import TransferWorkflow

HISTORIES = Path(__file__).parent / "histories"
Story = Callable[[WorkflowEnvironment, Transfer, Gate], Awaitable[None]]


async def released(_: WorkflowEnvironment, transfer: Transfer, __: Gate) -> None:
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side", note="compared"))


async def released_after_the_evening(environment: WorkflowEnvironment, transfer: Transfer, _: Gate) -> None:
    await upload(transfer)
    await skip(environment, transfer, timedelta(days=1))
    await reach(transfer, TransferState.AWAITING_RELEASE)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))


async def released_after_trouble(_: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    """Early signals, a refused upload, a server that was away, and a cancel that came too late."""

    async def recover(name: str) -> None:
        if not world.failures.get(name, [None]):
            del world.failures[name]

    world.failures = {"accept": [NameTaken()], "clone": [Unavailable()]}
    world.hooks["clone"] = lambda: recover("clone")
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="too early"))
    await asyncio.gather(upload(transfer), return_exceptions=True)
    del world.failures["accept"]
    await to_inspection(transfer)
    holding, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        holding.set()
        await go_on.wait()

    world.hooks["release"] = hold
    await transfer.signal(TransferWorkflow.release, m.Release(released_by="new side"))
    await holding.wait()
    await transfer.cancel()
    await asyncio.sleep(0.3)
    go_on.set()


async def undone_expired(environment: WorkflowEnvironment, transfer: Transfer, _: Gate) -> None:
    await reach(transfer, TransferState.AWAITING_UPLOAD)
    await skip(environment, transfer, TTL + timedelta(seconds=1))


async def undone_cancelled(_: WorkflowEnvironment, transfer: Transfer, __: Gate) -> None:
    await upload(transfer)
    await reach(transfer, TransferState.SCHEDULED)
    await transfer.cancel()


async def undone_rejected(_: WorkflowEnvironment, transfer: Transfer, __: Gate) -> None:
    await to_inspection(transfer)
    await transfer.signal(TransferWorkflow.reject, m.Reject(rejected_by="new side", reason="not ours"))


async def undone_failed(_: WorkflowEnvironment, transfer: Transfer, world: Gate) -> None:
    world.differences = [m.TableDifference(table="journal_line", problem="1 row differs")]
    await upload(transfer)
    await transfer.signal(TransferWorkflow.start_now, m.StartNow(requested_by="support"))


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        released,
        released_after_the_evening,
        released_after_trouble,
        undone_expired,
        undone_cancelled,
        undone_rejected,
        undone_failed,
    )
}


async def record(environment: WorkflowEnvironment, story: Story) -> tuple[str, str | None]:
    """Play one story to its end and return its history, and that of the mailbox workflow it started, as JSON."""
    world = Gate()
    transfers, heavy = workers(environment.client, world)
    async with transfers, heavy:
        transfer = await _start(environment, world.old_id)
        await story(environment, transfer, world)
        result = await transfer.result()
        mailbox = None
        if result.state is TransferState.RELEASED:
            handle = environment.client.get_workflow_handle(mailbox_workflow_id_of(result.transfer_id))
            await environment.fast_forward(handle, timedelta(days=31))
            await handle.result()
            mailbox = (await handle.fetch_history()).to_json()
        return (await transfer.fetch_history()).to_json(), mailbox


async def _start(environment: WorkflowEnvironment, environment_id: uuid.UUID) -> Transfer:
    client: Client = environment.client
    with environment.with_time_skipping_disabled():
        return await client.start_workflow(
            TransferWorkflow.run,
            m.TransferInput(environment_id=environment_id, requested_by="old side"),
            id=workflow_id_of(environment_id),
            task_queue=queues.TRANSFERS,
        )


async def main() -> None:
    """Write a file for each story into `histories/`."""
    HISTORIES.mkdir(exist_ok=True)
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(temporal_cli()),
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
        search_attributes=search_attributes.ALL,
    )
    async with environment:
        for name, story in STORIES.items():
            history, mailbox = await record(environment, story)
            (HISTORIES / f"{name}.json").write_text(history + "\n")
            if mailbox and story is released:
                (HISTORIES / "mailbox_closed.json").write_text(mailbox + "\n")


if __name__ == "__main__":
    asyncio.run(main())
