"""What programs take of the machine, with their children."""

from contextlib import suppress

import psutil


def megabytes(pid: int) -> float:
    """Return what a program and its children hold in memory."""
    process = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 1e6


def core_seconds(pid: int) -> float:
    """Return what a program has used of the processor until now, with its children, those that have ended too."""
    process = psutil.Process(pid)
    used = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            used += times.user + times.system + (times.children_user + times.children_system if one == process else 0.0)
    return used
