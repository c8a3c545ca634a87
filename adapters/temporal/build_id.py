"""Which code this is: the version of the package, and a digest of what the worker runs."""

import hashlib
from importlib.metadata import version
from pathlib import Path

# What a worker is made of; `starter` and `devstack` only talk to one.
_PARTS = ("activities", "adapters", "domain", "workflows")
_ENDINGS = frozenset({".py", ".sql", ".jinja"})
_DIGITS = 12


def build_id(root: Path = Path(__file__).parents[2]) -> str:
    """Return `<version>-<digest>`: the same on every machine with the same code, another after any change of it.

    Args:
        root: The folder that holds the packages: a checkout or `site-packages`.
    """
    digest = hashlib.sha256()
    for file in sorted(_files(root), key=lambda found: found.relative_to(root).as_posix()):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{version('sb-transfer')}-{digest.hexdigest()[:_DIGITS]}"


def _files(root: Path) -> list[Path]:
    inside = [file for part in _PARTS for file in (root / part).rglob("*") if file.suffix in _ENDINGS]
    return [root / "worker.py", *inside]
