"""Programs of Debian packages for checks and tests, fetched by apt without root: nothing is installed."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 300


class ToolMissing(Exception):
    """A program that a check needs is not there and could not be fetched. The message says what to do."""


def fetch(
    package: str, folder: Path, *, pinned: Mapping[str, str] | None = None, with_dependencies: bool = False
) -> Path:
    """Unpack a package into `folder`, unless that was done before, and return the folder: its root is the system's `/`.

    Any number of processes may ask at once: one fetches, the others wait for it.

    Args:
        package: Its name in the machine's own apt sources; apt checks the signature over it.
        folder: Such as `.tools/spin`; it appears at once or not at all.
        pinned: File names of packages and the SHA-256 that they must have; a file that is not named is not held to one.
        with_dependencies: Whether the packages that it needs, and this machine has not, are unpacked into `folder` too.

    Raises:
        ToolMissing: There is no apt, it cannot reach its sources, or a file is not the one that was pinned.
    """
    hint = f"Debian's package {package} could not be fetched. Install it: apt-get install {package}"
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ToolMissing(f"{hint} (there is no apt here; your system may have another name for it)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _unpack(package, folder, pinned or {}, hint, with_dependencies=with_dependencies)
    return folder


def library_path(folder: Path) -> str:
    """Return the LD_LIBRARY_PATH with which a program in an unpacked folder finds the libraries beside it."""
    found = {str(file.parent) for top in ("lib", "usr/lib") for file in (folder / top).rglob("lib*.so*")}
    return ":".join([*sorted(found), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])


def run(command: list[str], hint: str, folder: Path | None = None) -> str:
    """Run a command that brings a program, and return what it printed.

    Raises:
        ToolMissing: It failed; the message is the hint and what the command said.
    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissing(f"{hint} ({error})") from error
    if done.returncode:
        raise ToolMissing(f"{hint} ({done.stderr.strip()[-500:]})")
    return done.stdout


def _unpack(package: str, folder: Path, pinned: Mapping[str, str], hint: str, *, with_dependencies: bool) -> None:
    # Its own state: neither root nor a recent `apt-get update` is needed, and the machine's lists stay as they are.
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        for part in ("lists/partial", "cache/archives/partial", "root"):
            (work / part).mkdir(parents=True)
        apt = ["apt-get", "-o", f"Dir::State::Lists={work}/lists", "-o", f"Dir::Cache={work}/cache", "-qq"]
        apt += ["-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3", "-o", "Acquire::Languages=none"]
        run([*apt, "update"], hint, work)
        wanted = {package}
        if with_dependencies:
            plan = run([*apt, "--simulate", "--no-install-recommends", "install", package], hint, work)
            wanted |= {line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")}
        run([*apt, "download", *sorted(wanted)], hint, work)
        for file in sorted(work.glob("*.deb")):
            hash_ = pinned.get(file.name)
            if hash_ and hashlib.sha256(file.read_bytes()).hexdigest() != hash_:
                raise ToolMissing(f"{file.name} is not the file it was: nothing of it is run.")
            run(["dpkg-deb", "-x", str(file), str(work / "root")], hint)
        (work / "root").replace(folder)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Let one process at a time into a block."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
