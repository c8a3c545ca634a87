"""Debian's PostgreSQL 15: the other major version that tests and measurements move environments from and to."""

from pathlib import Path

from devstack.binaries import Postgres
from tests.tools.debian import fetch, library_path

_MAJOR = 15


def older_postgres(tools: Path) -> Postgres:
    """Return the machine's own PostgreSQL 15, or one that is fetched into `tools`.

    Raises:
        ToolMissing: It is not here and cannot be fetched.
    """
    installed = Path("/usr/lib/postgresql") / str(_MAJOR)
    if (installed / "bin/initdb").exists():
        return Postgres(installed / "bin", (), _MAJOR)
    root = fetch(f"postgresql-{_MAJOR}", tools / f"postgresql-{_MAJOR}", with_dependencies=True).absolute()
    return Postgres(root / f"usr/lib/postgresql/{_MAJOR}/bin", ("env", f"LD_LIBRARY_PATH={library_path(root)}"), _MAJOR)
