"""`sb-transfer payload-keys`: which keys encrypt histories, and which of them are still needed."""

import re
from collections import Counter

from rich.text import Text
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from adapters.crypto.payload_codec import EncryptingCodec, encrypting
from adapters.temporal.client import connect_temporal
from domain.messages import Message
from domain.reconciliation import RECONCILE_SCHEDULE
from starter.cli.output import ExitCode, Output
from starter.cli.panels import columns
from starter.client.workflow_handle import domain_errors
from starter.environment import Surroundings

# How protobuf writes one entry of a payload's metadata: found wherever in an event a payload may be.
_KEY_ID = re.compile(rb"encryption-key-id\x12\x10([0-9a-f]{16})")


class KeyUse(Message):
    """One key, and what would be unreadable without it."""

    key_id: str
    on_ring: bool
    newest: bool
    open_histories: int
    closed_histories: int
    schedules: int


async def tell_key_use(here: Surroundings, output: Output) -> ExitCode:
    """Answer with every key of the ring and every key in use; DIFFERENT when one in use is not on the ring.

    Reads all histories that Temporal keeps, which takes about a second for a hundred.

    Raises:
        Unavailable: Temporal does not answer.
        Misconfigured: A key on the ring is unusable.
    """
    ring = EncryptingCodec(here.settings.payload_keys).key_ids
    client = await connect_temporal(environment=here.environment, data_converter=encrypting(here.settings.payload_keys))
    with domain_errors():
        opened, closed, schedules = await _count(client)
    known = [*ring, *sorted({*opened, *closed, *schedules} - set(ring))]
    uses = [
        KeyUse(
            key_id=key_id,
            on_ring=key_id in ring,
            newest=key_id == ring[0],
            open_histories=opened[key_id],
            closed_histories=closed[key_id],
            schedules=schedules[key_id],
        )
        for key_id in known
    ]
    table = columns("key", "", "open histories", "closed histories", "schedules")
    for use in uses:
        table.add_row(use.key_id, _role(use), str(use.open_histories), str(use.closed_histories), str(use.schedules))
    output.answer(uses, table)
    return ExitCode.OK if all(use.on_ring for use in uses) else ExitCode.DIFFERENT


def _role(use: KeyUse) -> Text:
    if use.newest:
        return Text("encrypts", style="green")
    if use.on_ring:
        needed = use.open_histories or use.closed_histories or use.schedules
        return Text("decrypts") if needed else Text("can be dropped", style="dim")
    return Text("missing", style="bold red")


async def _count(client: Client) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Return in how many open histories, closed histories and schedules each key occurs."""
    opened: Counter[str] = Counter()
    closed: Counter[str] = Counter()
    async for execution in client.list_workflows():
        running = execution.status is WorkflowExecutionStatus.RUNNING
        (opened if running else closed).update(await _keys_of(client, execution))
    schedules: Counter[str] = Counter()
    try:
        described = await client.get_schedule_handle(RECONCILE_SCHEDULE).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    else:
        schedules.update(_keys_in(described.raw_description.SerializeToString()))
    return opened, closed, schedules


async def _keys_of(client: Client, execution: WorkflowExecution) -> set[str]:
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    # What an activity at work has told last is not in the history yet.
    found = _keys_in((await handle.describe()).raw_description.SerializeToString())
    async for event in handle.fetch_history_events():
        found |= _keys_in(event.SerializeToString())
    return found


def _keys_in(stored: bytes) -> set[str]:
    return {match.decode() for match in _KEY_ID.findall(stored)}
