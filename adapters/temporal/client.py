"""The connection to Temporal, configured the way Temporal's own tools are, and its search attributes."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client, Interceptor
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.envconfig import ClientConfigProfile
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Misconfigured, Unavailable

_LOCAL_ADDRESS = "localhost:7233"  # what Temporal's own tools assume
_RPC_TIMEOUT = timedelta(seconds=5)
_POLL_SECONDS = 0.1
_PROPAGATION_SECONDS = 30.0
_NOT_ALLOWED = (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED)


async def connect_temporal(
    *,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 5.0,
    data_converter: DataConverter = pydantic_data_converter,
    interceptors: Iterable[Interceptor] = (),
    runtime: Runtime | None = None,
) -> Client:
    """Connect to the Temporal server that TEMPORAL_ADDRESS or the active profile names, and prove that it answers.

    Args:
        environment: Variables to read instead of this process's own.
        timeout_seconds: How long to go on trying a server that does not answer.
        data_converter: How messages become payloads: `payload_codec.encrypting` for whoever sends or reads any.
        interceptors: Client (and worker) interceptors.
        runtime: Where its metrics and the logs of the SDK's core go; left out, nobody sees the metrics.

    Raises:
        Unavailable: The server does not answer; the message names its address.
        Misconfigured: The profile, the certificate, the key or the namespace is wrong.
    """
    config = _connect_config(environment)
    address = config["target_host"]
    last_error: Exception | None = None
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                try:
                    client = await Client.connect(
                        **config, data_converter=data_converter, interceptors=list(interceptors), runtime=runtime
                    )
                    await _prove_access(client, address)
                except (RuntimeError, RPCError) as error:
                    # "Refused", "wrong certificate" and "still starting" differ in words only, so the deadline
                    # decides and the words go along.
                    last_error = error
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    return client
    except TimeoutError:
        why = f" ({_one_line(last_error)})" if last_error else ""
        raise Unavailable(
            f"Temporal does not answer at {address}{why}. Start it, or correct TEMPORAL_ADDRESS."
        ) from last_error
    except ValueError as error:
        raise Misconfigured(
            f"{address} is no address of a Temporal server ({_one_line(error)}). Correct TEMPORAL_ADDRESS."
        ) from error


async def register_search_attributes(client: Client, keys: Iterable[SearchAttributeKey[Any]]) -> list[str]:
    """Make search attributes known to the server; return the names that were new, none when all were known.

    Returns when the server accepts them in a query: new ones take it a moment.

    Raises:
        Misconfigured: A name is in use with another type, or this client may not register.
        Unavailable: The server does not answer, or does not accept them in time.
    """
    wanted = {key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in keys}
    address = client.service_client.config.target_host
    try:
        known = await _known_search_attributes(client)
        for name, kind in wanted.items():
            if known.get(name, kind) != kind:
                raise Misconfigured(
                    f"The search attribute {name} exists in namespace {client.namespace} at {address} as "
                    f"{_type_name(known[name])}, not as {_type_name(kind)}. Remove it or use another namespace."
                )
        missing = {name: kind for name, kind in wanted.items() if name not in known}
        if missing:
            await _add(client, missing)
        await _until_searchable(client, wanted)
    except RPCError as error:
        if error.status in _NOT_ALLOWED:
            todo = ", ".join(f"{name} ({_type_name(kind)})" for name, kind in wanted.items())
            raise Misconfigured(
                f"This login may not register search attributes at {address}. Have the server's operator add: {todo}."
            ) from error
        raise Unavailable(f"Temporal at {address} does not register search attributes: {_one_line(error)}") from error
    except TimeoutError as error:
        raise Unavailable(
            f"Temporal at {address} does not accept its new search attributes within {_PROPAGATION_SECONDS:g} s. "
            "Run this again."
        ) from error
    return sorted(missing)


async def missing_search_attributes(client: Client, keys: Iterable[SearchAttributeKey[Any]]) -> list[str]:
    """Return the names that the server does not know yet."""
    known = await _known_search_attributes(client)
    return [key.name for key in keys if key.name not in known]


async def _known_search_attributes(client: Client) -> dict[str, "IndexedValueType.ValueType"]:
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT, retry=True
    )
    return {**listed.system_attributes, **listed.custom_attributes}


async def pollers(client: Client, task_queue: str) -> dict[str, datetime]:
    """Return who asked a queue for work in the last minutes, and when last: by identity, `pid@host` unless chosen.

    Activity and workflow workers are both in it. One that has ended stays in it for some minutes.
    """
    found: dict[str, datetime] = {}
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
            ),
            timeout=_RPC_TIMEOUT,
            retry=True,
        )
        for poller in answer.pollers:
            last = poller.last_access_time.ToDatetime(tzinfo=UTC)
            found[poller.identity] = max(last, found.get(poller.identity, last))
    return found


def _connect_config(environment: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        profile = ClientConfigProfile.load(override_env_vars=environment)
        config: dict[str, Any] = {**profile.to_client_connect_config()}
    except Exception as error:  # the SDK's ConfigError is not public, and files raise OSError
        raise Misconfigured(f"Temporal's configuration cannot be used: {_one_line(error)}. Correct it.") from error
    config.setdefault("target_host", _LOCAL_ADDRESS)
    return config


async def _prove_access(client: Client, address: str) -> None:
    """Connecting alone proves neither the namespace nor the right to use it."""
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT
        )
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise Misconfigured(
                f"Temporal at {address} has no namespace {client.namespace}. Make it, or correct TEMPORAL_NAMESPACE."
            ) from error
        if error.status in _NOT_ALLOWED:
            raise Misconfigured(
                f"Temporal at {address} does not let this client use namespace {client.namespace}. "
                "Correct TEMPORAL_API_KEY or the TLS certificate."
            ) from error
        raise


async def _add(client: Client, missing: Mapping[str, "IndexedValueType.ValueType"]) -> None:
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing), timeout=_RPC_TIMEOUT
        )
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:  # another `setup` was first
            raise


async def _until_searchable(client: Client, names: Iterable[str]) -> None:
    """Registered is not yet usable: each part of the server reads the list anew every few seconds."""
    query = " AND ".join(f"{name} IS NULL" for name in names)
    async with asyncio.timeout(_PROPAGATION_SECONDS):
        while True:
            try:
                await client.count_workflows(query)
            except RPCError as error:
                if error.status != RPCStatusCode.INVALID_ARGUMENT:
                    raise
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return


def _type_name(kind: "IndexedValueType.ValueType") -> str:
    return IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").capitalize()


def _one_line(error: BaseException) -> str:
    """Return what a person can use of an error of the SDK, which wraps its cause in the names of its own types."""
    words = " ".join(str(error).split())
    if refused := re.search(r"InvalidCertificate\((\w+)", words):
        return f"its certificate is not accepted: {refused[1]}"
    innermost = re.findall(r'(?:message|error): "([^"]+)"', words)
    return innermost[-1] if innermost else words
