"""Signals answer nothing, so the truth about one is read from the event log: who did it, or that it was refused."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from adapters.postgres.transfer_rows import plain
from adapters.transfer.queries import PostgresTransferQueries
from domain.errors import EnvironmentChanged, Refused, Unavailable, WrongMoment
from starter.client.lookup import TransferRun
from starter.client.models import TransferSnapshot
from starter.client.workflow_handle import RemoteTransfer

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 30.0
_HEARING_SECONDS = 3.0
_NOBODY = "unknown"  # as the workflow writes the refusal of a signal that names nobody


Written = Callable[[UUID], Awaitable[TransferSnapshot]]


@dataclass(frozen=True)
class Decision:
    """What somebody decides about a transfer, and by which event of the log it shows that it was taken."""

    kind: str
    """`release`, `reject`, `start_now` or `cancel`; the log has a refusal as `<kind>_refused`."""

    actor: str
    send: Callable[[RemoteTransfer], Awaitable[None]]
    event: str
    tells_actor: bool = True
    """Whether the events name who decided: of two who decide at once, only one is taken."""


async def decide(
    decision: Decision, addressed: TransferRun, register: PostgresTransferQueries, written: Written
) -> TransferSnapshot:
    """Send a decision and wait until it is clear whether it was taken.

    Args:
        decision: What is decided.
        addressed: The run of the transfer that it is about.
        register: Where the event log is read.
        written: Tells where the transfer stands without its workflow.

    Raises:
        WrongMoment: It was refused; the message says why, as the event log does.
        EnvironmentChanged: A release was refused, for what the message names is not as it was.
        WorkflowPaused, WorkflowStuck: Nobody takes it now; it is not sent.
        Unavailable: Nothing shows after half a minute: it is delivered, and will be taken or refused later.
    """
    transfer_id, remote = addressed.transfer_id, addressed.remote
    await remote.require_ready()
    seen = max((event.event_id for event in await register.events(transfer_id)), default=0)
    try:
        await decision.send(remote)
    except WrongMoment:
        raise _refused(f"the transfer is {addressed.state.value}") from None
    ours = plain(decision.actor) or _NOBODY  # as the log writes it
    pause = _FIRST_PAUSE_SECONDS
    clock = asyncio.get_running_loop().time
    deadline = clock() + _PATIENCE_SECONDS
    # Before a release both environments are read once more, which takes as long as it takes.
    while clock() < deadline or await remote.looks_once_more():
        # Asked first: what a workflow has done is in the log before it closes. A cancel of a closed one says nothing.
        closed = await remote.is_closed()
        for event in await register.events(transfer_id, after=seen):
            if decision.tells_actor and event.actor != ours:
                continue
            if event.kind == decision.event:
                return await _moved_on(addressed, written)
            if event.kind == f"{decision.kind}_refused":
                raise _refused(event.reason, event.detail.get("code"))
        if closed:
            raise _refused("the transfer has ended")
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    raise Unavailable(
        f"The {decision.kind} is delivered, and nothing shows of it yet. Look with `sb-transfer status` before you "
        "send it again."
    )


async def _moved_on(addressed: TransferRun, written: Written) -> TransferSnapshot:
    """Return where it stands once the workflow has heard of what the log already tells; if that takes long, by the log.

    Whoever asks the workflow next then hears the same.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + _HEARING_SECONDS
    with suppress(Unavailable):
        while clock() < deadline:
            status = await addressed.remote.status()
            if status.state is not addressed.state:
                return TransferSnapshot(status=status)
            await asyncio.sleep(_FIRST_PAUSE_SECONDS)
    return await written(addressed.transfer_id)


def _refused(why: str, code: object = None) -> Refused:
    if code == EnvironmentChanged.code():
        return EnvironmentChanged(
            f"It is not released: {why}. Repair it and release again, or reject the transfer.",
            dutch=EnvironmentChanged.dutch,
        )
    return WrongMoment(
        f"This cannot be done now: {why}. `sb-transfer status` shows what the transfer waits for.",
        dutch=WrongMoment.dutch,
    )
