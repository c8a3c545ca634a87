"""A step is added in one place: a copy of the sources gets one more row, and everything else has the step by itself."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What docs/architecture.md tells people to write: the names, the row, the activity.
NAMES = {
    "domain/events.py": (
        '    CLONE_VERIFIED = "clone_verified"\n',
        '    ADDRESSES_CHECKED = "addresses_checked"\n    ADDRESSES_FORGOTTEN = "addresses_forgotten"\n',
    ),
    "domain/steps.py": ('    BANKS = "banks"\n', '    ADDRESSES = "addresses"\n'),
}
ACTIVITIES = (
    '    RECONNECT_BANKS = "reconnect_banks"\n',
    '    CHECK_ADDRESSES = "check_addresses"\n    FORGET_ADDRESSES = "forget_addresses"\n',
)
ROW = (
    "    Step(\n        StepName.CONSEQUENCES,\n",
    """    Step(
        StepName.ADDRESSES,
        "Check the addresses",
        (Work(ActivityName.CHECK_ADDRESSES, PolicyName.STEP, "whether they exist"),),
        ended_by=EventKind.ADDRESSES_CHECKED,
        waits_for="the addresses",
        of_an_evening=True,
        compensation=Compensation(
            ActivityName.FORGET_ADDRESSES, PolicyName.MUST_HAPPEN, "forget them", EventKind.ADDRESSES_FORGOTTEN
        ),
    ),
""",
)


def test_a_new_row_is_in_story_page_invariant_and_undo(tmp_path: Path) -> None:
    """Adds a row to a copy of the table and finds the step in whatever is read from it, a real move included."""
    for folder in ("activities", "domain", "workflows"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (before, added) in NAMES.items():
        _insert(tmp_path / name, before, added)
    _insert(tmp_path / "domain/steps.py", *ACTIVITIES)
    _insert(tmp_path / "domain/steps.py", *ROW)
    ran = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("added_step.py"))],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.stdout.splitlines()[-1:] == ["the step is everywhere"], ran.stdout + ran.stderr


def _insert(path: Path, before: str, added: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, added + before))
