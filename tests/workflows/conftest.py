"""Workflows on skipped time: a real server, the real workflow, and activities whose ports are played in memory."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

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
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=str(temporal_cli()),
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
        search_attributes=search_attributes.ALL,
    )
    async with environment:
        yield environment


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
