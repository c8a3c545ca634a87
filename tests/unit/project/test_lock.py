"""Everybody installs the same files: what `requirements.lock` pins, and where from is each machine's own choice."""

import re
import tomllib

from tests.tools.paths import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PINNED = {match[1]: match[2] for match in re.finditer(r"^([a-z0-9.-]+)==(\S+) \\$", LOCK, re.MULTILINE)}


def _normalised(requirement: str) -> str:
    """Return the project's name of a requirement, as package indexes compare them."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_the_lock_names_no_place() -> None:
    """Finds no index in the lock."""
    assert re.findall(r"://|^\s*--(?!hash=)|^-[a-z]|@ ", LOCK, re.MULTILINE) == []


def test_every_dependency_is_pinned() -> None:
    """Finds every dependency in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["devstack"],
        *project["project"]["optional-dependencies"]["dev"],
    ]
    assert {_normalised(requirement) for requirement in wanted} - PINNED.keys() == set()


def test_every_pin_has_hashes() -> None:
    """Finds hashes for every pin."""
    pins = re.split(r"^(?=[a-z0-9.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(pins) == len(PINNED) > 0
    assert [pin.split("==")[0] for pin in pins if "--hash=sha256:" not in pin] == []
