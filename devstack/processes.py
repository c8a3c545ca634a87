"""Server processes: started with a mark by which the next start recognises those that a killed one left behind."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

# Every process that is started here carries its folder in this variable. A process id alone proves nothing: after a
# crash the number may have been given to somebody else's program.
_MARK = "SB_TRANSFER_STARTED_FOR"
_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_POLL_SECONDS = 0.05


def launch(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None, niceness: int = 0
) -> subprocess.Popen[bytes]:
    """Start a program that writes to `folder/log` and is recognised by `leftovers(folder)`.

    Args:
        command: The program and its arguments.
        folder: An existing folder; its absolute path is the process's mark.
        environment: All of the program's environment variables; this process's own when it is not given.
        niceness: How much further than this process it stands behind others for the processor.
    """
    log_file = folder / "log"
    if log_file.exists() and log_file.stat().st_size > _LOG_LIMIT_BYTES:
        log_file.replace(folder / "log.1")
    with os.fdopen(os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        process = subprocess.Popen(
            # Each thread has a priority of its own: the program begins with it. Set here as well it is lowered twice.
            [*(("nice", f"-n{niceness}") if niceness else ()), *command],
            env={**(os.environ if environment is None else environment), _MARK: str(folder.absolute())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            umask=0o077,  # what servers write here is customers' data
            start_new_session=True,  # Ctrl-C in the terminal is for the parent, which stops its servers in order
        )
    if niceness:
        _let_session_stand_behind(process.pid, min(os.getpriority(os.PRIO_PROCESS, 0) + niceness, 19))
    return process


def _let_session_stand_behind(pid: int, niceness: int) -> None:
    """Let all of a program stand so far behind others: Linux may share the processor out among sessions first."""
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")


def log_size(folder: Path) -> int:
    """Return where in `folder/log` the next line goes, in bytes."""
    try:
        return (folder / "log").stat().st_size
    except FileNotFoundError:
        return 0


def log_from(folder: Path, begins: int) -> str:
    """Return what has been written to `folder/log` since it had so many bytes; all of it when it began anew."""
    with (folder / "log").open("rb") as log:
        log.seek(begins if begins <= log_size(folder) else 0)
        return log.read().decode(errors="replace")


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process has ended and return its exit code; cancelling leaves no thread waiting."""
    if process.poll() is None and (descriptor := _descriptor_of(process.pid)) is not None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    while (code := process.poll()) is None:  # noqa: ASYNC110 - where no descriptor tells of the end
        await asyncio.sleep(_POLL_SECONDS)
    return code


def _descriptor_of(pid: int) -> int | None:
    """Return a descriptor that can be read once the process has ended; None where only asking again tells (macOS)."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


async def stop(process: subprocess.Popen[bytes], *signals: signal.Signals, patience_seconds: float = 20.0) -> None:
    """Ask a process to stop, more urgently each time `patience_seconds` have passed, with SIGKILL as the last word."""
    for how in (*signals, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(how)
        try:
            await asyncio.wait_for(ended(process), patience_seconds)
        except TimeoutError:
            continue
    process.wait()


def leftovers(folder: Path) -> list[psutil.Process]:
    """Return the processes that were started for a folder and still run."""
    mark = str(folder.absolute())
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(_MARK) == mark:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # it has just ended, or is somebody else's
    return found


def end(processes: Iterable[psutil.Process], *signals: signal.Signals, patience_seconds: float = 20.0) -> None:
    """End processes that are not our children, more urgently each time, with SIGKILL as the last word."""
    alive = list(processes)
    for how in (*signals, signal.SIGKILL):
        for process in alive:
            try:
                process.send_signal(how)
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(alive, timeout=patience_seconds)
        if not alive:
            return


def listening(pid: int) -> set[int]:
    """Return the ports on which a process listens; none when it has ended."""
    try:
        open_ones = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return set()
    return {one.laddr.port for one in open_ones if one.status == psutil.CONN_LISTEN}


async def accepts_connections(host: str, port: int, timeout_seconds: float = 5.0) -> bool:
    """Tell whether a server accepts a connection."""
    try:
        async with asyncio.timeout(timeout_seconds):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return True
