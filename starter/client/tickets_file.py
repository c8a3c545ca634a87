"""The tickets of many transfers as one file, for whoever takes all of them over."""

import io
import zipfile
from collections.abc import Sequence
from uuid import UUID

from domain.errors import Refused, WrongMoment
from starter.client.client import TransferClient


async def tickets_file(client: TransferClient, waiting: Sequence[tuple[int, UUID]], *, by: str) -> bytes:
    """Return a zip of the tickets of transfers, each by its number; one that has just been used is left out.

    Args:
        client: Makes them.
        waiting: The number and the transfer of each.
        by: Who asks for them, for the log.

    Raises:
        WrongMoment: None can be made now.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:  # sealed text does not get smaller
        for number, transfer_id in waiting:
            try:
                name, ticket = await client.download_ticket(str(transfer_id), requested_by=by)
            except Refused:  # it has been used meanwhile, or was undone
                continue
            file.writestr(f"{number:04}-{name}", ticket)
        if not file.namelist():
            raise WrongMoment
    return packed.getvalue()
