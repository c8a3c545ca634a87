"""A slice of `python -m tests.load.resets`."""

from pathlib import Path

from tests.load.resets import reset_at_random


async def test_healthy_transfers_that_are_reset_are_not_undone(tmp_path: Path) -> None:
    """The usual cure of a bad deploy, and the night after it, would undo the moves of customers who only wait."""
    score = await reset_at_random(tmp_path, 12, seed=12)
    assert score.faults == 0, str(score)
    assert score.released == score.transfers
