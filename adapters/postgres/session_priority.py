"""Sessions of bulk work stand as far behind others for the processor as the program that works in them."""

import os
from contextlib import suppress
from pathlib import Path

from adapters.postgres.connection import Connection

_PROCESSES = Path("/proc")


async def stand_as_this_process(connection: Connection) -> None:
    """Let a connection's server process stand as far behind as this process does, if it is on the same machine.

    Of the server's own processes alone: those of people, in the same session of the system, stay where they are.
    """
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness <= 0 or not await connection.fetchval("select inet_server_addr() = inet_client_addr()"):
        return
    pid = connection.get_server_pid()
    with suppress(OSError):
        # Another machine's process may have come through a tunnel, and its number be anybody's here.
        if (_PROCESSES / str(pid) / "comm").read_text(encoding="utf-8").startswith("postgres"):
            os.setpriority(os.PRIO_PROCESS, pid, niceness)
