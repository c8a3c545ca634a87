"""Who gets the processor first where the database is on the worker's machine."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.services import Services

# Priority is a whole process's, and cannot be taken back by everybody: this asks in one of its own.
CONNECTED = """
import asyncio, os, sys
from adapters.postgres.connection import connect_pool
from adapters.postgres.session_priority import stand_as_this_process

async def main():
    os.nice(int(sys.argv[2]))
    pool = await connect_pool(sys.argv[1], application_name="bulk", prove=stand_as_this_process)
    async with pool.acquire() as connection:
        print(connection.get_server_pid(), os.getpriority(os.PRIO_PROCESS, 0), flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await pool.close()

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="nobody tells here which process is a database's")
@pytest.mark.parametrize("niceness", [0, 4])
async def test_a_clones_session_stands_as_far_behind_as_its_worker(services: Services, dsn: str, niceness: int) -> None:
    """A person's question is answered by the same server before a clone goes on."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CONNECTED,
        dsn,
        str(niceness),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdin
    assert program.stdout
    try:
        pid, own = map(int, (await program.stdout.readline()).split())
        async with services.pool.acquire() as connection:
            usual = psutil.Process(connection.get_server_pid()).nice()
        assert psutil.Process(pid).nice() == (own if own > 0 else usual)
    finally:
        program.stdin.close()
        await program.wait()
