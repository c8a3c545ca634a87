"""The manual, and the tests that hold this software to it."""

import re

import pytest

from tests.tools.paths import DOCS, ROOT

_ROWS = re.findall(
    r"^\| (.+?) \| `(tests/[\w/]+\.py)` `(test_\w+)` \|$", (DOCS / "manual.md").read_text(), re.MULTILINE
)


def test_every_line_of_the_page_has_a_test() -> None:
    """Lets no sentence stand there without a test, and none twice."""
    lines = [line for line in (DOCS / "manual.md").read_text().splitlines() if line.startswith("| ")]
    assert len(lines) - len(re.findall(r"^## ", (DOCS / "manual.md").read_text(), re.MULTILINE)) == len(_ROWS)
    assert len({sentence for sentence, _, _ in _ROWS}) == len(_ROWS) >= 50


@pytest.mark.parametrize(("sentence", "file", "name"), _ROWS, ids=[row[0][:40] for row in _ROWS])
def test_a_sentence_of_the_manual_has_a_test(sentence: str, file: str, name: str) -> None:
    """Finds the test that a sentence names."""
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), sentence
