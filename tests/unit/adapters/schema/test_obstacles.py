"""Obstacles in words: whoever reads one is told in their language what it is, why, and what to do."""

import re

import pytest

from adapters.postgres.statements import load
from adapters.schema.obstacles import obstacle

SAID = ("aardappel", "kroketten", "sinaasappel")
CODES = sorted(
    set(re.findall(r"array\[(?:case when \S+ then )?'(\w+)'", load("adapters.schema.obstacles")["obstacles"]))
    | {"support_function", "publishes_all", "clock", "hidden_clock", "broken", "broken_domain", "computed", "twice"}
    | {"raises", "denied", "orphans", "circle", "unreadable", "refused", "otherwise", "encoding", "outside", "endless"}
    | {"locks", "tied"}
)


@pytest.mark.parametrize("code", CODES)
def test_each_reason_has_words_in_both_languages(code: str) -> None:
    """A code without words would be an error where a customer asks why."""
    found = obstacle(code, "check positive of line", *SAID)
    assert found.nl.what == "regel positive van line"
    assert len({found.why, found.remedy, found.nl.why}) == 3
    assert "{" not in f"{found}{found.nl}"
    assert (SAID[0] in found.why + found.remedy) == (SAID[0] in found.nl.why + found.nl.remedy)
