"""A slice of `python -m tests.load.findings`."""

from pathlib import Path

from domain.reconciliation import LISTED
from tests.load.findings import put_thousands_right


async def test_more_findings_than_one_answer_holds_are_put_right(tmp_path: Path) -> None:
    """What thousands of terminated workflows leave is larger than a payload, and is read and healed in pages."""
    outcome = await put_thousands_right(tmp_path, stranded=3, tickets=2 * LISTED + 1)
    assert outcome.found >= 2 * LISTED + 4
    assert (outcome.code, outcome.left) == (0, 0)
