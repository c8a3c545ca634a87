"""Every order of events that the model knows, and proof that the search would find a flaw."""

import pytest

from model.checker import MUTATIONS, SEARCHES, Search, check


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_the_invariant_holds_in_every_state(search: Search) -> None:
    """Keeps the invariant in every reachable state."""
    outcome = check(search)
    assert not outcome.violation, f"{outcome.violation}\n{outcome.trail}"
    assert outcome.states > 50_000  # a model that cannot get anywhere has no violations either


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda search: search.mutation)
def test_a_flaw_is_found(mutation: Search) -> None:
    """Finds each guard that is taken out."""
    outcome = check(mutation)
    assert outcome.violation
    assert outcome.trail
