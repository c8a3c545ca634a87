"""Versions of the worker, as Temporal's worker deployments know them, and which of them gets the work."""

import asyncio
from datetime import datetime, timedelta

from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentResponse,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Misconfigured, Refused, Unavailable
from domain.messages import Message

_RPC_TIMEOUT = timedelta(seconds=10)
_POLL_SECONDS = 0.2
_NOT_YET = (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION)


class VersionUnknown(Refused):
    """No worker of this version has asked for work yet. Start its workers first."""

    dutch = "Er heeft nog geen worker van deze versie om werk gevraagd. Start eerst de workers."


class WorkerVersion(Message):
    """One version of the worker."""

    build_id: str
    status: str
    """`current` gets the work, `inactive` waits for it, `draining` has old work left, `drained` can be stopped."""
    created_at: datetime
    is_current: bool


class WorkerDeployment(Message):
    """A deployment, its newest version first."""

    name: str
    current: str | None
    """The build id that gets the work; None: workers that are not versioned do."""
    versions: tuple[WorkerVersion, ...]


async def deployment(client: Client, name: str) -> WorkerDeployment:
    """Return what Temporal knows of a deployment; it has no versions before its first worker asks for work.

    Raises:
        Unavailable: The server does not answer.
    """
    try:
        info = (await _describe(client, name)).worker_deployment_info
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return WorkerDeployment(name=name, current=None, versions=())
        raise Unavailable(f"Temporal does not describe the deployment {name}: {error.message}") from error
    current = info.routing_config.current_deployment_version.build_id or None
    versions = [
        WorkerVersion(
            build_id=one.deployment_version.build_id,
            status=_word(one.status),
            created_at=one.create_time.ToDatetime().astimezone(),
            is_current=one.deployment_version.build_id == current,
        )
        for one in info.version_summaries
    ]
    versions.sort(key=lambda one: one.created_at, reverse=True)
    return WorkerDeployment(name=name, current=current, versions=tuple(versions))


async def make_current(client: Client, name: str, build_id: str, *, patience: timedelta) -> None:
    """Give a version the work, new and under way, as soon as its workers ask for it.

    Args:
        client: A client of the namespace that the transfers run in.
        name: The deployment.
        build_id: The version.
        patience: How long to wait for its first worker.

    Raises:
        VersionUnknown: None of its workers has asked for work in time. Nothing has changed.
        Misconfigured: This login may not do it.
        Unavailable: The server does not answer.
    """
    order = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=name, build_id=build_id, identity=client.identity
    )
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                try:
                    await client.workflow_service.set_worker_deployment_current_version(order, timeout=_RPC_TIMEOUT)
                except RPCError as error:
                    if error.status not in _NOT_YET:
                        raise
                    why = error.message
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    return
    except TimeoutError:
        raise VersionUnknown(
            f"No worker of version {build_id} asks all queues of {name} for work ({why}). Start its workers first."
        ) from None
    except RPCError as error:
        if error.status is RPCStatusCode.PERMISSION_DENIED:
            raise Misconfigured(f"This login may not change deployments: {error.message}") from error
        raise Unavailable(f"Temporal does not make {build_id} current: {error.message}") from error


async def _describe(client: Client, name: str) -> DescribeWorkerDeploymentResponse:
    order = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=name)
    return await client.workflow_service.describe_worker_deployment(order, timeout=_RPC_TIMEOUT, retry=True)


def _word(status: "WorkerDeploymentVersionStatus.ValueType") -> str:
    name = WorkerDeploymentVersionStatus.Name(status)
    return name.removeprefix("WORKER_DEPLOYMENT_VERSION_STATUS_").lower()
