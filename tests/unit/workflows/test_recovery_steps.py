"""What a recovery undoes is what the steps say has to be undone."""

from domain.steps import STEPS
from workflows.recovery import COMPENSATIONS


def test_every_compensation_in_the_order_of_the_steps() -> None:
    """A new step whose compensation is missing here would stay half done after a termination."""
    assert list(COMPENSATIONS) == [step.name for step in STEPS if step.compensation]
