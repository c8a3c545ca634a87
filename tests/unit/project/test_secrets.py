"""No key, token or password in any file that is checked in."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.tools.paths import ROOT

# Split, so that this file does not find itself.
PATTERNS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE" + r" KEY-----\s+[A-Za-z0-9+/=]{20}",
    "JWT": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "cloud key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "forge token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|glpat-[A-Za-z0-9_-]{20,})\b",
    "chat token": r"\bxox[abposr]-[A-Za-z0-9-]{10,}",
    "assigned secret": r"(?i)^[A-Z_]*(?:SECRET|PASSWORD|PRIVATE_KEY|TOKEN)[A-Z_]*\s*=\s*['\"]?[A-Za-z0-9+/]{32,}",
}


def findings(text: str) -> list[str]:
    """Return what kinds of secret a text holds."""
    return [kind for kind, pattern in PATTERNS.items() if re.search(pattern, text, re.MULTILINE)]


def checked_in() -> list[Path]:
    """Return the files that git knows; those of the folder when it is no checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607 - whichever git made the checkout
    return [ROOT / name for name in listed.split("\0") if name]


def test_nothing_checked_in_is_a_secret() -> None:
    """Finds no secret in any checked-in file."""
    files = [file for file in checked_in() if file.is_file()]
    assert len(files) > 100
    found = {str(file.relative_to(ROOT)): findings(file.read_text(errors="replace")) for file in files}
    assert {name: kinds for name, kinds in found.items() if kinds} == {}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("private key", "-----BEGIN PRIVATE" + " KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQi\n"),
        ("JWT", "eyJhbGciOiJFZERTQSJ9" + ".eyJzdWIiOiJzb21lYm9keSJ9" + "." + "c2lnbmF0dXJlLW9mLWl0"),
        ("cloud key", "AKIA" + "ABCDEFGHIJKLMNOP"),
        ("forge token", "ghp_" + "a" * 36),
        ("chat token", "xoxb-" + "1234567890-abc"),
        ("assigned secret", "DB_PASSWORD=" + "a1" * 20),
    ],
)
def test_the_scan_finds_what_it_looks_for(kind: str, text: str) -> None:
    """Finds each kind of secret when one is there."""
    assert findings(text) == [kind]
