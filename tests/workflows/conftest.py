"""Workflows on skipped time: a real server, the real workflow, and activities whose ports are played in memory."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from adapters.crypto.payload_codec import plain
from tests.tools.temporal_server import temporal_server
from tests.workflows.story import Transfer, started
from tests.workflows.world import Gate, workers


@pytest.fixture(scope="package")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """The real server with time that can be skipped."""
    async with temporal_server(data_converter=plain, skips_time=True) as environment:
        yield environment


@pytest.fixture
async def world(skipping: WorkflowEnvironment) -> AsyncIterator[Gate]:
    """A fresh world with workers at work."""
    world = Gate()
    transfers, heavy, mail, checks = workers(skipping.client, world)
    async with transfers, heavy, mail, checks:
        yield world


@pytest.fixture
async def transfer(skipping: WorkflowEnvironment, world: Gate) -> AsyncIterator[Transfer]:
    """A transfer that has just been started; what is left of it at the end is no work for the next test's world."""
    transfer = await started(skipping, world)
    yield transfer
    with suppress(RPCError):  # it has ended
        await transfer.terminate()
