"""The embedded PostgreSQL starts after every way of ending, as root or not, and harms nobody else's process."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from devstack import postgres as module
from devstack import processes
from devstack.binaries import WAYS_FOR_ROOT, Unprivileged, unprivileged
from devstack.postgres import EmbeddedPostgres

WAYS = WAYS_FOR_ROOT if os.geteuid() == 0 else (unprivileged(),)

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def server_in(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, settings={"fsync": "off", "shared_buffers": "16MB"})


async def test_a_crash_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    """Keeps every committed row and the address after kill -9."""
    server = server_in(tmp_path)
    await server.start()
    try:
        address = server.dsn()
        connection = await asyncpg.connect(address)
        await connection.execute("create table public.kept as select 42 as value")
        await server.stop(signal.SIGKILL)
        connection.terminate()
        await server.start()
        assert server.dsn() == address
        connection = await asyncpg.connect(address)
        assert await connection.fetchval("select value from public.kept") == 42
        await connection.close()
    finally:
        await server.stop()


async def test_memory_that_a_killed_server_has_left_is_waited_for(tmp_path: Path) -> None:
    """Starts once the system has taken back what the helpers of a killed server had, which nobody lists any more."""
    server = server_in(tmp_path)
    await server.start()
    log_begins = processes.log_size(tmp_path)
    segment = int((tmp_path / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1])
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    held = libc.shmat(segment, None, 0)
    assert held != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())
    await server.stop(signal.SIGKILL)
    starting = asyncio.create_task(server.start())
    try:
        async with asyncio.timeout(60):
            while "still in use" not in processes.log_from(tmp_path, log_begins):  # noqa: ASYNC110 - a server's to write
                await asyncio.sleep(0.02)
    finally:
        libc.shmdt(ctypes.c_void_p(held))
        await starting
    try:
        assert await connects(server)
    finally:
        await server.stop()


async def test_a_server_that_was_left_behind_is_ended(tmp_path: Path) -> None:
    """Ends a server that an earlier start left behind."""
    left_behind, successor = server_in(tmp_path), server_in(tmp_path)
    await left_behind.start()
    await successor.start()
    try:
        assert left_behind._process is not None
        assert left_behind._process.poll() is not None
        assert await connects(successor)
    finally:
        await successor.stop()
    assert successor._running_here() == []


async def test_helpers_of_a_killed_server_are_ended(tmp_path: Path) -> None:
    """Ends the helpers of a killed server."""
    server = server_in(tmp_path)
    await server.start()
    try:
        connection = await asyncpg.connect(server.dsn())
        busy = asyncio.create_task(connection.execute("do $$ begin loop end loop; end $$"))
        pid = connection.get_server_pid()
        await until_busy(server, pid)
        await server.stop(signal.SIGKILL)
        assert pid in {process.pid for process in server._running_here()}
        await server.start()
        assert pid not in {process.pid for process in server._running_here()}
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await busy
        assert await connects(server)
    finally:
        await server.stop()


async def test_a_number_that_now_belongs_to_somebody_else_is_no_server(tmp_path: Path) -> None:
    """Leaves a program alone whose number a server had before."""
    server = server_in(tmp_path)
    await server.start()
    await server.stop(signal.SIGKILL)
    bystander = start_bystander()
    try:
        claim_pid_file(server, bystander.pid)
        await server.start()
        assert await connects(server)
        assert bystander.poll() is None
    finally:
        await server.stop()
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.prefix[0] if way.prefix else "ordinary user")
async def test_it_runs_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Unprivileged) -> None:
    """Runs for root and for others, with and without namespaces."""
    server = server_in(tmp_path / "private")
    for chosen in (way, unprivileged(), way):  # a folder also moves between machines
        monkeypatch.setattr(module, "unprivileged", lambda chosen=chosen: chosen)
        await server.start()
        try:
            assert await connects(server)
        finally:
            await server.stop()
    assert server._running_here() == []


async def test_a_start_that_was_cut_off_is_repeated(tmp_path: Path) -> None:
    """Completes a start that was cut off."""
    abandoned = tmp_path / "initdb-half"
    abandoned.mkdir()
    server = server_in(tmp_path)
    await server.start()
    try:
        assert not abandoned.exists()
        connection = await asyncpg.connect(server.dsn("postgres", "postgres"))
        await connection.execute("drop database sb")
        await connection.execute("drop owned by sb_owner")
        await connection.execute("drop role sb_app")
        await connection.close()
        await server.stop(signal.SIGKILL)
        await server.start()
        assert await connects(server)
        assert await connects(server, "sb_app")
    finally:
        await server.stop()


async def test_passwords_are_for_the_owner_only(tmp_path: Path) -> None:
    """Keeps passwords in files of mode 0600."""
    server = server_in(tmp_path)
    await server.start()
    try:
        assert oct(mode_of(tmp_path / "secrets.json")) == oct(0o600)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.dsn().replace("sb_owner:", "sb_owner:x"))
        words: list[str] = []
        for process in server._running_here():
            with suppress(psutil.NoSuchProcess):  # the one that refused the password ends by itself
                words += process.cmdline()
        assert words
        assert server._secrets()["sb_owner"] not in " ".join(words)
    finally:
        await server.stop()


async def connects(server: EmbeddedPostgres, role: str = "sb_owner") -> bool:
    connection = await asyncpg.connect(server.dsn(role))
    try:
        return bool(await connection.fetchval("select current_user = $1", role))
    finally:
        await connection.close()


async def until_busy(server: EmbeddedPostgres, pid: int) -> None:
    """Wait until a session carries out what it was asked."""
    onlooker = await asyncpg.connect(server.dsn())
    try:
        async with asyncio.timeout(60):
            state = "select state from pg_stat_activity where pid = $1"
            while await onlooker.fetchval(state, pid) != "active":  # noqa: ASYNC110 - the server's to tell
                await asyncio.sleep(0.02)
    finally:
        await onlooker.close()


def until_marked(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the system tells of what a program was given: at the very moment of its start it does not."""
    while not psutil.Process(process.pid).environ():  # pytest's time-out ends this
        time.sleep(0.02)


