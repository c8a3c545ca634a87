"""From an order to a ticket: what `prepare` asks for, and the wait until it is there."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from domain import messages as m
from domain.errors import EnvironmentBusy, Refused, Unavailable, all_errors
from domain.vocabulary import TransferState
from starter.client.errors import NoWorker
from starter.client.workflow_handle import RemoteTransfer

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_LOOKS = 20
_PREPARE_PATIENCE_SECONDS = 120.0
_SILENCE_PATIENCE_SECONDS = 15.0
_LATER = "Later `sb-transfer ticket` gets the ticket; `sb-transfer cancel` gives up."

OnProgress = Callable[[m.TransferStatus], None]
Written = Callable[[], Awaitable[TransferState | None]]


def order_for(
    preview: m.Preview, requested_by: str, transfer_id: uuid.UUID, for_licence: str | None
) -> m.TransferInput:
    return m.TransferInput(
        environment_id=preview.environment.environment_id,
        requested_by=requested_by,
        transfer_id=transfer_id,
        for_licence=for_licence.strip() if for_licence else None,
    )


async def until_ticket(remote: RemoteTransfer, on_progress: OnProgress | None, written: Written) -> m.TransferStatus:
    """Wait until the ticket is there, or the transfer turned back before that.

    Args:
        remote: The workflow, whose answer costs the worker a task each time.
        on_progress: Told each of its answers.
        written: Tells the state that the database knows, which costs little; None before there is one.

    Raises:
        Refused: The reason for which it turned back.
        EnvironmentBusy: It is still trying.
        NoWorker: It is started, and nobody works on it.
    """
    pause = _FIRST_PAUSE_SECONDS
    clock = asyncio.get_running_loop().time
    began = answered_at = clock()
    while clock() < began + _PREPARE_PATIENCE_SECONDS:
        if on_progress is None:
            await _until_written(written)
        try:
            status = await remote.status()
        except Unavailable as error:  # a worker that is started again is back in seconds
            if clock() > answered_at + _SILENCE_PATIENCE_SECONDS:
                raise NoWorker(f"The transfer is started, but no worker answers for it. {_LATER}") from error
            continue
        answered_at = clock()
        if on_progress:
            on_progress(status)
        if status.state is TransferState.AWAITING_UPLOAD:
            return status
        if status.state not in (TransferState.PREPARING, TransferState.UNDOING):
            raise _turned_back(status)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    raise EnvironmentBusy(f"The environment is in use, so the freeze goes on trying. {_LATER}")


async def _until_written(written: Written) -> None:
    """Wait until the database says that it is no longer being prepared, for as long as a workflow may keep silent."""
    for _ in range(_LOOKS):
        if await written() not in (None, TransferState.PREPARING):
            return
        await asyncio.sleep(_FIRST_PAUSE_SECONDS)


def _turned_back(status: m.TransferStatus) -> Refused:
    """Return why a transfer was undone before its ticket, as the class of refusal it was."""
    kind = all_errors().get(status.undo_code)
    if kind is not None and issubclass(kind, Refused):
        return kind(status.undo_detail, dutch=kind.dutch)
    return Refused(f"The transfer was undone: {status.undo_detail or status.undo_reason}. Nothing has changed.")
