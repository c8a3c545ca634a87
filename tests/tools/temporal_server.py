"""Temporal's dev server as its SDK starts it, in memory, on ports that nobody else gets meanwhile.

Left to itself the SDK takes ports from the range of clients, lets them go, and starts the server: a connection that
anybody opens in between may have got one of them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.converter import DataConverter
from temporalio.testing import WorkflowEnvironment

from devstack.binaries import temporal_cli
from devstack.ports import Ports
from devstack.temporal import DYNAMIC
from workflows import search_attributes

_HTTP, _METRICS = "http-port", "metrics-port"
# The SDK would give up after five seconds, which a server on a busy machine needs before it answers.
_PATIENCE = timedelta(minutes=5)


@asynccontextmanager
async def temporal_server(
    *, data_converter: DataConverter, skips_time: bool = False
) -> AsyncIterator[WorkflowEnvironment]:
    """Run a server that knows our search attributes, configured as in production.

    Args:
        data_converter: Of the environment's client.
        skips_time: Whether a workflow's clock can be moved on, by `fast_forward`.
    """
    start = WorkflowEnvironment.start_time_skipping_v2 if skips_time else WorkflowEnvironment.start_local
    settings = {
        **DYNAMIC,
        "frontend.WorkflowTimeSkippingEnabled": str(skips_time).lower(),
        # Else the server hands tasks to a worker that is going, and misses them only at their time-out: a test that
        # restarts workers would wait for that.
        "frontend.enableCancelWorkerPollsOnShutdown": "true",
    }
    with TemporaryDirectory() as folder:
        ports = Ports(Path(folder) / "ports.json", "port", _HTTP, _METRICS)
        ports.choose()
        try:
            environment = await start(
                data_converter=data_converter,
                port=ports["port"],
                dev_server_existing_path=str(temporal_cli()),
                dev_server_extra_args=[
                    *(f"--{name}={ports[name]}" for name in (_HTTP, _METRICS)),
                    *(f"--dynamic-config-value={name}={value}" for name, value in settings.items()),
                ],
                dev_server_log_level="error",
                dev_server_startup_timeout=_PATIENCE,
                search_attributes=search_attributes.ALL,
            )
            async with environment:
                yield environment
        finally:
            ports.let_go()
