"""Programs of Debian packages come without root, whole or not at all."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tools import debian


def test_a_program_is_fetched_once_by_however_many_ask(tmp_path: Path) -> None:
    """Fetches a program once for all who ask at the same time."""
    with ThreadPoolExecutor(2) as both:
        folders = set(both.map(lambda _: debian.fetch("hostname", tmp_path / "tools" / "hostname"), range(2)))
    assert folders == {tmp_path / "tools" / "hostname"}
    assert sorted(path.name for path in (tmp_path / "tools").iterdir()) == ["hostname", "hostname.lock"]
    program = next(path for path in (tmp_path / "tools/hostname").glob("**/bin/hostname"))
    assert subprocess.run([program], check=True, capture_output=True).stdout.strip()


def test_without_apt_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names what to install on a system without apt."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.ToolMissing, match="apt-get install spin"):
        debian.fetch("spin", tmp_path / "tools" / "spin")