def start_bystander() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(SLEEP)


def claim_pid_file(server: EmbeddedPostgres, pid: int) -> None:
    file = server.folder / "data" / "postmaster.pid"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([str(pid), *lines[1:]]) + "\n")


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_bulk_programs_stand_behind_others(tmp_path: Path) -> None:
    """Whoever asks the API is answered first, with every core at work on clones."""
    niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + 3, 19)
    # Whoever is no administrator is refused it for a group in the tenth of a second after anybody's.
    assert any(_stands_behind(tmp_path, niceness) for _ in range(20))


def _stands_behind(folder: Path, niceness: int) -> bool:
    """Start a program; return whether its group stands as far behind as it does itself, where there are groups."""
    process = processes.launch(SLEEP, folder=folder, niceness=3)
    try:
        while psutil.Process(process.pid).cmdline()[:1] != SLEEP[:1]:  # pytest's time-out ends this
            time.sleep(0.05)
        assert psutil.Process(process.pid).nice() == niceness
        group = Path(f"/proc/{process.pid}/autogroup")
        return not group.exists() or group.read_text().endswith(f"nice {niceness}\n")
    finally:
        process.kill()
        process.wait()


def test_a_mark_is_not_mistaken(tmp_path: Path) -> None:
    """Recognises its own processes by their folder, and no others."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one more").mkdir()
    ours = processes.launch(SLEEP, folder=tmp_path / "one")
    other = processes.launch(SLEEP, folder=tmp_path / "one more")
    bystander = start_bystander()
    try:
        for process in (ours, other):
            until_marked(process)
        assert [found.pid for found in processes.leftovers(tmp_path / "one")] == [ours.pid]
        processes.end(processes.leftovers(tmp_path / "one"), signal.SIGTERM)
        assert processes.leftovers(tmp_path / "one") == []
        assert other.poll() is None
        assert bystander.poll() is None
    finally:
        for process in (ours, other, bystander):
            process.kill()
            process.wait()
