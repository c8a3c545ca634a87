"""A slice of `python -m tests.load.deliveries` with every run of the tests."""

from devstack.postgres import EmbeddedPostgres
from tests.load.deliveries import deliver


async def test_nothing_that_comes_in_is_lost_doubled_or_out_of_order(
    postgres: EmbeddedPostgres, database_name: str
) -> None:
    """Has each of 200 items once and in order after eight moves in which sessions were killed."""
    score = await deliver(postgres, database_name, items=200, moves=8, lines=2)
    assert score.good, score
    assert (score.moves, score.kills > 0) == (8, True)
    assert score.items >= 190
    assert set(score.outcomes) <= {"delivered", "held", "duplicate"}
