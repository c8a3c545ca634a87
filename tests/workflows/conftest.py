"""Workflows on skipped time: a real server, the real workflow, and activities whose ports are played in memory."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from adapters.crypto.payload_codec import plain
from devstack.binaries import temporal_cli
from domain import messages as m
from domain.naming import workflow_id_of
from tests.workflows.story import Transfer
from tests.workflows.world import Gate, workers
from workflows import search_attributes
from workflows import task_queues as queues
from workflows.transfer import TransferWorkflow


@pytest.fixture(scope="session")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """The real server with time that can be skipped."""
    async with await _server() as environment:
        yield environment


@pytest.fixture(scope="session")
async def renewing() -> AsyncIterator[WorkflowEnvironment]:
    """The same, of which a history is long after some dozens of events."""
    async with await _server("limit.historyCount.suggestContinueAsNew=100") as environment:
        yield environment


async def _server(*settings: str) -> WorkflowEnvironment:
    values = ["frontend.WorkflowTimeSkippingEnabled=true", *settings]
    return await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=plain,
        dev_server_existing_path=str(temporal_cli()),
        dev_server_extra_args=[part for value in values for part in ("--dynamic-config-value", value)],
        search_attributes=search_attributes.ALL,
    )


@pytest.fixture
async def world(skipping: WorkflowEnvironment) -> AsyncIterator[Gate]:
    """A fresh world with workers at work."""
    world = Gate()
    transfers, heavy, mail = workers(skipping.client, world)
    async with transfers, heavy, mail:
        yield world


@pytest.fixture
async def transfer(skipping: WorkflowEnvironment, world: Gate) -> AsyncIterator[Transfer]:
    """A transfer that has just been started; what is left of it at the end is no work for the next test's world."""
    with skipping.with_time_skipping_disabled():
        transfer = await skipping.client.start_workflow(
            TransferWorkflow.run,
            m.TransferInput(environment_id=world.old_id, requested_by="old side"),
            id=workflow_id_of(world.old_id),
            task_queue=queues.TRANSFERS,
        )
    yield transfer
    with suppress(RPCError):  # it has ended
        await transfer.terminate()
