"""Following a transfer: looked at again and again, often while it works and less so while it waits for people."""

import asyncio
from collections.abc import AsyncIterator, Callable

from domain import messages as m
from domain.errors import Unavailable
from domain.vocabulary import TransferState
from starter.client.client import TransferClient
from starter.client.models import TransferSnapshot

_POLL_SECONDS = 0.25
_IDLE_POLL_SECONDS = 2.0
# What is over in moments is looked at often, what waits for people is not.
_QUICK = (TransferState.PREPARING, TransferState.CLONING, TransferState.UNDOING)

# Nothing more happens by itself: somebody uploads the ticket, or compares and releases.
WAITING_FOR_PEOPLE = frozenset({TransferState.AWAITING_UPLOAD, TransferState.AWAITING_RELEASE})

Enough = Callable[[m.TransferStatus], bool]


def is_over(status: m.TransferStatus) -> bool:
    """Tell whether nothing more will happen."""
    return status.state.is_final


def pause_seconds(state: TransferState) -> float:
    """Return how long to wait before a transfer in a state is looked at again."""
    return _POLL_SECONDS if state in _QUICK else _IDLE_POLL_SECONDS


async def snapshots(
    client: TransferClient, which: str, enough: Enough = is_over, *, poll_seconds: float | None = None
) -> AsyncIterator[TransferSnapshot]:
    """Yield where a transfer stands, again and again, until it is enough.

    A server or a worker that is away for a while is waited for; only the first look must succeed.

    Args:
        client: Whom to ask.
        which: The transfer.
        enough: Tells whether to stop after a snapshot.
        poll_seconds: How often to look; often while it works and less so while it waits, when it is left out.
    """
    snapshot = await client.status(which)
    transfer_id = str(snapshot.status.transfer_id)  # a name may come to mean two environments while we watch
    yield snapshot
    while not enough(snapshot.status):
        await asyncio.sleep(poll_seconds or pause_seconds(snapshot.status.state))
        try:
            snapshot = await client.status(transfer_id)
        except Unavailable:
            continue
        yield snapshot
