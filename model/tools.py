"""Finds SPIN and a C compiler, or fetches them into `.tools/` from the registries; root is not needed."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.tools import debian
from tests.tools.debian import ToolMissing

HERE = Path(__file__).parent
TOOLS = HERE.parent / ".tools"
# apt checks the signature over every package; these are also held to what they were when the model was written.
_PACKAGES = {
    "spin_6.5.2+dfsg-1_amd64.deb": "55452ba139bae09a165363fdee18fe496913b4ae441d122280fbcbb48556502f",
}
_VERSION = "Spin Version 6."  # another program on PyPI is called spin as well


def spin() -> str:
    """Return the path of SPIN: the machine's own, the one fetched before, or one that is fetched now.

    Raises:
        ToolMissing: There is none and Debian's package could not be had.
    """
    fetched = TOOLS / "spin/usr/bin/spin"
    for candidate in (shutil.which("spin"), str(fetched)):
        if candidate and _is_spin(candidate):
            return candidate
    debian.fetch("spin", TOOLS / "spin", pinned=_PACKAGES)
    if not _is_spin(str(fetched)):
        raise ToolMissing(f"The SPIN in {fetched} does not run. Remove {TOOLS}/spin, or: apt-get install spin")
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
        debian.run(
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
