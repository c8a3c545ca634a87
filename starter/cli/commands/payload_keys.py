"""`sb-transfer payload-keys`: which keys encrypt histories, and which of them are still needed."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated

import typer
from google.protobuf.message import Message
from rich.text import Text
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, ListWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.crypto.payload_codec import EncryptingCodec, encrypting, key_id_of
from adapters.postgres.database import database
from adapters.postgres.payload_keys import forget_key
from adapters.temporal.client import connect_temporal
from adapters.webhooks.deliveries import Deliveries
from domain.errors import Misconfigured
from domain.messages import Message as DomainMessage
from domain.reconciliation import RECONCILE_SCHEDULE
from starter.cli.options import AsJson
from starter.cli.output import ExitCode, Output, run
from starter.cli.panels import columns
from starter.client.errors import domain_errors
from starter.environment import Surroundings, surroundings

commands = typer.Typer()


class KeyUse(DomainMessage):
    """One key, and what would be unreadable without it."""

    key_id: str
    on_ring: bool
    newest: bool
    open_histories: int
    closed_histories: int
    schedules: int
    webhooks: int


@commands.command("payload-keys")
def payload_keys(
    *,
    forget: Annotated[
        str, typer.Option(metavar="KEY", help="Let programs start without this key: before it is taken off the rings.")
    ] = "",
    lost: Annotated[
        bool, typer.Option("--lost", help="Forget it although it is needed: nobody has it any more.")
    ] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Tell which keys encrypt histories and which are still needed. Exit code 1 when one that is needed is missing."""
    here = surroundings()
    return run(tell_key_use(here, Output(as_json=as_json, zone=here.settings.zone), forget=forget, lost=lost))


async def tell_key_use(here: Surroundings, output: Output, *, forget: str = "", lost: bool = False) -> ExitCode:
    """Answer with every key of the ring and every key in use; DIFFERENT when one in use is not on the ring.

    Reads all histories that Temporal keeps, which takes about a second for a hundred.

    Args:
        here: The ring, and where Temporal and the database are.
        output: Where the answer goes.
        forget: A key that programs may do without from now on, if any.
        lost: Forget it although something needs it.

    Raises:
        Unavailable: Temporal or the database does not answer.
        Misconfigured: A key on the ring is unusable, or the one to forget is needed or unknown.
    """
    ring = EncryptingCodec(here.settings.payload_keys).key_ids
    client = await connect_temporal(environment=here.environment, data_converter=encrypting(here.settings.payload_keys))
    with domain_errors():
        opened, closed, schedules = await _count(client)
    async with database(here.settings.database_url) as pool:
        webhooks = await Deliveries(pool).sealed_with()
    known = [*ring, *sorted({*opened, *closed, *schedules, *webhooks} - set(ring))]
    uses = [
        KeyUse(
            key_id=key_id,
            on_ring=key_id in ring,
            newest=key_id == ring[0],
            open_histories=opened[key_id],
            closed_histories=closed[key_id],
            schedules=schedules[key_id],
            webhooks=webhooks[key_id],
        )
        for key_id in known
    ]
    if forget:
        if not lost and any(use.key_id == forget and (use.newest or _is_needed(use)) for use in uses):
            raise Misconfigured(f"The key {forget} is still needed. Wait until this list says that it can be dropped.")
        async with database(here.settings.database_url) as pool:
            if not await forget_key(pool, forget):
                raise Misconfigured(f"The database knows no key {forget}. Give the name of one from this list.")
    table = columns("key", "", "open histories", "closed histories", "schedules", "webhooks")
    for use in uses:
        figures = (use.open_histories, use.closed_histories, use.schedules, use.webhooks)
        table.add_row(use.key_id, _role(use), *map(str, figures))
    output.answer(uses, table)
    return ExitCode.OK if all(use.on_ring for use in uses) else ExitCode.DIFFERENT


def _role(use: KeyUse) -> Text:
    if use.newest:
        return Text("encrypts", style="green")
    if use.on_ring:
        return Text("decrypts") if _is_needed(use) else Text("can be dropped", style="dim")
    return Text("missing", style="bold red")


def _is_needed(use: KeyUse) -> bool:
    return bool(use.open_histories or use.closed_histories or use.schedules or use.webhooks)


async def _count(client: Client) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Return in how many open histories, closed histories and schedules each key occurs."""
    opened: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    async for info in _executions(client):
        is_closed = info.HasField("close_time")
        (closed if is_closed else opened).update(await _keys_of(client, info.execution))
    schedules: Counter[str] = Counter()
    try:
        described = await client.get_schedule_handle(RECONCILE_SCHEDULE).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    else:
        schedules.update(_keys_in(described.raw_description))
    return opened, closed, schedules


async def _executions(client: Client) -> AsyncIterator[WorkflowExecutionInfo]:
    """Yield every workflow that the server keeps, as it says it: the SDK fails at a status newer than itself."""
    request = ListWorkflowExecutionsRequest(namespace=client.namespace)
    while True:
        page = await client.workflow_service.list_workflow_executions(request, retry=True)
        for info in page.executions:
            yield info
        if not page.next_page_token:
            return
        request.next_page_token = page.next_page_token


async def _keys_of(client: Client, execution: WorkflowExecution) -> set[str]:
    # What an activity at work has told last is not in the history yet.
    found = _keys_in(
        await client.workflow_service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=execution), retry=True
        )
    )
    handle = client.get_workflow_handle(execution.workflow_id, run_id=execution.run_id)
    async for event in handle.fetch_history_events():
        found |= _keys_in(event)
    return found


def _keys_in(stored: Message) -> set[str]:
    """Return the ids of the keys that payloads anywhere in a message are encrypted with."""
    if isinstance(stored, Payload):
        return {key_id} if (key_id := key_id_of(stored)) else set()
    found: set[str] = set()
    for field, value in stored.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            children = [child for child in value.values() if isinstance(child, Message)]
        else:
            children = value if field.is_repeated else [value]
        for child in children:
            found |= _keys_in(child)
    return found
