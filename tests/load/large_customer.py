"""`python -m tests.load.large_customer`: one customer of a size that nobody expects moves; what others notice of it.

20,000 users, 60,000 open quotes and 3,000 administrations, on the real stack. The last line says how large the largest
payload of the move was, how often the deadlock detector struck, how often a mail was tried at most, and how many times
longer others waited for an answer meanwhile than at rest.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from adapters.temporal.client import connect_temporal
from devstack.stack import Stack
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.connect import connect, settings_of
from starter.client.polling import snapshots
from tests.integration.services import NEW_FIRM, Services

PAYLOAD_MAY_HOLD = 256_000  # bytes
_OTHERS = ("SB_TRANSFER_", "TEMPORAL_")
_AT_REST = 60
_DEADLOCK = "[TMPRL1101]"  # the SDK's name for it
_PATIENCE_SECONDS = 3_600.0
_FILL = """
insert into administration (id, name, read_only)
select gen_random_uuid(), 'Administratie ' || n, false from generate_series(1, {administrations}) n;
insert into quote (administration_id, number, relation_id, status, quoted_on, valid_until, amount, total)
select r.administration_id, 'V-' || n, r.id, 'open', '2026-01-01', '2027-01-01', 100, 121
from generate_series(1, {quotes}) n cross join (select administration_id, id from relation limit 1) r;
insert into app_user (email, role, invitation_status, mobile_link_status)
select 'gebruiker' || n || '@klant.example', 'reader', 'accepted', 'linked' from generate_series(1, {users}) n;
"""


@dataclass(frozen=True)
class Size:
    """How much a customer has."""

    users: int = 20_000
    quotes: int = 60_000
    administrations: int = 3_000


@dataclass(frozen=True)
class Outcome:
    """What came of the move, and what others noticed."""

    state: TransferState
    seconds: float
    mails: int
    events: int
    largest_payload: int
    """Bytes."""
    deadlocks: int
    """How often a workflow's own code took longer than two seconds: its task fails then, and is tried again."""
    attempts: int
    """How often a mail was tried, at most."""
    p95_at_rest: float
    """Seconds until somebody else's question was answered."""
    p95_meanwhile: float

    @property
    def ratio(self) -> float:
        return self.p95_meanwhile / self.p95_at_rest

    def __str__(self) -> str:
        return (
            f"{self.state.value} after {self.seconds:.0f} s with {self.mails:,} mails and {self.events} events; "
            f"largest payload {self.largest_payload:,} bytes; deadlock detector {self.deadlocks} times; a mail tried "
            f"{self.attempts} times at most; others' p95 {self.p95_at_rest * 1000:.0f} ms at rest, "
            f"{self.p95_meanwhile * 1000:.0f} ms meanwhile: {self.ratio:.1f} times"
        )


