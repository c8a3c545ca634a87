"""`python -m devstack.health`: is the worker in this container at work? Needs none of the embedded stack's packages."""

import asyncio
import gc
import socket
import sys
import time
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from adapters.temporal import connect_temporal, pollers
from domain.errors import TransferError
from workflows.queues import TRANSFERS

# A worker asks for work anew at least once a minute; the rest is for a busy network.
_SILENCE = timedelta(seconds=150)


async def is_at_work(client: Client, host: str, *, silence: timedelta = _SILENCE) -> bool:
    """Tell whether a worker on a host asks for work.

    Looks at `transfers` only: a worker whose clone slots are all taken asks the other queue for nothing, and is well.
    """
    since = datetime.now(UTC) - silence
    heard = await pollers(client, TRANSFERS)
    return any(identity.partition("@")[2] == host and last >= since for identity, last in heard.items())


async def check() -> str | None:
    """Return what is wrong, or `None`."""
    host = socket.gethostname()
    try:
        well = await is_at_work(await connect_temporal(), host)
    except TransferError as error:
        return str(error)
    return None if well else f"No worker on {host} asks for work from {TRANSFERS}."


def main() -> int:
    """Print what is wrong; return 0 when nothing is, else 1."""
    trouble = asyncio.run(check())
    if trouble:
        sys.stderr.write(f"{trouble}\n")
    gc.collect()
    time.sleep(0.1)  # the SDK's threads may outlive the interpreter and abort it, which would look like bad health
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
