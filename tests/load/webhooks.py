"""Ten thousand events to a receiver that fails half the time and is killed, by deliverers that are killed as well.

`python -m tests.load.webhooks --events 10000` says what came of it; anything lost, or out of order, makes it fail.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.crypto.webhook_secrets import WebhookSecrets
from adapters.postgres.connection import Pool, connect_pool
from adapters.postgres.migrations import migrate_control
from adapters.webhooks.addresses import AddressRules
from adapters.webhooks.deliverer import Pace, WebhookDeliverer
from adapters.webhooks.endpoints import PostgresWebhooks
from devstack.ports import free_port
from devstack.postgres import EmbeddedPostgres
from devstack.processes import accepts_connections
from tests.tools.paths import ROOT

# A distribution of its own, which is not installed beside the service.
sys.path.append(str(ROOT / "client"))
from sb_transfer_client.models import CloudEvent

from tests.integration.adapters.webhooks.receiver import Receiver, sometimes

_TRANSFERS = 200
_DELIVERERS = 3
# Impatient, so that thousands of failures take minutes; how long the pauses are is `domain.webhooks`' to say.
_PACE = Pace(pause=lambda _: timedelta(milliseconds=50), timeout_seconds=2, lease=timedelta(seconds=1))
_LONGEST_SECONDS = 1_800.0
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Report:
    """What came of it."""

    events: int
    taken: int
    lost: int
    out_of_order: int
    again: int
    receiver_killed: int
    deliverers_killed: int
    seconds: float
    cpu_seconds: float

    @property
    def is_good(self) -> bool:
        """Tell whether every event arrived, in its order, and something was really killed."""
        return not self.lost and not self.out_of_order and self.receiver_killed > 0 and self.deliverers_killed > 0


async def run(
    pool: Pool, folder: Path, *, events: int, seed: int = 1, every_seconds: float = 2.0, blows: int = 1_000_000
) -> Report:
    """Tell a receiver of events while it and the deliverers are killed.

    Args:
        pool: Connected to a migrated database without endpoints.
        folder: For what the receiver took.
        events: How many.
        seed: Of who is killed when.
        every_seconds: How often about somebody is killed.
        blows: How often at most.
    """
    secrets, rules = WebhookSecrets([SecretStr(Fernet.generate_key().decode())]), AddressRules(["127.0.0.0/8"])
    port, book = free_port(), folder / "taken"
    book.touch()
    _, secret = await PostgresWebhooks(pool, secrets, rules).register(
        uuid.uuid4(),
        licence=None,
        url=f"http://127.0.0.1:{port}/",
        types=(),
        description="",
        created_by="load",
    )
    await _write_events(pool, events)
    dice = random.Random(seed)  # noqa: S311 - the same blows each time
    receiver_killed = deliverers_killed = 0
    began, cpu = time.monotonic(), time.process_time()
    receiver = await _receiver(port, secret, book)

    def deliverer() -> asyncio.Task[object]:
        made = WebhookDeliverer(pool, secrets, rules, pace=_PACE)
        return asyncio.create_task(made.deliver(timedelta(hours=1), lambda: False))

    at_work = [deliverer() for _ in range(_DELIVERERS)]
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            while await _left(pool) or not (receiver_killed and deliverers_killed):
                await asyncio.sleep(every_seconds * dice.uniform(0.5, 1.5))
                if receiver_killed + deliverers_killed >= blows:
                    continue
                if receiver_killed <= deliverers_killed:
                    receiver.send_signal(signal.SIGKILL)
                    await receiver.wait()
                    receiver_killed += 1
                    receiver = await _receiver(port, secret, book)
                else:
                    which = dice.randrange(_DELIVERERS)
                    at_work[which].cancel()  # in the middle of whatever it is at: nothing is let go
                    await asyncio.gather(at_work[which], return_exceptions=True)
                    deliverers_killed += 1
                    at_work[which] = deliverer()
    finally:
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)
        receiver.send_signal(signal.SIGKILL)
        await receiver.wait()
    return _report(
        book,
        events,
        receiver_killed=receiver_killed,
        deliverers_killed=deliverers_killed,
        seconds=round(time.monotonic() - began, 1),
        cpu_seconds=round(time.process_time() - cpu, 1),
    )


async def _write_events(pool: Pool, events: int) -> None:
    await pool.execute(
        "insert into control.transfer_event (transfer_id, actor, kind) "
        "select md5((n % $2)::text)::uuid, 'load', 'mail_sent' from generate_series(1, $1) n",
        events,
        _TRANSFERS,
    )


async def _left(pool: Pool) -> bool:
    left: bool = await pool.fetchval(
        "select exists (select from control.webhook_delivery) or exists (select from control.event_outbox) "
        "or (select position from control.webhook) < (select max(position) from control.published_event)"
    )
    return left


def _report(book: Path, events: int, *, receiver_killed: int, deliverers_killed: int, **took: float) -> Report:
    firsts: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    again = 0
    for line in book.read_text().splitlines():
        event_id, subject, sequence = json.loads(line)
        if event_id in seen:
            again += 1
        else:
            seen.add(event_id)
            firsts[subject].append(int(sequence))
    wrong = sum(before > after for one in firsts.values() for before, after in pairwise(one))
    return Report(
        events=events,
        taken=len(seen),
        lost=events - len(seen),
        out_of_order=wrong,
        again=again,
        receiver_killed=receiver_killed,
        deliverers_killed=deliverers_killed,
        seconds=took["seconds"],
        cpu_seconds=took["cpu_seconds"],
    )


async def _receiver(port: int, secret: str, book: Path) -> asyncio.subprocess.Process:
    words = ("-m", "tests.load.webhooks", "--receive", str(port), "--secret", secret, "--book", str(book))
    process = await asyncio.create_subprocess_exec(sys.executable, *words)
    async with asyncio.timeout(_START_SECONDS):
        while not await accepts_connections("127.0.0.1", port):  # noqa: ASYNC110 - another process's to know
            await asyncio.sleep(0.1)
    return process


async def _receive(port: int, secret: str, book: Path) -> None:
    """Take events until killed: what is taken stands in the book before it is answered."""
    no = sometimes(0.5, seed=time.time_ns())
    with book.open("a", buffering=1) as kept:

        def answer(event: CloudEvent) -> str:
            status = no(event)
            status = no(event)
            if status.startswith("2"):
                kept.write(json.dumps([event.id, event.subject, event.sequence]) + "\n")
            return status

        async with Receiver(answer=answer, secrets=[secret], port=port):
            await asyncio.Event().wait()


async def _main(events: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedPostgres(Path(name) / "postgres")
        await server.start()
        try:
            await migrate_control(server.dsn())
            pool = await connect_pool(server.dsn(), max_size=12, application_name="load of webhooks")
            report = await run(pool, Path(name), events=events, seed=seed)
            await pool.close()
        finally:
            await server.stop()
    sys.stdout.write(json.dumps(asdict(report)) + "\n")
    return 0 if report.is_good else 1


def main() -> int:
    """Run it on a server of its own; return 0 when nothing was lost and everything came in order."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--events", type=int, default=10_000, help="how many")
    words.add_argument("--seed", type=int, default=1, help="who is killed when")
    words.add_argument("--receive", type=int, help=argparse.SUPPRESS)
    words.add_argument("--secret", help=argparse.SUPPRESS)
    words.add_argument("--book", type=Path, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.receive:
        asyncio.run(_receive(given.receive, given.secret, given.book))
        return 0
    return asyncio.run(_main(given.events, given.seed))


if __name__ == "__main__":
    sys.exit(main())