async def move_a_large_customer(folder: Path, size: Size) -> Outcome:
    """Move it from its preview to the last invitation, on a stack of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    async with Stack(folder, environment=environment) as stack:
        variables = stack.process_environment()
        settings = settings_of(variables)
        temporal = await connect_temporal(environment=variables)
        async with (
            Services(settings.database_url.get_secret_value()) as services,
            connect(settings, environment=variables) as client,
        ):
            large = await services.environment("Groot")
            async with services.pool.acquire() as connection, connection.transaction():
                await connection.execute(f"set local search_path to env_{large.hex}, pg_catalog")
                await connection.execute(_FILL.format(**vars(size)))
            await services.pool.execute("analyze")
            other = await _other(services, client)
            rest = [await _timed(other) for _ in range(_AT_REST)]
            meanwhile: list[float] = []
            watching = asyncio.create_task(_keep_asking(other, meanwhile))
            began = time.monotonic()
            state, workflow_id = await _move(client, services, str(large))
            seconds = time.monotonic() - began
            watching.cancel()
            await asyncio.wait([watching])
            events, largest = await _history(temporal, workflow_id)
            mails = await services.pool.fetchval("select count(*) from control.sent_mail where status = 'sent'")
            attempts = await services.pool.fetchval("select max(attempts) from control.sent_mail")
            deadlocks = await asyncio.to_thread(_deadlocks, folder)
            return Outcome(state, seconds, mails, events, largest, deadlocks, attempts, _p95(rest), _p95(meanwhile))


def _deadlocks(folder: Path) -> int:
    """Return how often the logs tell of the deadlock detector."""
    return sum(log.read_text(errors="replace").count(_DEADLOCK) for log in folder.rglob("log*"))


async def _other(services: Services, client: TransferClient) -> Callable[[], Awaitable[object]]:
    """Return what somebody else asks: where a transfer of theirs stands, by its workflow, and what a move would do."""
    ready = await client.prepare(str(await services.environment("Klein")), requested_by="other side")
    mine = str(await services.environment("Kleiner"))

    async def ask() -> object:
        return await client.status(ready.workflow_id), await client.preview(mine)

    return ask


async def _timed(ask: Callable[[], Awaitable[object]]) -> float:
    began = time.monotonic()
    await ask()
    return time.monotonic() - began


async def _keep_asking(ask: Callable[[], Awaitable[object]], taken: list[float]) -> None:
    while True:
        taken.append(await _timed(ask))
        await asyncio.sleep(0.05)


async def _move(client: TransferClient, services: Services, environment: str) -> tuple[TransferState, str]:
    async def reach(state: TransferState) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for _ in snapshots(client, ready.workflow_id, lambda status: status.state is state, poll_seconds=0.5):
                continue

    await client.preview(environment)
    ready = await client.prepare(environment, requested_by="old side")
    await client.upload(ready.ticket, licence=NEW_FIRM, name="Groot Nieuw", uploaded_by="new side")
    await client.start_now(ready.workflow_id, by="support")
    await reach(TransferState.AWAITING_RELEASE)
    await client.release(ready.workflow_id, by="new side")
    await reach(TransferState.RELEASED)
    unsent = (
        "select not exists (select from control.sent_mail where kind = 'invitation' and status = 'sent') or exists "
        "(select from control.sent_mail where kind = 'invitation' and status <> 'sent') or (select count(*) from "
        "control.sent_mail where kind = 'invitation') < (select (detail ->> 'users_invited')::int from "
        "control.transfer_event where kind = 'environment_released')"
    )
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await services.pool.fetchval(unsent):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.5)
    state = await services.pool.fetchval("select state from control.transfer where transfer_id = $1", ready.transfer_id)
    return TransferState(state), ready.workflow_id


async def _history(temporal: Client, workflow_id: str) -> tuple[int, int]:
    """Return how many events there are, and how many bytes the largest payload has."""
    history = await temporal.get_workflow_handle(workflow_id).fetch_history()
    return len(history.events), max(size for event in history.events for size in _payloads(event))


def _payloads(message: Message) -> list[int]:
    """Return the sizes of all payloads in a message."""
    if isinstance(message, Payload):
        return [message.ByteSize()]
    found = [0]
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            parts = value.values()
        else:
            parts = value if field.is_repeated else [value]
        for one in parts:
            if isinstance(one, Message):
                found += _payloads(one)
    return found


def _p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1]


def main() -> int:
    """Run it as the command line says."""
    words = argparse.ArgumentParser(prog="python -m tests.load.large_customer", description=__doc__)
    for name, most in vars(Size()).items():
        words.add_argument(f"--{name}", type=int, default=most)
    size = Size(**vars(words.parse_args()))
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(move_a_large_customer(Path(folder), size))
    sys.stdout.write(f"{outcome}\n")
    too_large = outcome.largest_payload > PAYLOAD_MAY_HOLD
    return int(outcome.state is not TransferState.RELEASED or too_large or outcome.deadlocks > 0)


if __name__ == "__main__":
    sys.exit(main())
