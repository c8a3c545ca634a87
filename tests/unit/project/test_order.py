"""What takes longest begins first."""

from tests.conftest import LONGEST
from tests.tools.paths import ROOT


def test_the_longest_files_are_there() -> None:
    """Names files that exist: one that was moved would begin last, and be waited for."""
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
