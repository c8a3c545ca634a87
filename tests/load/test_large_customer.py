"""A slice of `python -m tests.load.large_customer`."""

from pathlib import Path

from domain.vocabulary import TransferState
from tests.load.large_customer import PAYLOAD_MAY_HOLD, Size, move_a_large_customer


async def test_a_customer_of_many_users_quotes_and_administrations_moves(tmp_path: Path) -> None:
    """A list that grows with a customer would stop its workflow for ever, and hold everybody else up."""
    size = Size(users=300, quotes=1_500, administrations=100)
    outcome = await move_a_large_customer(tmp_path, size)
    assert outcome.state is TransferState.RELEASED
    assert outcome.mails >= size.users
    assert outcome.largest_payload <= PAYLOAD_MAY_HOLD
    assert (outcome.deadlocks, outcome.attempts) == (0, 1)
