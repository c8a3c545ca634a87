"""Schemas in the manner of well-known applications, each moved by the command line on real servers."""

import json
import subprocess
import sys
from pathlib import Path

from tests.tools.paths import ROOT

APPLICATIONS = ROOT / "tests" / "integration" / "schemas" / "applications"


def test_schemas_of_applications_are_moved_by_the_command_line(tmp_path: Path) -> None:
    """Releases each of them, with the same text of `pg_dump` on both sides."""
    outcomes = tmp_path / "outcomes.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.schemas", str(APPLICATIONS), "--json", str(outcomes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {one["schema"]: one for one in json.loads(outcomes.read_text())}
    assert {name: (one["outcome"], one["why"]) for name, one in found.items()} == {
        name: ("released", []) for name in ("django", "hibernate", "odoo", "rails", "tryton")
    }
    assert found["odoo"]["tables"] > 480
    assert min(one["rows"] for one in found.values()) > 1000


def test_what_would_be_moved_is_listed() -> None:
    """Names the files and starts nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.schemas", str(APPLICATIONS), "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["django", "hibernate", "odoo", "rails", "tryton"]
