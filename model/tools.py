"""Finds SPIN and a C compiler, or fetches them into `.tools/` from the registries; root is not needed."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TOOLS = HERE.parent / ".tools"
# apt checks the signature over every package; these are also held to what they were when the model was written.
_PACKAGES = {
    "spin_6.5.2+dfsg-1_amd64.deb": "55452ba139bae09a165363fdee18fe496913b4ae441d122280fbcbb48556502f",
}
_VERSION = "Spin Version 6."  # another program on PyPI is called spin as well
_FETCH_SECONDS = 300


class ToolMissing(Exception):
    """A program that the check needs is not there and could not be fetched. The message says what to do."""


def spin() -> str:
    """Return the path of SPIN: the machine's own, the one fetched before, or one that is fetched now.

    Raises:
        ToolMissing: There is none and Debian's package could not be had.
    """
    fetched = TOOLS / "spin/usr/bin/spin"
    for candidate in (shutil.which("spin"), str(fetched)):
        if candidate and _is_spin(candidate):
            return candidate
    _fetch_spin(fetched.parents[2])
    if not _is_spin(str(fetched)):
        raise ToolMissing(f"The SPIN that was fetched does not run: {fetched}. Install it: apt-get install spin")
    return str(fetched)


def compiler() -> list[str]:
    """Return the command of a C compiler: $CC, the machine's own, or Zig's from PyPI, pinned in `compiler.lock`.

    Raises:
        ToolMissing: There is none and PyPI's could not be had.
    """
    if chosen := os.environ.get("CC"):
        return shlex.split(chosen)
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    folder = TOOLS / "compiler"
    if not (folder / "ziglang").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run(
            [*pip, "--require-hashes", "--target", str(folder), "-r", str(HERE / "compiler.lock")],
            "No C compiler is on the PATH, and Zig's could not be installed. Install one: apt-get install gcc",
        )
    return [str(folder / "ziglang/zig"), "cc"]


def _is_spin(path: str) -> bool:
    try:
        told = subprocess.run([path, "-V"], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return False
    return told.stdout.startswith(_VERSION)


def _fetch_spin(folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ToolMissing("The model checker SPIN 6 is not on the PATH, and there is no apt to fetch it: install it.")
    TOOLS.mkdir(exist_ok=True)
    # Its own state: neither root nor a recent `apt-get update` is needed, and the machine's lists stay as they are.
    with tempfile.TemporaryDirectory(dir=TOOLS) as name:
        work = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (work / part).mkdir(parents=True)
        own = ["-o", f"Dir::State::Lists={work}/lists", "-o", f"Dir::Cache={work}/cache"]
        own += ["-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3", "-o", "Acquire::Languages=none"]
        hint = "The model checker SPIN could not be fetched. Install it: apt-get install spin"
        _run(["apt-get", *own, "-qq", "update"], hint, work)
        _run(["apt-get", *own, "-qq", "download", "spin"], hint, work)
        package = next(iter(work.glob("spin_*.deb")))
        pinned = _PACKAGES.get(package.name)
        if pinned and hashlib.sha256(package.read_bytes()).hexdigest() != pinned:
            raise ToolMissing(f"{package.name} is not the file it was: nothing of it is run.")
        _run(["dpkg-deb", "-x", str(package), str(work / "spin")], hint)
        shutil.rmtree(folder, ignore_errors=True)
        (work / "spin").replace(folder)


def _run(command: list[str], hint: str, folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_FETCH_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolMissing(f"{hint} ({error})") from error
    if done.returncode:
        raise ToolMissing(f"{hint} ({done.stderr.strip()[-500:]})")
